"""What moves, and where it is at time t: closed formulas, so any frame can be drawn without the ones before it.

Rules that hold here: `placed(t)` returns the parts of one thing from back to front; a part with a label is an object
of that class, a part without one (wake, reflection, shadow) belongs to nobody and hides nothing.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from agent.cameras.harbour_scene import boats, cargo
from agent.cameras.harbour_scene.backdrop import fractal
from agent.cameras.harbour_scene.quay import BACK_SCALE, Layout, Track
from agent.cameras.harbour_scene.sprites import Pixels, Sprite


@dataclass(frozen=True, slots=True)
class Part:
    """A sprite with its left and lower edge; `label` None: not an object. `solid`: it hides what is behind."""

    sprite: Sprite
    x: float
    base: float
    label: str | None = None
    solid: bool = True
    still: bool = False  # it never moves, so one tint serves it for a whole second


class Thing(Protocol):
    @property
    def depth(self) -> float:
        """The picture row it stands on: things are drawn by growing depth."""

    def placed(self, t: float) -> list[Part]: ...


@dataclass(frozen=True)
class Boat:
    sprite: Sprite
    reflection: Sprite
    wake: Sprite
    depth: float
    start: float
    speed: float  # picture pixels per second, negative to the left
    span: float
    roll: float

    def placed(self, t: float) -> list[Part]:
        width, height = self.sprite.size
        x = (self.start + self.speed * t) % self.span - width
        base = self.depth + np.sin(t * 1.3 + self.roll) * max(0.4, 0.012 * height)
        parts = [Part(self.reflection, x, base + self.reflection.size[1] - 1, solid=False)]
        if self.speed:
            wide = self.wake.size[0]
            astern = x - wide * 0.72 if self.speed > 0 else x + width - wide * 0.28
            parts.append(Part(self.wake, astern, base + self.wake.size[1] * 0.55, solid=False))
        return [*parts, Part(self.sprite, x, base, "boat")]


@dataclass(frozen=True)
class Truck:
    sprite: Sprite
    shadow: Sprite
    load: Sprite | None
    load_at: tuple[float, float]  # of the load's left lower corner, from the truck's
    depth: float
    start: float
    speed: float
    span: float

    def placed(self, t: float) -> list[Part]:
        x = (self.start + self.speed * t) % self.span - self.sprite.size[0]
        parts = [Part(self.shadow, x, self.depth + 2, solid=False)]
        if self.load is not None:
            parts.append(Part(self.load, x + self.load_at[0], self.depth - self.load_at[1], "container"))
        return [*parts, Part(self.sprite, x, self.depth, "truck")]


@dataclass(frozen=True)
class Person:
    strides: tuple[Sprite, ...]
    shadow: Sprite
    depth: float
    start: float
    speed: float
    span: float

    def placed(self, t: float) -> list[Part]:
        x = (self.start + self.speed * t) % self.span - self.strides[0].size[0]
        step = int(t * 5 + self.start) % len(self.strides) if self.speed else 1
        shadow = Part(self.shadow, x - 1, self.depth + 1, solid=False)
        return [shadow, Part(self.strides[step], x, self.depth, "person")]


@dataclass(frozen=True)
class Standing:
    """Furniture, or a container that nobody is moving."""

    sprite: Sprite
    x: float
    depth: float
    label: str | None = None

    def placed(self, t: float) -> list[Part]:
        del t
        return [Part(self.sprite, self.x, self.depth, self.label, still=True)]


@dataclass(frozen=True)
class Load:
    """A container under the crane's trolley: out, down, up and back again."""

    sprite: Sprite
    spreader: Sprite
    track: Track
    period: float
    depth: float = 0.0  # before everything else on the quay

    def placed(self, t: float) -> list[Part]:
        left, right, boom, lowest = self.track
        turn = 2 * np.pi * t / self.period
        x = left + (right - left) * (0.5 - 0.5 * np.cos(turn)) - self.sprite.size[0] / 2
        height = self.sprite.size[1]
        base = boom + height * 1.8 + (lowest - boom - height * 1.8) * (0.5 + 0.5 * np.cos(2 * turn + 0.6))
        rope = round(base - height - boom)
        cables = Sprite(cv2.resize(self.spreader.paint, (self.sprite.size[0], max(2, rope))))
        return [Part(cables, x, base - height), Part(self.sprite, x, base, "container")]


def fleet(rng: np.random.Generator, layout: Layout) -> list[Boat]:
    """Five to nine boats on lanes of their own, smaller towards the horizon."""
    count = int(rng.integers(5, 10))
    reach = layout.edge - layout.horizon
    depths = np.sort(np.linspace(0.06, 0.95, count) + rng.uniform(-0.03, 0.03, count))
    return [_boat(rng, layout, layout.horizon + float(depth) * reach, float(depth)) for depth in depths]


def _boat(rng: np.random.Generator, layout: Layout, row: float, near: float) -> Boat:
    kind = boats.KINDS[int(rng.choice(6, p=(0.24, 0.16, 0.2, 0.16, 0.14, 0.1)))]
    scale = (0.44 + 0.56 * near) * layout.unit * (0.55 if kind is boats.freighter and near < 0.5 else 0.85)
    sprite = kind(rng, scale)
    speed = float(rng.uniform(5, 16)) * (0.4 + near) * layout.unit * float(rng.choice([-1, 1, 1, -1, 0]))
    if speed < 0 or (speed == 0 and rng.random() < 0.5):
        sprite = sprite.mirrored()
    wake = _foam(rng, sprite.size[0], max(3, round(7 * scale)))
    span = layout.width + 2.0 * sprite.size[0]
    reflection = sprite.reflected(0.42, 0.5)
    start = float(rng.uniform(0, span))
    return Boat(sprite, reflection, wake if speed >= 0 else wake.mirrored(), row, start, speed, span, start % 6.3)


def _foam(rng: np.random.Generator, length: int, height: int) -> Sprite:
    """White water: strong at the hull, ragged, and gone one length astern."""
    wide = max(8, round(1.5 * length))
    ragged = fractal(rng, wide, height, (max(3, wide // 8), 2), 2)
    along = np.linspace(0, 1, wide, dtype=np.float32)[None, :] ** 1.2
    across = 1 - np.abs(np.linspace(-1, 1, height, dtype=np.float32))[:, None] ** 2
    alpha = np.clip(ragged * 1.6 - 0.35, 0, 1) * along * across * 190
    return Sprite(np.repeat(alpha[:, :, None], 4, axis=2).astype(np.uint8))


def _shadow(width: float, height: float, strength: int) -> Sprite:
    paint = np.zeros((max(2, round(height)), max(2, round(width)), 4), np.uint8)
    middle = (paint.shape[1] // 2, paint.shape[0] // 2)
    alpha = np.zeros(paint.shape[:2], np.uint8)
    cv2.ellipse(alpha, middle, (int(width * 0.48), max(1, int(height * 0.4))), 0, 0, 360, strength, -1, cv2.LINE_AA)
    paint[:, :, 3] = alpha
    return Sprite(paint)


def traffic(rng: np.random.Generator, layout: Layout) -> list[Truck]:
    """Two lanes, each with one speed, so that nobody drives through anybody."""
    trucks: list[Truck] = []
    for share, size, way in ((0.61, 0.92, -1.0), (0.76, 1.04, 1.0)):
        speed = way * float(rng.uniform(22, 48)) * layout.unit
        span = layout.width + 240.0 * layout.unit
        start, gap = float(rng.uniform(0, span)), span / 4
        for place in np.flatnonzero(rng.random(4) < 0.7):
            offset = start + float(place) * gap + float(rng.uniform(0, 0.2)) * gap
            trucks.append(_truck(rng, (layout.row(share), size * layout.unit), (offset, speed, span)))
    return trucks


def _truck(rng: np.random.Generator, stand: tuple[float, float], run: tuple[float, float, float]) -> Truck:
    (row, scale), (start, speed, span) = stand, run
    body = str(rng.choice(["box", "tank", "flat", "flat"]))
    sprite = cargo.truck(rng, body, scale)
    load, load_x = None, 1.0
    if body == "flat" and rng.random() < 0.85:
        length = cargo.CONTAINER_LENGTHS[int(rng.random() < 0.6)]
        load = cargo.container(rng, length, scale)
        load_x = float(rng.uniform(1, 80 - length))
    if speed < 0:
        sprite, load_x = sprite.mirrored(), cargo.TRUCK_SIZE[0] - load_x - (load.size[0] / scale if load else 0)
    at = (load_x * scale, cargo.DECK_HEIGHT * scale - 1)
    shadow = _shadow(cargo.TRUCK_SIZE[0] * scale, 9 * scale, 110)
    return Truck(sprite, shadow, load, at, row, start, speed, span)


def crowd(rng: np.random.Generator, layout: Layout) -> list[Person]:
    """Six to thirteen people on the two footways, in company, a step apart."""
    people: list[Person] = []
    while len(people) < int(rng.integers(6, 12)):
        near = bool(rng.random() < 0.6)
        share = float(rng.uniform(0.87, 1.0) if near else rng.uniform(0.27, 0.36))
        scale = (0.7 + 0.5 * share) * layout.unit
        span = layout.width + 40.0 * layout.unit
        start = float(rng.uniform(0, span))
        speed = float(rng.choice([-1, 1, 0])) * float(rng.uniform(8, 17)) * layout.unit
        for _ in range(int(rng.choice([2, 2, 3, 3]))):
            people.append(_person(rng, layout.row(min(1.0, share)), scale, (start, speed, span)))
            start += float(rng.uniform(20, 32)) * layout.unit
            share += float(rng.uniform(-0.02, 0.03))
    return people


def _person(rng: np.random.Generator, row: float, scale: float, run: tuple[float, float, float]) -> Person:
    start, speed, span = run
    strides = cargo.person(rng, scale)
    if speed < 0:
        strides = tuple(stride.mirrored() for stride in strides)
    return Person(strides, _shadow(18 * scale, 5 * scale, 100), row, start, speed, span)


def furniture(rng: np.random.Generator, layout: Layout) -> list[Standing]:
    """What stands in front and hides things: barriers, crates, bollards, and now and then a big container."""
    standing: list[Standing] = []
    for _ in range(int(rng.integers(12, 18))):
        near = bool(rng.random() < 0.4)
        share = float(rng.uniform(0.93, 1.0) if near else rng.uniform(0.25, 0.33))
        scale = (0.55 + 0.65 * share) * layout.unit
        kind = int(rng.choice(3, p=(0.25, 0.2, 0.55)))
        sprite = (cargo.barrier(scale), cargo.bollard(scale), cargo.crates(rng, scale))[kind]
        x = float(int(rng.uniform(0, 0.95) * layout.width))
        standing.append(Standing(sprite, x, layout.row(share)))
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        length = cargo.CONTAINER_LENGTHS[int(rng.random() < 0.5)]
        sprite = cargo.container(rng, length, 1.3 * layout.unit)
        x = float(int(rng.uniform(-0.08, 0.95) * layout.width))
        standing.append(Standing(sprite, x, layout.row(float(rng.uniform(0.96, 1.02))), "container"))
    return standing


def load(rng: np.random.Generator, layout: Layout, track: Track) -> Load:
    scale = BACK_SCALE * layout.unit
    sprite = cargo.container(rng, cargo.CONTAINER_LENGTHS[int(rng.random() < 0.6)], scale)
    return Load(sprite, Sprite(_cables(sprite.size[0])), track, float(rng.uniform(40, 70)))


def _cables(width: int) -> Pixels:
    """Four ropes and the spreader at their lower end; the scene stretches them to the length needed."""
    paint = np.zeros((40, width, 4), np.uint8)
    for x in (0.2, 0.4, 0.6, 0.8):
        cv2.line(paint, (round(x * width), 0), (round(x * width), 39), (40, 42, 46, 255), 1)
    paint[37:] = (232, 190, 50, 255)
    return paint
