"""Zones of a camera: named parts of its picture, as people write them. Pure.

A zone is a polygon with its corners in order, each `[x, y]` from `[0, 0]`, top left, to `[1, 1]`, bottom right: it is
the same part of a picture of any size. Which zones a detection lies in is found out on the box.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.fields import Fields, text
from protos import ids
from protos.errors import Rejected

MOST_ZONES = 16  # of one camera
CORNERS = range(3, 33)
LEAST_AREA = 1e-4  # of the picture: a hundredth of its width by a hundredth of its height
_DIGITS = 4  # of a coordinate: finer than a pixel of any camera

Point = tuple[float, float]


@dataclass(frozen=True)
class Zone:
    name: str
    points: tuple[Point, ...]


def from_spec(value: object, where: str, kind: str = "zone") -> tuple[Zone, ...]:
    """Raises Rejected, naming the zone, or what else of its `kind`, that is wrong."""
    if not isinstance(value, list):
        raise Rejected(f"{where} must be a list of {{name, points}}")
    if len(value) > MOST_ZONES:
        raise Rejected(f"{where}: {len(value)} {kind}s are more than the {MOST_ZONES} of one camera")
    found = tuple(_zone(item, f"{where}[{number}]", kind) for number, item in enumerate(value))
    names = [zone.name for zone in found]
    for name in names:
        if names.count(name) > 1:
            raise Rejected(f"{where}: there are {names.count(name)} {kind}s called {name}; give each a name of its own")
    return found


def to_spec(zones: Iterable[Zone]) -> list[dict[str, object]]:
    """The inverse of `from_spec`."""
    return [{"name": zone.name, "points": [list(point) for point in zone.points]} for zone in zones]


def _zone(value: object, where: str, kind: str) -> Zone:
    fields = Fields(value, where)
    zone = Zone(
        name=fields.need("name", lambda name, _: ids.name(text(name, f"{where}.name"), f"{kind} name")),
        points=fields.need("points", _points),
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
    return tuple(_point(item, f"{where}[{number}]") for number, item in enumerate(value))


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
