"""Zones, masks and lines of a camera: named parts of its picture, as people write them. Pure.

A zone is a polygon with its corners in order, each `[x, y]` from `[0, 0]`, top left, to `[1, 1]`, bottom right: it is
the same part of a picture of any size. A line leads from its first point to its second, which says where its right and
left are. A mask is a polygon as a zone is: motion in it does not count, and what stands in it is not told. Which zones
a detection lies in, and what crosses a line, is found out on the box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from controlplane.fields import Fields, number, text
from protos import ids
from protos.errors import Rejected

MOST_PARTS = 16  # of one kind, of one camera
CORNERS = range(3, 33)
LEAST_LENGTH = 0.02  # of a line, in shares of the picture
MAX_DWELL_SECONDS = 86_400
LEAST_AREA = 1e-4  # of the picture: a hundredth of its width by a hundredth of its height
_DIGITS = 4  # of a coordinate: finer than a pixel of any camera

Point = tuple[float, float]


@dataclass(frozen=True)
class Zone:
    name: str
    points: tuple[Point, ...]
    dwell_seconds: float = 0.0  # a stay that long is told; 0: none is


@dataclass(frozen=True)
class Line:
    name: str
    points: tuple[Point, Point]


P = TypeVar("P", Zone, Line)


def from_spec(value: object, where: str) -> tuple[Zone, ...]:
    """Raises Rejected, naming the zone that is wrong."""
    return _parts(value, where, "zone", _zone)


def masks_from_spec(value: object, where: str) -> tuple[Zone, ...]:
    """Raises Rejected, naming the mask that is wrong."""
    return _parts(value, where, "mask", _polygon)


def lines_from_spec(value: object, where: str) -> tuple[Line, ...]:
    """Raises Rejected, naming the line that is wrong."""
    return _parts(value, where, "line", _line)


def to_spec(parts: Iterable[Zone | Line]) -> list[dict[str, object]]:
    """The inverse of those three."""
    return [
        {"name": part.name, "points": [list(point) for point in part.points]}
        | ({"dwellSeconds": part.dwell_seconds} if isinstance(part, Zone) and part.dwell_seconds else {})
        for part in parts
    ]


def _parts(value: object, where: str, kind: str, read: Callable[[Fields, str], P]) -> tuple[P, ...]:
    if not isinstance(value, list):
        raise Rejected(f"{where} must be a list of {{name, points}}")
    if len(value) > MOST_PARTS:
        raise Rejected(f"{where}: {len(value)} {kind}s are more than the {MOST_PARTS} of one camera")
    found = tuple(_part(Fields(item, f"{where}[{index}]"), kind, read) for index, item in enumerate(value))
    names = [part.name for part in found]
    for name in names:
        if names.count(name) > 1:
            raise Rejected(f"{where}: there are {names.count(name)} {kind}s called {name}; give each a name of its own")
    return found


def _part(fields: Fields, kind: str, read: Callable[[Fields, str], P]) -> P:
    name = fields.need("name", lambda name, where: ids.name(text(name, where), f"{kind} name"))
    part = read(fields, name)
    fields.done()
    if isinstance(part, Line) and math.dist(*part.points) < LEAST_LENGTH:
        raise Rejected(f"{fields.where}.points: line {name} is too short to be crossed; draw it across the way")
    if isinstance(part, Zone) and _area(part.points) < LEAST_AREA:
        raise Rejected(
            f"{fields.where}.points: {kind} {name} has no area; give its corners in order, one after the other"
        )
    return part


def _zone(fields: Fields, name: str) -> Zone:
    dwell = fields.take("dwellSeconds", number(0, MAX_DWELL_SECONDS), default=0.0)
    return replace(_polygon(fields, name), dwell_seconds=dwell)


def _polygon(fields: Fields, name: str) -> Zone:
    return Zone(name, fields.need("points", _points))


def _line(fields: Fields, name: str) -> Line:
    return Line(name, fields.need("points", _ends))


def _ends(value: object, where: str) -> tuple[Point, Point]:
    if not isinstance(value, list) or len(value) != 2:
        raise Rejected(f"{where} must be two points, such as [[0.5, 0.9], [0.5, 0.3]]")
    first, second = (_point(item, f"{where}[{index}]") for index, item in enumerate(value))
    return first, second


def _points(value: object, where: str) -> tuple[Point, ...]:
    if not isinstance(value, list) or len(value) not in CORNERS:
        bounds = f"{CORNERS[0]} to {CORNERS[-1]}"
        raise Rejected(f"{where} must be {bounds} corners, such as [[0.1, 0.5], [0.9, 0.5], [0.5, 1]]")
    return tuple(_point(item, f"{where}[{index}]") for index, item in enumerate(value))


def _point(value: object, where: str) -> Point:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_inside, value)):
        raise Rejected(f"{where} must be [x, y], both from 0 (left, top) to 1 (right, bottom) of the picture")
    return round(float(value[0]), _DIGITS), round(float(value[1]), _DIGITS)


def _inside(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1


def _area(points: tuple[Point, ...]) -> float:
    """By the shoelace formula: 0 for points in one line."""
    pairs = zip(points, (*points[1:], points[0]), strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2
