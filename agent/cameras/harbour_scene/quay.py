"""The quay as one cached layer: apron, road, back row of containers, ship-to-shore crane and lamp posts.

Rules that hold here: the layer's `owner` map says for every pixel whether it is water (0), quay (255) or which
container of the back row it shows, numbered from 1 in the order of `stacked`; nothing on this layer moves.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from agent.cameras.harbour_scene import cargo
from agent.cameras.harbour_scene.backdrop import fractal
from agent.cameras.harbour_scene.sprites import Colour, Pixels, Point, Sprite

ROW_CONTAINERS = 10  # at most, in each of the two rows of stacks
NOBODY = 255
Track = tuple[int, int, int, int]  # of the trolley: x from, x to, y of the boom, lowest y of a load
BACK_SCALE = 0.82  # of a container in the back row against one on the near lane
CRANE_PAINTS: tuple[Colour, ...] = ((40, 92, 160), (196, 56, 44), (232, 176, 44), (60, 128, 108))


@dataclass(frozen=True)
class Layout:
    """Where things stand, in picture pixels; `unit` is picture pixels per design pixel."""

    width: int
    height: int
    unit: float
    horizon: int
    edge: int  # the row in which the quay begins

    def row(self, share: float) -> int:
        """A row of the quay: 0 is its edge, 1 the bottom of the picture."""
        return self.edge + round(share * (self.height - self.edge))


@dataclass(frozen=True, slots=True)
class Stacked:
    """A container of the stacks: its window x0, y0, x1, y1 in the picture, and its pixels wherever they are."""

    window: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True)
class Quay:
    paint: Pixels  # premultiplied RGBA, whole picture
    owner: Pixels
    stacked: tuple[Stacked, ...]
    lamps: tuple[tuple[int, int], ...]  # where each lamp hangs
    trolley: Track


def build(rng: np.random.Generator, layout: Layout) -> Quay:
    paint = np.zeros((layout.height, layout.width, 4), np.uint8)
    owner = np.zeros((layout.height, layout.width), np.uint8)
    _apron(paint, rng, layout)
    owner[layout.edge :] = NOBODY
    crane_x = float(rng.uniform(0.18, 0.78)) * layout.width
    trolley = _crane(paint, owner, rng, layout, crane_x)
    start = float(rng.uniform(-20, 330)) * layout.unit  # both rows begin about here: the one hides the other's feet
    stacked = _stacks(paint, owner, rng, layout, (0.15, 0.78, (1, 2, 2)), start)
    stacked += _stacks(paint, owner, rng, layout, (0.23, BACK_SCALE, (1, 2, 2, 3)), start, len(stacked))
    lamps = tuple(_lamp_post(paint, owner, layout, x) for x in _lamp_places(rng, layout))
    return Quay(paint, owner, tuple(stacked), lamps, trolley)


def _apron(paint: Pixels, rng: np.random.Generator, layout: Layout) -> None:
    edge, unit = layout.edge, layout.unit
    depth = layout.height - edge
    tone = float(rng.uniform(136, 172))
    grain = fractal(rng, layout.width, depth, (9, 3), 5)[:, :, None] * 26 - 13
    fall = np.linspace(6, -14, depth, dtype=np.float32)[:, None, None]
    concrete = np.array([tone + 4, tone, tone - 8], np.float32) + grain + fall
    paint[edge:, :, :3] = np.clip(concrete, 0, 255).astype(np.uint8)
    paint[edge:, :, 3] = 255
    coping = max(2, round(3 * unit))
    paint[edge : edge + coping, :, :3] = (212, 206, 190)
    paint[edge + coping : edge + coping + max(1, round(1.5 * unit)), :, :3] = (236, 190, 60)
    top, bottom = layout.row(0.36), layout.row(0.83)
    paint[top:bottom, :, :3] = (paint[top:bottom, :, :3] * 0.62).astype(np.uint8)
    for y in (top, bottom - 2):
        paint[y : y + max(1, round(1.5 * unit)), :, :3] = (214, 212, 204)
    middle, dash = layout.row(0.635), round(26 * unit)
    for x in range(-dash, layout.width, 2 * dash):
        cv2.rectangle(paint, (x, middle), (x + dash, middle + max(1, round(unit))), (220, 216, 200, 255), -1)


def _beam(paint: Pixels, owner: Pixels, start: Point, end: Point, look: tuple[Colour, float]) -> None:
    colour, width = look
    one, other = ((round(x), round(y)) for x, y in (start, end))
    thick = max(1, round(width))
    cv2.line(paint, one, other, (*colour, 255), thick, cv2.LINE_AA)
    cv2.line(owner, one, other, NOBODY, thick)


def _crane(paint: Pixels, owner: Pixels, rng: np.random.Generator, layout: Layout, x: float) -> Track:
    """Four legs, a portal, a boom out to one side and the stays that hold it."""
    unit, base = layout.unit, layout.row(0.12)
    side = 1.0 if rng.random() < 0.5 else -1.0
    colour = CRANE_PAINTS[int(rng.integers(len(CRANE_PAINTS)))]
    dark: Colour = (colour[0] * 0.7, colour[1] * 0.7, colour[2] * 0.7)
    boom, apex, half = base - 128 * unit, base - 168 * unit, 30 * unit
    tip, tail = x + side * 190 * unit, x - side * 70 * unit
    for leg, tone in ((-half + 7 * unit, dark), (half + 7 * unit, dark), (-half, colour), (half, colour)):
        _beam(paint, owner, (x + leg, base), (x + leg * 0.86, boom), (tone, 4 * unit))
    _beam(paint, owner, (x - half, base - 52 * unit), (x + half, base - 52 * unit), (colour, 4 * unit))
    _beam(paint, owner, (x - half, base - 52 * unit), (x + half, boom), (dark, 2 * unit))
    _beam(paint, owner, (tail, boom), (tip, boom), (colour, 5 * unit))
    for foot in (-half, half):
        _beam(paint, owner, (x + foot * 0.86, boom), (x, apex), (colour, 3 * unit))
    for end in (tip, x + side * 90 * unit, tail):
        _beam(paint, owner, (x, apex), (end, boom), (dark, 1.2 * unit))
    _beam(paint, owner, (tail, boom - 8 * unit), (tail + side * 26 * unit, boom - 8 * unit), (dark, 14 * unit))
    reach = sorted((x + side * 46 * unit, tip - side * 26 * unit))
    return round(reach[0]), round(reach[1]), round(boom), round(base - 38 * unit)


def _stacks(
    paint: Pixels,
    owner: Pixels,
    rng: np.random.Generator,
    layout: Layout,
    row: tuple[float, float, tuple[int, ...]],
    start: float,
    before: int = 0,
) -> list[Stacked]:
    """One row of columns, so many containers high, with gaps to look through; numbers follow `before`."""
    share, size, levels = row
    scale, base = size * layout.unit, layout.row(share)
    x = start + float(rng.uniform(-16, 16)) * layout.unit
    stacked: list[Stacked] = []
    while x < layout.width and len(stacked) < ROW_CONTAINERS:
        length = cargo.CONTAINER_LENGTHS[int(rng.random() < 0.45)]
        for level in range(int(rng.choice(levels))):
            box = cargo.container(rng, length, scale)
            at = (round(x), base - (level + 1) * box.size[1])
            stacked.append(_put(paint, owner, box, at, before + len(stacked) + 1))
        x += length * scale + float(rng.choice([1.5, 1.5, 1.5, 1.5, 30])) * layout.unit
    return stacked


def _put(paint: Pixels, owner: Pixels, sprite: Sprite, at: tuple[int, int], number: int) -> Stacked:
    (x, y), (width, height) = at, sprite.size
    left, right = max(0, x), max(0, min(paint.shape[1], x + width))
    window = (left, y, right, y + height)
    if left < right:
        # A container's side is opaque but for its outermost pixels, which show nothing worth blending.
        paint[y : y + height, left:right] = sprite.paint[:, left - x : right - x]
        paint[y : y + height, left:right, 3] = 255
        owner[y : y + height, left:right] = number
    return Stacked(window, width * height)


def _lamp_places(rng: np.random.Generator, layout: Layout) -> list[int]:
    first = float(rng.uniform(0.05, 0.2))
    return [round((first + 0.3 * index) * layout.width) for index in range(3)]


def _lamp_post(paint: Pixels, owner: Pixels, layout: Layout, x: int) -> tuple[int, int]:
    unit, base = layout.unit, layout.row(0.34)
    top = base - 92 * unit
    _beam(paint, owner, (x, base), (x, top), ((74, 78, 84), 2.4 * unit))
    _beam(paint, owner, (x, top), (x + 15 * unit, top - 3 * unit), ((74, 78, 84), 2 * unit))
    _beam(paint, owner, (x + 11 * unit, top - 2 * unit), (x + 18 * unit, top - 2 * unit), ((232, 226, 200), 2.4 * unit))
    return round(x + 15 * unit), round(top)
