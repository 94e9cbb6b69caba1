"""Pictures for people and for the wire: JPEG within a size, boxes and a caption drawn in. Runs in the capture worker.

A label keeps its colour everywhere. Drawing costs a few milliseconds and happens only while somebody looks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from agent.cameras import geometry, masks, region
from agent.cameras.letterbox import Pixels, resize_rgb
from agent.cameras.messages import MAX_JPEG
from agent.cameras.source import Picture
from agent.types import Box, View, Zone
from protos.regions import WHOLE

RGB = tuple[int, int, int]
Area = tuple[int, int, int, int]  # left, top, right, bottom, pixels
PALETTE: tuple[RGB, ...] = (
    (64, 196, 255),
    (255, 171, 64),
    (178, 255, 89),
    (255, 110, 180),
    (255, 234, 0),
    (124, 140, 255),
    (29, 233, 182),
    (255, 110, 94),
)
KNOWN = {"boat": PALETTE[0], "container": PALETTE[1], "truck": PALETTE[2], "person": PALETTE[3]}
INK: RGB = (16, 20, 26)
PAPER: RGB = (244, 247, 250)
PREVIEW_QUALITY = 80
LOWEST_QUALITY = 20
TEXT = 13  # pixels high at a width of 640


def encode(picture: Picture, view: View, hidden: Sequence[Zone] = ()) -> bytes:
    """JPEG of at most MAX_JPEG bytes: quality goes down first, then size. What lies in `hidden` is in none.

    Raises Rejected: nothing of the picture is in the view's region.
    """
    shown = region.cut(view.region, picture.width, picture.height)
    pixels = picture.cut(shown).rgb(max(16, view.max_side))
    masks.paint(pixels, [mask.points for mask in hidden], shown)
    return jpeg(pixels, view.quality)


@dataclass(frozen=True)
class Drawn:
    """What is drawn on a picture."""

    boxes: Sequence[Box] = ()
    caption: str = ""
    zones: Sequence[Zone] = ()
    masks: Sequence[Zone] = ()  # nothing of the picture is left in them


def preview(picture: Picture, drawn: Drawn, max_width: int) -> bytes:
    """JPEG with masks under zones, zones under boxes, their names and the caption drawn in."""
    side = max_width * max(1.0, picture.height / picture.width)
    canvas = picture.rgb(max(64, round(side)))
    masks.hatch(canvas, [mask.points for mask in drawn.masks], region.cut(WHOLE, picture.width, picture.height))
    for zone in (*drawn.masks, *drawn.zones):
        _draw_zone(canvas, zone)
    annotate(canvas, drawn.boxes, drawn.caption)
    return jpeg(canvas, PREVIEW_QUALITY)


def annotate(canvas: Pixels, boxes: Iterable[Box], caption: str) -> None:
    """Boxes, labels and the caption, drawn into RGB pixels."""
    surest_last = sorted(boxes, key=lambda box: box.score)
    for box in surest_last:
        _draw_box(canvas, box)
    _draw_tags(canvas, reversed(surest_last))
    if caption:
        _draw_caption(canvas, caption)


def jpeg(pixels: Pixels, quality: int, limit: int = MAX_JPEG) -> bytes:
    while True:
        content = _jpeg(pixels, quality)
        if len(content) <= limit:
            return content
        if quality > LOWEST_QUALITY:
            quality = max(LOWEST_QUALITY, quality - 15)
        else:
            width, height = geometry.shrink(pixels.shape[1], pixels.shape[0], max(pixels.shape[:2]) * 3 // 4)
            pixels = resize_rgb(pixels, height, width)


def colour_of(label: str) -> RGB:
    return KNOWN.get(label, PALETTE[zlib.crc32(label.encode()) % len(PALETTE)])


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, min(95, max(1, quality))]
    )
    assert done
    return content.tobytes()


@lru_cache(maxsize=2)
def _font() -> Any:
    return cv2.FontFace("sans")


def _unit(canvas: Pixels) -> float:
    """Sizes are given for a width of 640."""
    return float(max(0.6, canvas.shape[1] / 640))


def _draw_zone(canvas: Pixels, zone: Zone) -> None:
    """A thin line and its name at the first corner: what stands in it matters more. Of two points it is a line."""
    height, width = canvas.shape[:2]
    unit = _unit(canvas)
    corners = np.array([(round(x * (width - 1)), round(y * (height - 1))) for x, y in zone.points], dtype=np.int32)
    cv2.polylines(canvas, [corners], True, INK, max(1, round(unit)) + 1, cv2.LINE_AA)
    cv2.polylines(canvas, [corners], True, PAPER, max(1, round(unit)), cv2.LINE_AA)
    size = round(TEXT * unit * 0.85)
    left = min(max(2, int(corners[0][0]) + 4), max(2, width - _width(zone.name, size) - 4))
    base = min(max(size + 2, int(corners[0][1]) + size + 2), height - 4)
    cv2.putText(canvas, zone.name, (left + 1, base + 1), INK, _font(), size, 400)
    cv2.putText(canvas, zone.name, (left, base), PAPER, _font(), size, 400)


def _draw_box(canvas: Pixels, box: Box) -> None:
    height, width = canvas.shape[:2]
    unit, colour = _unit(canvas), colour_of(box.label)
    corner, opposite = (round(box.x0 * width), round(box.y0 * height)), (round(box.x1 * width), round(box.y1 * height))
    thick = max(1, round(2 * unit))
    cv2.rectangle(canvas, corner, opposite, INK, thick + 2, cv2.LINE_AA)
    cv2.rectangle(canvas, corner, opposite, colour, thick, cv2.LINE_AA)


def _draw_tags(canvas: Pixels, surest_first: Iterable[Box]) -> None:
    """A label for each box that has room for one: the colour tells the rest of a crowd."""
    placed: list[Area] = []
    for box in surest_first:
        text = tag(box)
        area = _tag_area(canvas, text, box)
        if not any(_overlap(area, other) for other in placed):
            placed.append(area)
            _draw_tag(canvas, text, area, colour_of(box.label))


def tag(box: Box) -> str:
    """A known thing is called by its number."""
    return f"{box.label} #{box.track}" if box.track else f"{box.label} {box.score * 100:.0f}"


def _tag_area(canvas: Pixels, text: str, box: Box) -> Area:
    """Above the box, or under it where there is no room: left, top, right, bottom."""
    height, width = canvas.shape[:2]
    size = round(TEXT * _unit(canvas))
    wide, high = _width(text, size) + 8, size + 6
    left = min(max(0, round(box.x0 * width) - 1), max(0, width - wide))
    above, below = round(box.y0 * height) - high, round(box.y1 * height)
    top = above if above >= 0 else min(below, height - high)
    return left, top, left + wide, top + high


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_tag(canvas: Pixels, text: str, area: Area, colour: RGB) -> None:
    left, top, right, bottom = area
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, cv2.FILLED)
    cv2.putText(canvas, text, (left + 4, bottom - 5), INK, _font(), bottom - top - 6, 600)


def _draw_caption(canvas: Pixels, caption: str) -> None:
    """One line on a dark strip at the lower edge."""
    size = round(TEXT * _unit(canvas))
    high = size + 10
    strip = canvas[-high:]
    strip[:] = cv2.addWeighted(strip, 0.35, np.full_like(strip, INK), 0.65, 0.0)
    cv2.putText(canvas, caption, (8, canvas.shape[0] - 7), PAPER, _font(), size, 400)


@lru_cache(maxsize=512)
def _width(text: str, size: int) -> int:
    """Pixels that `text` takes."""
    return int(cv2.getTextSize((0, 0), text, (0, 0), _font(), size, 600)[2])
