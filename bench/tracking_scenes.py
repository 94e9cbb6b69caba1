"""Scenes whose truth is known thing by thing, and what a detector makes of them. Seeded; no picture is drawn.

`harbour` moves the drawn harbour's own boats, trucks and people on their ways, behind its barriers and containers;
`crowd` sends people criss-cross through each other and behind pillars. A detector sees what at least LEAST_VISIBLE of
is in sight: its boxes tremble, some are missed, some are of nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from agent.cameras.harbour_scene import motion, quay
from agent.cameras.harbour_scene.motion import Part
from agent.types import Box

WIDTH, HEIGHT = 640, 360
LEAST_VISIBLE = 0.35
TREMBLE = 0.04  # of a side, standard deviation
MISSED = 0.06  # of what is in sight; four times as many of what is half hidden
OF_NOTHING = 0.15  # boxes a frame
CELLS = 8  # of a thing, across and down
_GRID = [(column, row) for column in range(CELLS) for row in range(CELLS)]

Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class There:
    """A thing in sight, in shares of the picture."""

    who: Hashable
    label: str
    box: Rectangle
    visible: float


Scene = Callable[[float], list[There]]


@dataclass(frozen=True)
class Sight:
    """One frame: the things in sight, and the boxes found with whose they are (None: of nothing)."""

    captured: float
    there: tuple[Hashable, ...]
    boxes: tuple[Box, ...]
    whose: tuple[Hashable | None, ...]


def harbour(seed: int) -> Scene:
    rng = np.random.default_rng(seed)
    horizon, edge = (round(float(rng.uniform(*span)) * HEIGHT) for span in ((0.25, 0.31), (0.58, 0.64)))
    layout = quay.Layout(WIDTH, HEIGHT, 1.0, horizon, edge)
    boats: list[motion.Thing] = [*motion.fleet(rng, layout)]
    ashore: list[motion.Thing] = [*motion.traffic(rng, layout), *motion.crowd(rng, layout)]
    things = [*boats, *sorted([*ashore, *motion.furniture(rng, layout)], key=lambda thing: thing.depth)]
    return lambda t: _in_sight([_parts(index, thing, t) for index, thing in enumerate(things)])


def _parts(index: int, thing: motion.Thing, t: float) -> list[tuple[Hashable, Part]]:
    """What comes in again at the other side is another."""
    span = getattr(thing, "span", math.inf)
    turn = math.floor((getattr(thing, "start", 0.0) + getattr(thing, "speed", 0.0) * t) / span)
    return [((index, number, turn), part) for number, part in enumerate(thing.placed(t))]


def _in_sight(things: list[list[tuple[Hashable, Part]]]) -> list[There]:
    layers = [(who, part.label, _rectangle(part), part.solid) for parts in things for who, part in parts]
    hides = [rectangle for _, _, rectangle, solid in layers if solid]
    there, before = [], 0
    for who, label, rectangle, solid in layers:
        before += solid
        if label:
            there.append(_there(who, label, rectangle, hides[before:]))
    return [each for each in there if each.visible >= LEAST_VISIBLE]


def _rectangle(part: Part) -> Rectangle:
    wide, high = part.sprite.size
    return part.x / WIDTH, (part.base - high) / HEIGHT, (part.x + wide) / WIDTH, part.base / HEIGHT


def _there(who: Hashable, label: str, whole: Rectangle, hides: list[Rectangle]) -> There:
    """`visible`: of all of it, what is in the picture and behind none of `hides`; `box`: round that."""
    x0, y0, x1, y1 = whole
    hiding = [each for each in hides if each[0] < x1 and each[2] > x0 and each[1] < y1 and each[3] > y0]
    wide, high = (x1 - x0) / CELLS, (y1 - y0) / CELLS
    seen = [
        (column, row)
        for column, row in _GRID
        if _in_picture(x := x0 + (column + 0.5) * wide, y := y0 + (row + 0.5) * high)
        and not any(_holds(each, x, y) for each in hiding)
    ]
    if not seen:
        return There(who, label, whole, 0.0)
    columns, rows = [column for column, _ in seen], [row for _, row in seen]
    left, right = x0 + min(columns) * wide, x0 + (max(columns) + 1) * wide
    top, bottom = y0 + min(rows) * high, y0 + (max(rows) + 1) * high
    box = (max(0.0, left), max(0.0, top), min(1.0, right), min(1.0, bottom))
    return There(who, label, box, len(seen) / len(_GRID))


def _in_picture(x: float, y: float) -> bool:
    return 0 <= x <= 1 and 0 <= y <= 1


def _holds(rectangle: Rectangle, x: float, y: float) -> bool:
    return rectangle[0] <= x <= rectangle[2] and rectangle[1] <= y <= rectangle[3]


def crowd(seed: int) -> Scene:
    """Fourteen people on ways of their own through one place, and three pillars before them."""
    chance = random.Random(seed)
    people = [_walk(chance) for _ in range(14)]
    pillars = [(x, 0.0, x + 0.05, 1.0) for x in (0.22, 0.5, 0.76)]

    def scene(t: float) -> list[There]:
        boxes = sorted(((who, walk(t)) for who, walk in enumerate(people)), key=lambda each: each[1][3])
        every = [rectangle for _, rectangle in boxes]
        found = [
            _there(who, "person", whole, [*every[place + 1 :], *pillars]) for place, (who, whole) in enumerate(boxes)
        ]
        return [each for each in found if each.visible >= LEAST_VISIBLE]

    return scene


def _walk(chance: random.Random) -> Callable[[float], Rectangle]:
    """To and fro between two places, with rests, at a person's pace for its size."""
    (ax, ay), (bx, by) = ((chance.uniform(0.05, 0.95), chance.uniform(0.45, 0.95)) for _ in range(2))
    high = 0.12 + 0.2 * (ay + by - 0.9)
    pace, start, rest = chance.uniform(0.25, 0.5) * high, chance.uniform(0, 30), chance.uniform(0, 4)
    way = max(0.1, math.dist((ax, ay), (bx, by)) / pace)

    def walk(t: float) -> Rectangle:
        leg, within = divmod(t + start, way + rest)
        share = min(1.0, within / way)
        share = 1 - share if leg % 2 else share
        x, y = ax + share * (bx - ax), ay + share * (by - ay)
        return x - high * 0.09, y - high, x + high * 0.09, y

    return walk


def watch(scene: Scene, seconds: float, rate: float, lost: float, seed: int) -> Iterator[Sight]:
    """Frames at about this rate, a share of them lost."""
    chance = random.Random(seed)
    for number in range(round(seconds * rate)):
        t = (number + chance.uniform(-0.2, 0.2)) / rate
        if chance.random() >= lost:
            there = scene(t)
            found = [*_found(there, chance), *_of_nothing(chance)]
            chance.shuffle(found)
            yield Sight(
                1000.0 + t,
                tuple(each.who for each in there),
                tuple(box for box, _ in found),
                tuple(who for _, who in found),
            )


def _found(there: list[There], chance: random.Random) -> Iterator[tuple[Box, Hashable | None]]:
    for each in there:
        if chance.random() >= MISSED * (1 if each.visible > 0.7 else 4):
            score = min(0.99, max(0.31, chance.gauss(0.45 + 0.42 * each.visible, 0.12)))
            yield _box(each.box, each.label, score, chance), each.who


def _of_nothing(chance: random.Random) -> Iterator[tuple[Box, Hashable | None]]:
    if chance.random() < OF_NOTHING:
        x, y, size = chance.random(), chance.random(), chance.uniform(0.03, 0.12)
        corners = (x * (1 - size), y * (1 - size), x * (1 - size) + size, y * (1 - size) + size)
        yield _box(corners, chance.choice(("person", "boat", "truck")), chance.uniform(0.3, 0.6), chance), None


def _box(rectangle: Rectangle, label: str, score: float, chance: random.Random) -> Box:
    x0, y0, x1, y1 = rectangle
    wide, high = TREMBLE * (x1 - x0), TREMBLE * (y1 - y0)
    left, right = sorted(min(1.0, max(0.0, side + chance.gauss(0, wide))) for side in (x0, x1))
    top, bottom = sorted(min(1.0, max(0.0, side + chance.gauss(0, high))) for side in (y0, y1))
    return Box(left, top, right, bottom, score, label)
