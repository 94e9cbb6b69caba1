"""Whether a graph in another precision answers as it does in fp32. Pure: what both answered in, a sentence out.

Detections are compared as what they mean. Their scores, in order, are to be the same; and each that is sure enough is
to be found again: of the same class, about where it was, about as sure. Two that are nearly as sure may change places,
and one whose class is a toss-up may change it, so few may be missing. Of other graphs each number is compared, by how
far it may be off of the largest, and what is no number with a point is to be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.inference.contract import DETECTION
from agent.inference.graph import Array

SURE = 0.25  # a detection with such a score is looked for
SAME_PLACE = 0.85  # of both boxes together is in both


@dataclass(frozen=True)
class Tolerance:
    """`off`: a score, or a share of an output's largest number. `lost`: share of detections that need not be there."""

    off: float
    lost: float


# Measured with the sample model against ONNX Runtime: f32 is off by 1e-6 and loses none; bf16, whose numbers have 8
# bits, is off by 0.02, with boxes of which 0.98 is in both.
TOLERANCES = {"f32": Tolerance(0.005, 0.02), "bf16": Tolerance(0.05, 0.1)}


def difference(task: str, fp32: Mapping[str, Array], ours: Mapping[str, Array], tolerance: Tolerance) -> str:
    """What is too different, as words that complete "it …"; "" where nothing is."""
    for name, expected in fp32.items():
        if ours[name].shape != expected.shape or ours[name].dtype != expected.dtype:
            return f"gives {name!r} another shape or type"
    if task == "detection" and _are_detections(*(fp32[name] for name in DETECTION)):
        return _detections(fp32, ours, tolerance)
    return _numbers(fp32, ours, tolerance)


def _are_detections(boxes: Array, scores: Array, classes: Array) -> bool:
    """A graph may answer in other shapes than it declares."""
    return scores.ndim == 2 and classes.shape == scores.shape and boxes.shape == (*scores.shape, 4)


def _numbers(fp32: Mapping[str, Array], ours: Mapping[str, Array], tolerance: Tolerance) -> str:
    for name, expected in fp32.items():
        off = _off(expected, ours[name])
        if not off <= tolerance.off:
            return f"is off by {off:.2%} of the largest number in {name!r}, of {tolerance.off:.1%}"
    return ""


def _off(expected: Array, found: Array) -> float:
    """As a share of the largest; infinite for what is another number without a point, or no number."""
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(expected, found) else float("inf")
    if not expected.size or np.array_equal(expected, found, equal_nan=True):
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(expected.astype(np.float64) - found.astype(np.float64)).max()
        return float(apart / max(np.abs(expected.astype(np.float64)).max(), 1e-6))


def _detections(fp32: Mapping[str, Array], ours: Mapping[str, Array], tolerance: Tolerance) -> str:
    ranked = [np.sort(each["scores"].astype(np.float64), axis=-1) for each in (fp32, ours)]
    off = float(np.abs(ranked[0] - ranked[1]).max()) if ranked[0].size else 0.0
    if not off <= tolerance.off:
        return f"gives a score that is off by {off:.3f}, of {tolerance.off}"
    sure, lost = 0, 0
    for picture in range(len(ranked[0])):
        theirs, mine = ([each[name][picture] for name in DETECTION] for each in (fp32, ours))
        for row in np.flatnonzero(theirs[1] >= SURE):
            sure += 1
            lost += not _found([each[row] for each in theirs], mine, tolerance.off)
    return f"loses {lost} of {sure} detections" if lost > tolerance.lost * sure else ""


def _found(row: list[Array], rows: list[Array], off: float) -> bool:
    box, score, kind = row
    boxes, scores, kinds = rows
    near = (kinds == kind) & (np.abs(scores.astype(np.float64) - float(score)) <= off)
    return bool(np.any(_overlap(box, boxes)[near] >= SAME_PLACE))


def _overlap(box: Array, boxes: Array) -> NDArray[np.float64]:
    """What is in both, of what is in either; 1 for two that are the same, however small."""
    one, many = box.astype(np.float64), boxes.astype(np.float64)
    sides = np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2])
    both = np.prod(np.clip(sides, 0, None), axis=-1)
    either = np.prod(one[2:] - one[:2]) + np.prod(many[:, 2:] - many[:, :2], axis=-1) - both
    shared: NDArray[np.float64] = np.where(either > 0, both / np.where(either > 0, either, 1.0), 0.0)
    return np.where(np.abs(many - one).max(axis=-1) < 1e-3, 1.0, shared)
