"""Decoded pictures as the sources leave them: RGB, or planes with the colours their stream declared."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from agent.cameras import geometry
from agent.cameras.colour import YuvColour
from agent.cameras.letterbox import Pixels, letterbox, letterbox_planes, planes_to_rgb, resize_rgb, small_grey
from agent.cameras.region import Cut
from agent.types import Geometry, ModelInput


@dataclass(frozen=True)
class RgbPicture:
    """[height, width, 3]."""

    pixels: Pixels

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def digest(self) -> int:
        return zlib.crc32(np.ascontiguousarray(self.pixels).data)

    def cut(self, cut: Cut) -> RgbPicture:
        return RgbPicture(self.pixels[cut.top : cut.bottom, cut.left : cut.right])

    def fit(self, wanted: ModelInput, out: Pixels, before: Geometry | None = None) -> Geometry:
        return letterbox(self.pixels, wanted.height, wanted.width, wanted.fit, wanted.pad, out, before)[1]

    def rgb(self, max_side: int) -> Pixels:
        width, height = geometry.shrink(self.width, self.height, max_side)
        resized = resize_rgb(self.pixels, height, width)
        return resized.copy() if resized is self.pixels else resized

    def grey(self, max_side: int) -> Pixels:
        width, height = geometry.shrink(self.width, self.height, max_side)
        return np.asarray(cv2.cvtColor(small_grey(self.pixels, height, width), cv2.COLOR_RGB2GRAY), np.uint8)


@dataclass(frozen=True)
class PlanarPicture:
    """Y, U and V of any subsampling; they look into the decoder's buffer and keep it alive."""

    planes: tuple[Pixels, Pixels, Pixels]
    colour: YuvColour

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    def digest(self) -> int:
        return zlib.crc32(np.ascontiguousarray(self.planes[0]).data)

    def cut(self, cut: Cut) -> PlanarPicture:
        luma, first, second = (_cut_plane(plane, cut) for plane in self.planes)
        return PlanarPicture((luma, first, second), self.colour)

    def fit(self, wanted: ModelInput, out: Pixels, before: Geometry | None = None) -> Geometry:
        return letterbox_planes(self.planes, self.colour, wanted, out, before)[1]

    def rgb(self, max_side: int) -> Pixels:
        width, height = geometry.shrink(self.width, self.height, max_side)
        pixels = np.empty((height, width, 3), np.uint8)
        planes_to_rgb(self.planes, self.colour, pixels)
        return pixels

    def grey(self, max_side: int) -> Pixels:
        width, height = geometry.shrink(self.width, self.height, max_side)
        return small_grey(self.planes[0], height, width)


def _cut_plane(plane: Pixels, cut: Cut) -> Pixels:
    """A plane of colours may hold one for several pixels: for as many as a cell has, at most."""
    down, across = -(-cut.height // plane.shape[0]), -(-cut.width // plane.shape[1])
    return plane[cut.top // down : -(-cut.bottom // down), cut.left // across : -(-cut.right // across)]
