"""What things do at the lines and in the zones of their camera: crossed, entered, left, dwelt. Pure.

A thing is where it stands: the middle of its box's lower edge, as for zones (agent.pipeline.zones). Boxes tremble, so
nothing is told of a move that their trembling explains (JITTER of the box's size):

- a line is crossed when a thing that was clearly on one side of it is clearly on the other, and the way between the
  two cuts the line itself, not only what would be its continuation; how often it swayed on the line is all the same;
- a zone is entered when the thing stands in it, at its first sighting too; it is left when the thing stands clearly
  outside, or was given up; a stay is told as `dwelt` once, when the thing is seen in the zone after `dwell_seconds`.

A stay runs on while the thing is hidden for as long as the tracker keeps it. A line or zone that is redrawn begins
anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.pipeline.zones import Point, distance, foot
from agent.tracking.tracker import Track
from agent.types import Box, Direction, Happening, Line, What, Zone

JITTER = 0.1  # of a box's size
_FINEST = 0.002  # of the picture


@dataclass(frozen=True)
class Marks:
    """What is drawn onto a camera's picture."""

    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()


@dataclass(slots=True)
class _Stay:
    since: float
    seen: float
    told: bool = False  # that it dwelt


@dataclass(slots=True)
class _Doings:
    """Of one thing: where it was when it last stood clearly beside each line, and since when it is in which zone."""

    stood: dict[Line, tuple[bool, Point]] = field(default_factory=dict)  # right of it?
    stays: dict[Zone, _Stay] = field(default_factory=dict)


class Rules:
    """Of one camera's things as one deployment sees them."""

    def __init__(self) -> None:
        self._doings: dict[int, _Doings] = {}

    def __len__(self) -> int:
        return len(self._doings)

    def saw(self, marks: Marks, track: Track, box: Box, captured: float) -> list[Happening]:
        """A known thing was seen there then."""
        doings = self._doings.get(track.number)
        if doings is None:
            doings = self._doings[track.number] = _Doings()
            _look(doings, marks.lines, track.born)
        if not (marks.lines or marks.zones):
            return []
        crossed = [_crossed(track, *each) for each in _look(doings, marks.lines, box)]
        return [*crossed, *_stayed(doings, marks.zones, track, box, captured)]

    def ended(self, marks: Marks, track: Track) -> list[Happening]:
        """It was given up: what it was in, it left when it was seen last."""
        doings = self._doings.pop(track.number, None)
        stays = doings.stays if doings else {}
        return [_left(track, zone, stays[zone]) for zone in marks.zones if zone in stays]


def _look(doings: _Doings, lines: tuple[Line, ...], box: Box) -> list[tuple[Line, bool]]:
    """Note beside which lines it clearly stands; those it has crossed since, and whether to the right."""
    crossed, here = [], foot(box)
    for line in lines:
        off = _off(line, here)
        if abs(off) <= _trembling(line, box):
            continue
        right, before = off > 0, doings.stood.get(line)
        doings.stood[line] = right, here
        if before is not None and before[0] != right and _cuts(line, before[1], here):
            crossed.append((line, right))
    return crossed


def _off(line: Line, point: Point) -> float:
    """Distance from the line and its continuation; more than 0 to the right of who looks from its first point on."""
    (ax, ay), (bx, by) = line.points
    return ((bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)) / math.dist(*line.points)


def _trembling(line: Line, box: Box) -> float:
    """How far the box may be off, across the line."""
    (ax, ay), (bx, by) = line.points
    size = abs(by - ay) * (box.x1 - box.x0) + abs(bx - ax) * (box.y1 - box.y0)
    return _FINEST + JITTER * size / math.dist(*line.points)


def _cuts(line: Line, start: Point, end: Point) -> bool:
    """Whether the way from one side to the other leads over the line itself."""
    (ax, ay), (bx, by) = line.points
    before, after = _off(line, start), _off(line, end)
    share = before / (before - after)
    x, y = start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
    along = (x - ax) * (bx - ax) + (y - ay) * (by - ay)
    return 0 <= along <= (bx - ax) ** 2 + (by - ay) ** 2


def _stayed(doings: _Doings, zones: tuple[Zone, ...], track: Track, box: Box, captured: float) -> Iterator[Happening]:
    for zone in zones:
        stay = doings.stays.get(zone)
        if zone.name in box.zones:
            if stay is None:
                stay = doings.stays[zone] = _Stay(captured, captured)
                yield Happening(What.ENTERED, zone.name, track.label, track.number)
            stay.seen = captured
            yield from _dwelt(track, zone, stay)
        elif stay is not None and _outside(zone, box):
            yield _left(track, zone, doings.stays.pop(zone))
        elif stay is not None:
            stay.seen = captured


def _dwelt(track: Track, zone: Zone, stay: _Stay) -> Iterator[Happening]:
    seconds = stay.seen - stay.since
    if zone.dwell_seconds and seconds >= zone.dwell_seconds and not stay.told:
        stay.told = True
        yield Happening(What.DWELT, zone.name, track.label, track.number, seconds=seconds)


def _outside(zone: Zone, box: Box) -> bool:
    """Clearly."""
    trembling = _FINEST + JITTER * (box.x1 - box.x0 + box.y1 - box.y0) / 2
    return distance(zone.points, foot(box)) > trembling


def _left(track: Track, zone: Zone, stay: _Stay) -> Happening:
    return Happening(What.LEFT, zone.name, track.label, track.number, seconds=stay.seen - stay.since)


def _crossed(track: Track, line: Line, to_right: bool) -> Happening:  # noqa: FBT001 - the pair that `_look` found
    direction = Direction.TO_RIGHT if to_right else Direction.TO_LEFT
    return Happening(What.CROSSED, line.name, track.label, track.number, direction)
