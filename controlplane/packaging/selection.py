"""The back of a folded graph: candidates → the best K of each picture. Standard operators, any batch.

Per picture: a pool of the best candidates by score, class by class non-maximum suppression among them, the best K of
what is left, descending; of equal scores the candidate that came first stays first. A slot that nothing fills is all
zeros: no area, score 0, class 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from onnx import TensorProto

from controlplane.packaging.wish import Limits
from controlplane.packaging.writer import Writer

POOL = 1000  # of a picture; bounds the cost of suppression, which grows with the square


@dataclass(frozen=True)
class Candidates:
    """What a head found, before any choice. S boxes, C classes."""

    boxes: str  # float32 [N,S,4]: corners, 0..1 of the input, not clipped
    scores: str  # float32 [N,S,C] ([N,C,S] with class_axis 1); [N,S] where `labels` says the class
    count: int  # S; 0 when it is known only at run time
    classes: int  # C
    labels: str = ""  # int64 [N,S]
    class_axis: int = 2
    overlap: bool = True  # the same object may be there twice
    several: bool = False  # one box may count for several classes


@dataclass(frozen=True)
class _Pool:
    """M candidates of each picture, best first; `size` names M, int64 [1]."""

    boxes: str
    scores: str
    labels: str
    size: str


def write(to: Writer, found: Candidates, limits: Limits) -> tuple[str, str, str]:
    """Names of boxes float32 [N,K,4], scores float32 [N,K] and classes int64 [N,K]."""
    pool = _pool(to, found, max(POOL, limits.top_k) if found.overlap else limits.top_k)
    zero = to.real(0)
    kept = to.node("Where", to.node("Greater", pool.scores, to.real(limits.score)), pool.scores, zero)
    if found.overlap:
        kept = to.node("Where", _apart(to, pool, found.classes, limits), kept, zero)
    best, places = to.top(_padded(to, kept, limits.top_k), to.whole([limits.top_k]))
    places = to.node("Mod", places, pool.size)  # a padded slot points anywhere: its score is 0
    return _shown(to, best, _rows(to, pool.boxes, places), _at(to, pool.labels, places))


def _pool(to: Writer, found: Candidates, most: int) -> _Pool:
    scores, labels, count = _flat(to, found)
    boxes = found.boxes
    if count == 0:  # known only at run time, when it may be none: one that counts for nothing is always there
        boxes, scores = to.concat(1, boxes, _blank(to, scores, [[[0] * 4]])), _padded(to, scores, 1)
        labels = labels and to.concat(1, labels, to.cast(_blank(to, scores, [[0]]), TensorProto.INT64))
    size = to.whole([min(most, count)]) if count else _smaller(to, _columns(to, scores), to.whole([most]))
    best, places = to.top(scores, size)
    if labels:
        return _Pool(_rows(to, boxes, places), best, _at(to, labels, places), size)
    classes = to.whole(found.classes)
    return _Pool(_rows(to, boxes, to.node("Div", places, classes)), best, to.node("Mod", places, classes), size)


def _blank(to: Writer, scores: str, one: ArrayLike) -> str:
    """`one` for each picture."""
    pictures = to.part(to.node("Shape", scores), 0, 0, 1)
    value = np.asarray(one, np.float32)
    return to.node("Expand", to.real(value), to.concat(0, pictures, to.whole(value.shape[1:])))


def _flat(to: Writer, found: Candidates) -> tuple[str, str, int]:
    """Scores [N,R], classes [N,R] and R; no classes where a row is the box times C plus the class."""
    if found.labels:
        return found.scores, found.labels, found.count
    if found.several:
        by_box = found.scores if found.class_axis == 2 else to.transpose(found.scores, 0, 2, 1)
        return to.reshape(by_box, 0, -1), "", found.count * found.classes
    labels = to.node("ArgMax", found.scores, axis=found.class_axis, keepdims=0)
    return to.largest(found.scores, found.class_axis), labels, found.count


def _apart(to: Writer, pool: _Pool, classes: int, limits: Limits) -> str:
    """bool [N,M]: suppression leaves this one. Each class sees the scores of its own candidates only."""
    every = to.whole([[[number] for number in range(classes)]])
    own = to.node("Equal", to.unsqueeze(pool.labels, 1), every)
    by_class = to.node("Where", own, to.unsqueeze(pool.scores, 1), to.real(0))
    chosen = to.node(
        "NonMaxSuppression",
        *(pool.boxes, by_class, to.whole([limits.top_k]), to.real([limits.iou]), to.real([max(limits.score, 0)])),
    )
    places = to.pick(chosen, 1, (0, 2))  # picture, class, place → picture, place
    none = to.node("Mul", pool.scores, to.real(0))
    ones = to.node("Expand", to.real([1]), to.part(to.node("Shape", places), 0, 0, 1))
    return to.node("Greater", to.node("ScatterND", none, places, ones), to.real(0.5))


def _padded(to: Writer, scores: str, count: int) -> str:
    """`count` more columns of score 0, so that there are always as many to choose from."""
    return to.concat(1, scores, _blank(to, scores, [[0] * count]))


def _shown(to: Writer, scores: str, boxes: str, labels: str) -> tuple[str, str, str]:
    there = to.node("Greater", scores, to.real(0))
    inside = to.node("Clip", boxes, to.real(0), to.real(1))
    boxes = to.node("Where", to.unsqueeze(there, 2), inside, to.real(0))
    return boxes, scores, to.node("Where", there, labels, to.whole(0))


def _at(to: Writer, values: str, places: str) -> str:
    """values [N,S] at places [N,M]."""
    return to.node("GatherElements", values, places, axis=1)


def _rows(to: Writer, boxes: str, places: str) -> str:
    """boxes [N,S,4] at places [N,M]."""
    each = to.node("Tile", to.unsqueeze(places, 2), to.whole([1, 1, 4]))
    return to.node("GatherElements", boxes, each, axis=1)


def _columns(to: Writer, values: str) -> str:
    return to.part(to.node("Shape", values), 0, 1, 2)


def _smaller(to: Writer, one: str, other: str) -> str:
    return to.node("Where", to.node("Less", one, other), one, other)  # Min takes whole numbers from opset 12 on
