"""Sprites: things that are drawn once, large, and then placed many times.

Rules that hold here: a sprite's colour is premultiplied by its alpha, so tinting it with the light is one exact
multiplication; a pen measures in design pixels from the bottom left, y upwards, because everything in a harbour stands
on something; drawing happens at three times the size and is averaged down, which is the whole of the antialiasing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[float, float, float]
Point = tuple[float, float]

OVERSAMPLING = 3
OPAQUE = 128  # alpha from which a pixel counts as covered by the object


@dataclass(frozen=True, slots=True)
class Sprite:
    """`paint` is premultiplied RGBA; `lights` is what shines by itself at night, RGBA with alpha 0, or nothing."""

    paint: Pixels
    lights: Pixels | None = None
    area: int = field(init=False)  # pixels that it covers

    def __post_init__(self) -> None:
        object.__setattr__(self, "area", int(np.count_nonzero(self.paint[:, :, 3] >= OPAQUE)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in picture pixels."""
        return self.paint.shape[1], self.paint.shape[0]

    def mirrored(self) -> "Sprite":
        lights = None if self.lights is None else np.ascontiguousarray(self.lights[:, ::-1])
        return Sprite(np.ascontiguousarray(self.paint[:, ::-1]), lights)

    def reflected(self, strength: float, squash: float) -> "Sprite":
        """The same thing upside down in the water: fainter, and fading with depth."""
        width, height = self.size
        flipped = cv2.resize(self.paint[::-1], (width, max(2, round(height * squash))), interpolation=cv2.INTER_AREA)
        fade = np.linspace(strength, 0.0, flipped.shape[0], dtype=np.float32)[:, None, None]
        return Sprite((flipped * fade).astype(np.uint8))


class Pen:
    """A canvas for one sprite; `scale` is picture pixels per design pixel."""

    def __init__(self, width: float, height: float, scale: float) -> None:
        self._height = height
        self._out = (max(2, round(width * scale)), max(2, round(height * scale)))
        shape = (self._out[1] * OVERSAMPLING, self._out[0] * OVERSAMPLING)
        self._kx, self._ky = shape[1] / width, shape[0] / height
        self._colour = np.zeros((*shape, 3), np.uint8)
        self._alpha = np.zeros(shape, np.uint8)
        self._lights: Pixels | None = None

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        at = np.array([self._at(x, y) for x, y in points], np.int32)
        cv2.fillPoly(self._colour, [at], colour)
        cv2.fillPoly(self._alpha, [at], 255)

    def rect(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        self.polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour)

    def line(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        thick = max(1, round(width * self._kx))
        cv2.line(self._colour, self._at(*start), self._at(*end), colour, thick)
        cv2.line(self._alpha, self._at(*start), self._at(*end), 255, thick)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        reach = max(1, round(radius * self._kx))
        cv2.circle(self._colour, self._at(x, y), reach, colour, -1)
        cv2.circle(self._alpha, self._at(x, y), reach, 255, -1)

    def lamp(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """A lit window: invisible by day, added to the picture at night."""
        if self._lights is None:
            self._lights = np.zeros_like(self._colour)
        cv2.rectangle(self._lights, self._at(x, y), self._at(x + width, y + height), colour, -1)

    def shade(self, top: float, bottom: float) -> None:
        """Lighten the top and darken the foot, so that flat colour reads as a body."""
        ramp = np.linspace(top, bottom, self._colour.shape[0], dtype=np.float32)[:, None, None]
        self._colour = np.clip(self._colour * ramp, 0, 255).astype(np.uint8)

    def sprite(self) -> Sprite:
        covered = self._colour * (self._alpha[:, :, None] > 0)
        paint = np.dstack([self._down(covered), self._down(self._alpha)])
        if self._lights is None:
            return Sprite(paint)
        lights = self._down(self._lights)
        return Sprite(paint, np.dstack([lights, np.zeros(lights.shape[:2], np.uint8)]))

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round(x * self._kx), round((self._height - y) * self._ky)

    def _down(self, canvas: Pixels) -> Pixels:
        small: Pixels = cv2.resize(canvas, self._out, interpolation=cv2.INTER_AREA)
        return small


@dataclass(frozen=True, slots=True)
class Film:
    """Paint made ready to be laid over a picture: what it lets through, and what it adds; RGB both."""

    through: Pixels
    adds: Pixels

    @classmethod
    def of(cls, paint: Pixels) -> "Film":
        through = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(paint, 3)), cv2.COLOR_GRAY2RGB)
        return cls(through, cv2.cvtColor(paint, cv2.COLOR_RGBA2RGB))

    def cut(self, x0: int, y0: int, x1: int, y1: int) -> "Film":
        return Film(self.through[y0:y1, x0:x1], self.adds[y0:y1, x0:x1])

    def over(self, picture: Pixels) -> None:
        """Lay it over `picture`, in place; both have the same height and width."""
        cv2.multiply(picture, self.through, picture, 1 / 255)
        cv2.add(picture, self.adds, picture)
