"""Four numbers of a box in any public convention → corners in 0..1 of the input."""

from __future__ import annotations

from controlplane.packaging.wish import Frame
from controlplane.packaging.writer import Writer


def corners(to: Writer, boxes: str, order: str, units: str, frame: Frame) -> str:
    """boxes float32 [N,S,4] in `order` and `units` → [N,S,4] as x0, y0, x1, y1, normalised."""
    if order == "yxyx":
        boxes = to.pick(boxes, 2, (1, 0, 3, 2))
    elif order != "xyxy":
        boxes = _spread(to, to.part(boxes, 2, 0, 2), to.part(boxes, 2, 2, 4), order)
    if units == "normalised":
        return boxes
    return to.node("Div", boxes, to.real([frame.width, frame.height] * 2))


def around(to: Writer, middle: str, size: str) -> str:
    """Middles and sizes [N,S,2] → corners [N,S,4]."""
    return _spread(to, middle, size, "cxcywh")


def _spread(to: Writer, start: str, size: str, order: str) -> str:
    if order == "xywh":
        return to.concat(2, start, to.node("Add", start, size))
    half = to.node("Mul", size, to.real(0.5))
    return to.concat(2, to.node("Sub", start, half), to.node("Add", start, half))
