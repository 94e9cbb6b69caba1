"""Average precision at IoU 0.5: pure numbers in, numbers out.

Rules that hold here: a detection is matched to the unclaimed truth of its class and picture that it overlaps most, in
falling order of score; the area is taken under the precision envelope at every recall reached (all points, as in VOC
since 2010); an object hidden for more than three quarters is no truth, so finding it counts as a mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
MATCH = 0.5


@dataclass(frozen=True)
class Found:
    """What one picture's detections or truths of one class are: boxes [N, 4]; scores [N], ones for truths."""

    boxes: Boxes
    scores: NDArray[np.float64]


def average_precision(detections: Sequence[Found], truths: Sequence[Found]) -> float:
    """AP of one class over pictures given in the same order."""
    total = sum(len(truth.boxes) for truth in truths)
    if total == 0:
        return float("nan")
    matched = [matches(found, truth.boxes) for found, truth in zip(detections, truths, strict=True)]
    hits, scores = np.concatenate(matched), np.concatenate([found.scores for found in detections])
    hits = hits[np.argsort(-scores, kind="stable")]
    true = np.cumsum(hits)
    return area_under(true / total, true / np.arange(1, len(hits) + 1))


def area_under(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Area under the envelope: the best precision at this recall or beyond."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def matches(found: Found, truth: Boxes) -> NDArray[np.bool_]:
    """For each detection of one picture, whether it is the first to find a truth."""
    hits, taken = np.zeros(len(found.boxes), bool), np.zeros(len(truth), bool)
    overlap = iou(found.boxes, truth)
    for row in np.argsort(-found.scores, kind="stable"):
        free = np.where(taken, 0.0, overlap[row])
        if len(free) and free.max() >= MATCH:
            hits[row] = taken[int(free.argmax())] = True
    return hits


def iou(one: Boxes, other: Boxes) -> Boxes:
    """Intersection over union of every box of `one` with every box of `other`."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (one, other)]
    return np.asarray(inner / np.maximum(areas[0][:, None] + areas[1][None] - inner, 1e-12))
