"""Where a picture lies inside a model's input, and the way back. Pure; the one place where fit is computed.

`letterbox` keeps the picture's shape and centres it between bars; `stretch` fills the input. The scale kept in
Geometry is the one that whole pixels gave, not the one that was wished for, so boxes come back exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.types import Geometry, ModelInput
from protos.errors import Rejected

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Placement:
    """The picture's rectangle in the input: `width` x `height` pixels at (geometry.left, geometry.top)."""

    geometry: Geometry
    width: int
    height: int


def place(picture_width: int, picture_height: int, wanted: ModelInput) -> Placement:
    """Raises Rejected for a fit that is not known."""
    if wanted.fit == "stretch":
        width, height = wanted.width, wanted.height
    elif wanted.fit == "letterbox":
        scale = min(wanted.width / picture_width, wanted.height / picture_height)
        width = min(wanted.width, max(1, round(picture_width * scale)))
        height = min(wanted.height, max(1, round(picture_height * scale)))
    else:
        raise Rejected(f"fit {wanted.fit!r} is not known; use 'letterbox' or 'stretch'")
    left, top = (wanted.width - width) // 2, (wanted.height - height) // 2
    scales = (width / picture_width, height / picture_height)
    return Placement(Geometry(picture_width, picture_height, *scales, left, top), width, height)


def shrink(width: int, height: int, max_side: int) -> tuple[int, int]:
    """The size with its longer side at most `max_side`; never larger than it was."""
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_picture(corners: Corners, geometry: Geometry) -> Corners:
    """Corners in input pixels → corners normalised to the picture, clipped to it."""
    x0, y0, x1, y1 = corners
    return (_across(x0, geometry), _down(y0, geometry), _across(x1, geometry), _down(y1, geometry))


def to_input(corners: Corners, geometry: Geometry) -> Corners:
    """Corners normalised to the picture → corners in input pixels."""
    across = geometry.picture_width * geometry.scale_x
    down = geometry.picture_height * geometry.scale_y
    x0, y0, x1, y1 = corners
    return (
        x0 * across + geometry.left,
        y0 * down + geometry.top,
        x1 * across + geometry.left,
        y1 * down + geometry.top,
    )


def _across(x: float, geometry: Geometry) -> float:
    return _unit((x - geometry.left) / (geometry.picture_width * geometry.scale_x))


def _down(y: float, geometry: Geometry) -> float:
    return _unit((y - geometry.top) / (geometry.picture_height * geometry.scale_y))


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
