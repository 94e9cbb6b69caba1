"""Which part of a picture is asked for, as people write it. Pure."""

from __future__ import annotations

from protos.errors import Rejected
from protos.regions import WHOLE, Region, within


def region(text: str) -> Region:
    """`x0,y0,x1,y1` as a detection's box has them; all of the picture for an empty text. Raises Rejected."""
    if not text:
        return WHOLE
    try:
        x0, y0, x1, y1 = map(float, text.split(","))
    except ValueError:
        raise Rejected(
            f"region {text[:40]!r} is not x0,y0,x1,y1; such as 0.25,0.5,0.5,1 of a box in detections"
        ) from None
    return within(Region(x0, y0, x1, y1))
