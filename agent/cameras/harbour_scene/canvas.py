"""The canvas of one frame: a picture, and beside it the map of which object each pixel shows.

Rules that hold here: truth is counted from the owner map when everything is drawn, never computed from where things
ought to be; `visible` compares with the silhouette inside the picture, so being cut off by the edge is not occlusion,
but an object of which less than LEAST_VISIBLE is to be seen, for either reason, is no truth.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.harbour_scene.motion import Part
from agent.cameras.harbour_scene.quay import NOBODY, Quay
from agent.cameras.harbour_scene.sprites import OPAQUE, Film, Pixels

LEAST_VISIBLE = 0.25  # below this share of its pixels an object is hidden, and no truth
LEAST_LENGTH, LEAST_THICKNESS = 10 / 640, 8 / 640  # of the picture's width: a sliver below either is no truth
FIRST_MOVING = 32  # owner numbers below belong to the stacks

Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in picture pixels
Tint = NDArray[np.float32]
Films = dict[int, Film]  # of sprites that keep to whole pixels, by the sprite's identity


@dataclass(frozen=True, slots=True)
class Truth:
    """`box` is x0, y0, x1, y1 of the visible pixels, 0..1 of the picture; `visible` their share of the silhouette."""

    label: str
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True, slots=True)
class _Claim:
    """An object's number in the owner map, where it was drawn, and its silhouette inside the picture and in all."""

    number: int
    label: str
    window: Window
    inside: int
    total: int


class Canvas:
    def __init__(self, picture: Pixels) -> None:
        self.picture = picture
        self._owner = np.zeros(picture.shape[:2], np.uint8)
        self._claims: list[_Claim] = []

    def lay_quay(self, quay: Quay, film: Film, edge: int) -> None:
        """The quay over the water: mixed above its edge, opaque below."""
        Film(film.through[:edge], film.adds[:edge]).over(self.picture[:edge])
        self.picture[edge:] = film.adds[edge:]
        cv2.copyTo(quay.owner, quay.owner, self._owner)
        for number, box in enumerate(quay.stacked, start=1):
            x0, y0, x1, y1 = box.window
            if x0 < x1:
                self._claims.append(_Claim(number, "container", box.window, (x1 - x0) * (y1 - y0), box.area))

    def lay(self, part: Part, tint: Tint, films: Films) -> None:
        """Draw one part and, if it is solid, claim its pixels."""
        x, y = part.x, part.base - part.sprite.size[1]
        if not part.solid:
            x, y = round(x), round(y)  # what is blurred anyway need not move by fractions
        window, paint = cut(part.sprite.paint, x, y, self._size())
        if paint is None:
            return
        self._film(part, (x, y), window, paint, tint, films).over(self._at(window))
        if part.solid:
            self._claim(part, window, paint)

    def shine(self, light: Pixels, x: float, y: float, strength: float) -> None:
        """Add light, RGB or RGBA, with its left upper corner at (x, y)."""
        window, seen = cut(light, x, y, self._size())
        if seen is not None:
            if seen.shape[2] == 4:
                seen = cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB)
            target = self._at(window)
            cv2.addWeighted(target, 1.0, seen, strength, 0.0, target)

    def truths(self) -> list[Truth]:
        return [truth for claim in self._claims if (truth := self._truth(claim)) is not None]

    def _size(self) -> tuple[int, int]:
        return self.picture.shape[1], self.picture.shape[0]

    def _at(self, window: Window) -> Pixels:
        x0, y0, x1, y1 = window
        return self.picture[y0:y1, x0:x1]

    def _film(
        self, part: Part, at: tuple[float, float], window: Window, paint: Pixels, tint: Tint, films: Films
    ) -> Film:
        """The tinted part; kept for the rest of the second where it will be the same again."""
        left, top = round(at[0]), round(at[1])
        if part.solid and not (part.still and at == (left, top)):
            return Film.of(cv2.transform(paint, tint))
        film = films.get(id(part.sprite))
        if film is None:
            film = films[id(part.sprite)] = Film.of(cv2.transform(part.sprite.paint, tint))
        x0, y0, x1, y1 = window
        return film.cut(x0 - left, y0 - top, x1 - left, y1 - top)

    def _claim(self, part: Part, window: Window, paint: Pixels) -> None:
        mask = cv2.compare(cv2.extractChannel(paint, 3), OPAQUE - 1, cv2.CMP_GT)
        number = NOBODY
        if part.label is not None:
            number = FIRST_MOVING + len(self._claims)
            self._claims.append(_Claim(number, part.label, window, cv2.countNonZero(mask), part.sprite.area))
        x0, y0, x1, y1 = window
        self._owner[y0:y1, x0:x1][mask > 0] = number

    def _truth(self, claim: _Claim) -> Truth | None:
        x0, y0, x1, y1 = claim.window
        mask = cv2.compare(self._owner[y0:y1, x0:x1], claim.number, cv2.CMP_EQ)
        seen = cv2.countNonZero(mask)
        if seen == 0 or seen < LEAST_VISIBLE * claim.total:
            return None
        left, top, width, height = cv2.boundingRect(mask)
        wide, high = self._size()
        if max(width, height) < LEAST_LENGTH * wide or min(width, height) < LEAST_THICKNESS * wide:
            return None
        left, top = left + x0, top + y0
        box = (left / wide, top / high, (left + width) / wide, (top + height) / high)
        return Truth(claim.label, box, seen / claim.inside)


def cut(paint: Pixels, x: float, y: float, size: tuple[int, int]) -> tuple[Window, Pixels | None]:
    """The part of `paint` inside the picture when its corner lies at (x, y), shifted by the fraction of a pixel."""
    left, top = int(np.floor(x)), int(np.floor(y))
    height, width = paint.shape[:2]
    right, bottom = left + width + (x > left), top + height + (y > top)
    x0, y0, x1, y1 = window = (max(0, left), max(0, top), min(size[0], right), min(size[1], bottom))
    if x0 >= x1 or y0 >= y1:
        return window, None
    if (x, y) == (left, top):
        return window, paint[y0 - top : y1 - top, x0 - left : x1 - left]
    move = np.array([[1, 0, x - x0], [0, 1, y - y0]], np.float32)
    return window, cv2.warpAffine(paint, move, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
