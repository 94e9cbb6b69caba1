"""Which zones and masks of its camera a detection stands in. Pure.

A box stands where the middle of its lower edge is: that is where a person, boat or vehicle meets the ground, however
tall the box is. The edge of a zone belongs to it, so that a box cut off by the lower edge of the
picture stands in a zone that ends there. Where a zone's outline crosses itself, the even-odd rule decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import structs

from agent.types import Box, Zone

Point = tuple[float, float]
_ON = 1e-6  # of the picture: nearer than this to an edge is on it; a wire's float32 is no finer


def tagged(boxes: Iterable[Box], zones: Sequence[Zone]) -> tuple[Box, ...]:
    """The boxes, each with the names of the zones it stands in, in the order of `zones`."""
    return tuple(structs.replace(box, zones=standing(box, zones)) for box in boxes)


def standing(box: Box, zones: Iterable[Zone]) -> tuple[str, ...]:
    here = foot(box)
    return tuple(zone.name for zone in zones if contains(zone.points, here))


def foot(box: Box) -> Point:
    """Where a box stands."""
    return (box.x0 + box.x1) / 2, box.y1


def outside(boxes: tuple[Box, ...], masks: Sequence[Zone]) -> tuple[Box, ...]:
    """Those that stand in no mask."""
    return tuple(box for box in boxes if not standing(box, masks)) if masks else boxes


def contains(corners: Sequence[Point], point: Point) -> bool:
    """Whether the polygon holds the point; its outline is part of it."""
    inside = False
    for start, end in zip(corners, (*corners[1:], corners[0]), strict=True):
        if _touches(start, end, point):
            return True
        inside ^= _crosses(start, end, point)
    return inside


def _crosses(start: Point, end: Point, point: Point) -> bool:
    """Whether a ray from the point to the right crosses this edge; its lower end counts, its upper does not."""
    (x0, y0), (x1, y1), (x, y) = start, end, point
    return (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)


def distance(corners: Sequence[Point], point: Point) -> float:
    """From the outline."""
    edges = zip(corners, (*corners[1:], corners[0]), strict=True)
    return math.sqrt(min(_squared(start, end, point) for start, end in edges))


def _touches(start: Point, end: Point, point: Point) -> bool:
    return _squared(start, end, point) <= _ON**2


def _squared(start: Point, end: Point, point: Point) -> float:
    """Of the distance from an edge."""
    (x0, y0), (x1, y1), (x, y) = start, end, point
    along = (x1 - x0) ** 2 + (y1 - y0) ** 2
    share = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / along if along else 0.0
    share = min(1.0, max(0.0, share))
    return (x - x0 - share * (x1 - x0)) ** 2 + (y - y0 - share * (y1 - y0)) ** 2
