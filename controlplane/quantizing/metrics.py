"""How good answers are: numbers in, numbers out. Pure.

A detection matches the unclaimed truth of its class and picture that it overlaps most, at an IoU of 0.5 or more, in
falling order of score; the area is taken under the precision envelope at every recall reached. mAP50 is the mean over
the classes that the truths hold. Agreement is the same with fp32's own detections as the truth, over all classes
together: a class that fp32 saw twice would weigh too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]
MATCH = 0.5  # IoU
AGREES = 0.8  # F1, as the box asks of two answers that should be one
SURE = 0.3  # score from which fp32's detections are taken for truths: a deployment's usual minScore


@dataclass(frozen=True)
class Found:
    """Of one picture: boxes [N, 4] in 0..1 of it, scores [N], classes [N]. Truths have scores of 1."""

    boxes: Floats
    scores: Floats
    classes: Classes

    def of(self, kept: NDArray[np.bool_]) -> Found:
        return Found(self.boxes[kept], self.scores[kept], self.classes[kept])


def truth(boxes: Sequence[Sequence[float]], classes: Sequence[int]) -> Found:
    return Found(np.array(boxes, np.float64).reshape(-1, 4), np.ones(len(classes)), np.array(classes, np.int64))


def map50(answers: Sequence[Found], truths: Sequence[Found]) -> float:
    """nan without a truth."""
    present = np.unique(np.concatenate([each.classes for each in truths])) if truths else np.array([])
    each_class = [_precision([_only(found, c) for found in answers], [_only(t, c) for t in truths]) for c in present]
    return float(np.mean(each_class)) if each_class else float("nan")


def agreement(answers: Sequence[Found], reference: Sequence[Found]) -> float:
    """1 for the same boxes in the same order of certainty."""
    return _precision(answers, sure(reference))


def sure(reference: Sequence[Found]) -> list[Found]:
    """What fp32 is sure of, as truths."""
    return [found.of(found.scores >= SURE) for found in reference]


def top1(answers: Sequence[Floats], classes: Sequence[int]) -> float:
    """Share of pictures whose highest score is of their class."""
    hits = [best(scores) == number for scores, number in zip(answers, classes, strict=True)]
    return sum(hits) / len(hits) if hits else float("nan")


def agrees(found: Found, true: Found) -> bool:
    """Whether an answer is the labels': F1 of the boxes that a deployment would be told, against them."""
    told = found.of(found.scores >= SURE)
    boxes = len(told.boxes) + len(true.boxes)
    return not boxes or 2 * int(hits(told, true).sum()) / boxes >= AGREES


def best(scores: Floats) -> int:
    """The class of the highest score; of a single score -1 below a half, for there is nothing else it could be."""
    return -1 if len(scores) == 1 and scores[0] < 0.5 else int(np.argmax(scores))


def _only(found: Found, number: int) -> Found:
    return found.of(found.classes == number)


def _precision(answers: Sequence[Found], truths: Sequence[Found]) -> float:
    """Average precision."""
    total = sum(len(each.boxes) for each in truths)
    if not total:
        return float("nan")
    found_one = np.concatenate([hits(found, true) for found, true in zip(answers, truths, strict=True)])
    order = np.argsort(-np.concatenate([found.scores for found in answers]), kind="stable")
    right = np.cumsum(found_one[order])
    precision = right / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(right / total, prepend=0.0) * envelope))


def hits(found: Found, true: Found) -> NDArray[np.bool_]:
    """For each detection of one picture: is it the first to find a truth?"""
    first, taken = np.zeros(len(found.boxes), bool), np.zeros(len(true.boxes), bool)
    overlap = np.where(found.classes[:, None] == true.classes[None, :], _iou(found.boxes, true.boxes), 0.0)
    for row in np.argsort(-found.scores, kind="stable"):
        free = np.where(taken, 0.0, overlap[row])
        if len(free) and free.max() >= MATCH:
            first[row] = taken[int(free.argmax())] = True
    return first


def _iou(one: Floats, other: Floats) -> Floats:
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (one, other)]
    return np.asarray(inner / np.maximum(areas[0][:, None] + areas[1][None] - inner, 1e-12))
