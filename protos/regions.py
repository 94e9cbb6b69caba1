"""A part of a picture, as boxes are told: corners as shares of the picture as captured, 0,0 top left, 1,1 bottom right.

One that reaches beyond the picture means what of it lies within.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

from protos.errors import Rejected


@dataclass(frozen=True)
class Region:
    """Left, top, right, bottom."""

    x0: float = 0.0
    y0: float = 0.0
    x1: float = 1.0
    y1: float = 1.0


WHOLE = Region()


def within(region: Region) -> Region:
    """What of it lies in the picture. Raises Rejected where nothing does."""
    corners = astuple(region)
    if not all(map(math.isfinite, corners)):
        raise Rejected("a region has four numbers: left, top, right and bottom as shares of the picture, 0 to 1")
    found = Region(*(min(1.0, max(0.0, each)) for each in corners))
    if found.x0 >= found.x1 or found.y0 >= found.y1:
        raise Rejected(
            "the region has nothing of the picture: give left, top, right and bottom as shares of it, 0 to 1"
        )
    return found
