"""Masks painted over pixels, in every picture that leaves the capture worker.

They are painted after a picture was made small, and a pixel beyond their outline: where several pixels became one,
nothing that lay behind a mask is left in any. What a model of this box looks at never leaves it and is not painted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.letterbox import Pixels
from agent.cameras.region import Cut, Points

GREY = (114, 114, 114)  # as the bars beside a picture: models were taught that nothing is there
INK, PAPER = (58, 64, 72), (84, 92, 102)
_SHIFT = 4  # bits of a corner's fraction of a pixel
Corners = NDArray[np.int32]


def paint(pixels: Pixels, masks: Iterable[Points], shown: Cut) -> None:
    """Cover what lies behind masks in RGB pixels that show this part of the picture."""
    for corners in _drawn(pixels, masks, shown):
        _cover(pixels, corners, GREY)


def hatch(pixels: Pixels, masks: Iterable[Points], shown: Cut) -> None:
    """The same for people: dark with slanted lines, so that it is seen to be covered and not to be dark there."""
    drawn = list(_drawn(pixels, masks, shown))
    if not drawn:
        return
    covered = np.zeros(pixels.shape[:2], np.uint8)
    for corners in drawn:
        _cover(covered, corners, (255,))
    pixels[covered > 0] = _lines(*pixels.shape[:2])[covered > 0]


def _drawn(pixels: Pixels, masks: Iterable[Points], shown: Cut) -> Iterator[Corners]:
    height, width = pixels.shape[:2]
    scale = np.array([width, height], np.float64)
    for points in masks:
        # Pixel 0 spans 0 to 1, and cv2 takes 0 for its middle.
        corners = np.array(shown.points(points), np.float64) * scale - 0.5
        yield np.round(corners * (1 << _SHIFT)).astype(np.int32)


def _cover(pixels: Pixels, corners: Corners, colour: tuple[int, ...]) -> None:
    cv2.fillPoly(pixels, [corners], colour, cv2.LINE_8, _SHIFT)
    cv2.polylines(pixels, [corners], True, colour, 3, cv2.LINE_8, _SHIFT)


@lru_cache(maxsize=2)
def _lines(height: int, width: int) -> Pixels:
    """Slanted lines all over."""
    gap = max(8, round(width / 50))
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    thick = max(1, gap // 6)
    return np.where(((across + down) % gap < thick)[..., None], PAPER, INK).astype(np.uint8)
