"""Whether two releases saw the same on a frame. Pure.

F1 of the one's boxes against the other's, at an IoU of 0.5 and with equal labels, matched greedily from the best score
down, as COCO's evaluation does; a frame on which neither sees anything is one on which they agree wholly.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.types import Box

SAME_BOX = 0.5  # IoU, at least
AGREES = 0.8  # F1, at least


def agree(ours: Sequence[Box], theirs: Sequence[Box]) -> bool:
    return f1(ours, theirs) >= AGREES


def f1(ours: Sequence[Box], theirs: Sequence[Box]) -> float:
    """0 to 1, the same either way but for ties."""
    if not ours and not theirs:
        return 1.0
    left = list(ours)
    matched = 0
    for box in sorted(theirs, key=lambda box: -box.score):
        alike = [other for other in left if other.label == box.label]
        best = max(alike, key=lambda other: iou(box, other), default=None)
        if best is not None and iou(box, best) >= SAME_BOX:
            left.remove(best)
            matched += 1
    return 2 * matched / (len(ours) + len(theirs))


def iou(one: Box, other: Box) -> float:
    """Area of both over the area of either."""
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    down = min(one.y1, other.y1) - max(one.y0, other.y0)
    if across <= 0 or down <= 0:
        return 0.0
    both = across * down
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> float:
    return (box.x1 - box.x0) * (box.y1 - box.y0)
