"""The part of a picture that somebody asked for: which pixels it is, and the way between its places and the picture's.

Pure: the capture worker cuts by it, and who asked can tell from the picture's size alone what was cut. A region that
reaches beyond the picture is clipped to it. It grows to whole cells of CELL pixels, for a decoder may keep one colour
for two or four pixels: so what is cut has the colours of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import structs

from agent.types import Box
from protos.regions import Region, within

CELL = 4  # pixels
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Cut:
    """Pixels of a picture of `width` x `height`: from (left, top) up to (right, bottom), these not included."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int

    def points(self, points: Points) -> Points:
        """Of the picture, normalised to what was cut; outside of 0 to 1 where they lie beside it."""
        wide, high = self.right - self.left, self.bottom - self.top
        return tuple(((x * self.width - self.left) / wide, (y * self.height - self.top) / high) for x, y in points)

    def boxes(self, found: Iterable[Box]) -> tuple[Box, ...]:
        """Of what was cut, normalised to the picture."""
        return tuple(
            structs.replace(box, x0=self._x(box.x0), y0=self._y(box.y0), x1=self._x(box.x1), y1=self._y(box.y1))
            for box in found
        )

    def _x(self, share: float) -> float:
        return self.left / self.width + share * ((self.right - self.left) / self.width)

    def _y(self, share: float) -> float:
        return self.top / self.height + share * ((self.bottom - self.top) / self.height)


def cut(wanted: Region, width: int, height: int) -> Cut:
    """What is cut of a picture of that many pixels. Raises Rejected where nothing of it is in the region."""
    shown = within(wanted)
    (left, right), (top, bottom) = _cells(shown.x0, shown.x1, width), _cells(shown.y0, shown.y1, height)
    return Cut(left, top, right, bottom, width, height)


def _cells(low: float, high: float, size: int) -> tuple[int, int]:
    """Whole cells, one at least, that hold what lies between two shares of `size` pixels; the last may be cut short."""
    first = min(math.floor(low * size / CELL), (size - 1) // CELL)
    last = max(first + 1, math.ceil(high * size / CELL))
    return first * CELL, min(size, last * CELL)
