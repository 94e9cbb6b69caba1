"""Zones and lines of a camera: named parts of its picture, as people write them. Pure.

A zone is a polygon with its corners in order, each `[x, y]` from `[0, 0]`, top left, to `[1, 1]`, bottom right: it is
the same part of a picture of any size. A line leads from its first point to its second, which says where its right and
left are. Which zones a detection lies in, and what crosses a line, is found out on the box.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.fields import Fields, number, text
from protos import ids
from protos.errors import Rejected

MOST_ZONES = 16  # of one camera
CORNERS = range(3, 33)
MOST_LINES = 16  # of one camera
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


def from_spec(value: object, where: str, kind: str = "zone") -> tuple[Zone, ...]:
    """Raises Rejected, naming the zone, or what else of its `kind`, that is wrong."""
    if not isinstance(value, list):
        raise Rejected(f"{where} must be a list of {{name, points}}")
    if len(value) > MOST_ZONES:
        raise Rejected(f"{where}: {len(value)} {kind}s are more than the {MOST_ZONES} of one camera")
    found = tuple(_zone(item, f"{where}[{index}]", kind) for index, item in enumerate(value))
    _check_names([zone.name for zone in found], where, f"{kind}s")
    return found


def to_spec(zones: Iterable[Zone]) -> list[dict[str, object]]:
    """The inverse of `from_spec`."""
    return [
        {"name": zone.name, "points": [list(point) for point in zone.points]}
        | ({"dwellSeconds": zone.dwell_seconds} if zone.dwell_seconds else {})
        for zone in zones
    ]


def lines_from_spec(value: object, where: str) -> tuple[Line, ...]:
    """Raises Rejected, naming the line that is wrong."""
    if not isinstance(value, list):
        raise Rejected(f"{where} must be a list of {{name, points}}")
    if len(value) > MOST_LINES:
        raise Rejected(f"{where}: {len(value)} lines are more than the {MOST_LINES} of one camera")
    found = tuple(_line(item, f"{where}[{index}]") for index, item in enumerate(value))
    _check_names([line.name for line in found], where, "lines")
    return found


def lines_to_spec(lines: Iterable[Line]) -> list[dict[str, object]]:
    """The inverse of `lines_from_spec`."""
    return [{"name": line.name, "points": [list(point) for point in line.points]} for line in lines]


def _check_names(names: list[str], where: str, what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise Rejected(f"{where}: there are {names.count(name)} {what} called {name}; give each a name of its own")


def _line(value: object, where: str) -> Line:
    fields = Fields(value, where)
    line = Line(
        name=fields.need("name", lambda name, _: ids.name(text(name, f"{where}.name"), "line name")),
        points=fields.need("points", _ends),
    )
    fields.done()
    if math.dist(*line.points) < LEAST_LENGTH:
        raise Rejected(f"{where}.points: line {line.name} is too short to be crossed; draw it across the way")
    return line


def _ends(value: object, where: str) -> tuple[Point, Point]:
    if not isinstance(value, list) or len(value) != 2:
        raise Rejected(f"{where} must be two points, such as [[0.5, 0.9], [0.5, 0.3]]")
    first, second = (_point(item, f"{where}[{index}]") for index, item in enumerate(value))
    return first, second


def _zone(value: object, where: str, kind: str) -> Zone:
    fields = Fields(value, where)
    zone = Zone(
        name=fields.need("name", lambda name, _: ids.name(text(name, f"{where}.name"), f"{kind} name")),
        points=fields.need("points", _points),
        dwell_seconds=fields.take("dwellSeconds", number(0, MAX_DWELL_SECONDS), default=0.0) if kind == "zone" else 0.0,
    )
    fields.done()
    if _area(zone.points) < LEAST_AREA:
        raise Rejected(
            f"{where}.points: {kind} {zone.name} has no area; give its corners in order, one after the other"
        )
    return zone


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
