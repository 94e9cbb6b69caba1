"""Things that walk through a picture, as a detector would box them: where each truly is, and what is seen of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from msgspec import structs

from agent.types import Box

Way = Callable[[float], tuple[float, float]]  # seconds -> where its foot is


@dataclass(frozen=True)
class Walker:
    """A thing of one size on its way; from `begins` to `ends` it is in the picture, but while it is `hidden`."""

    way: Way
    label: str = "person"
    wide: float = 0.04
    high: float = 0.15
    score: float = 0.9
    hidden: tuple[tuple[float, float], ...] = ()
    begins: float = 0.0
    ends: float = float("inf")

    def box(self, t: float) -> Box:
        x, y = self.way(t)
        return Box(x - self.wide / 2, y - self.high, x + self.wide / 2, y, self.score, self.label)

    def visible(self, t: float) -> bool:
        return self.begins <= t <= self.ends and not any(start <= t < end for start, end in self.hidden)


def straight(start: tuple[float, float], speed: tuple[float, float]) -> Way:
    """`speed` in pictures a second."""
    return lambda t: (start[0] + speed[0] * t, start[1] + speed[1] * t)


def through(*points: tuple[float, float, float]) -> Way:
    """At each `(seconds, x, y)`, on straight ways between; where it was last from then on."""

    def way(t: float) -> tuple[float, float]:
        for (t0, x0, y0), (t1, x1, y1) in pairwise(points):
            if t < t1:
                share = max(0.0, (t - t0) / (t1 - t0))
                return x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        return points[-1][1:]

    return way


def trembled(box: Box, chance: random.Random, share: float) -> Box:
    """Each side off by a share of the box's size."""
    wide, high = (box.x1 - box.x0) * share, (box.y1 - box.y0) * share
    x0, x1 = (side + chance.gauss(0, wide) for side in (box.x0, box.x1))
    y0, y1 = (side + chance.gauss(0, high) for side in (box.y0, box.y1))
    return structs.replace(box, x0=x0, y0=y0, x1=max(x1, x0 + 1e-3), y1=max(y1, y0 + 1e-3))


def moments(seconds: float, rate: float, start: float = 100.0) -> list[float]:
    """Of frames, in monotonic seconds."""
    return [start + number / rate for number in range(round(seconds * rate))]


def visible(walkers: Iterable[Walker], t: float) -> list[Walker]:
    return [walker for walker in walkers if walker.visible(t)]
