"""The static threshold at its best: every point of a grid is played on a training world, and two are kept.

One is the best of all, whatever it sends; the other the best whose uplink stays within the budget on average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from bench.decision.contender import CLOUD, Contender
from bench.decision.drive import Played, play
from bench.decision.world import World
from protos.outcomes import IN_TIME

QUEUES = (1, 2, 4, 8, 16)  # waiting frames, beyond which the cloud is asked
LEASTS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # confidence, below which it is


@dataclass(frozen=True)
class Point:
    queue: int
    least: float


@dataclass(frozen=True)
class Tried:
    """`useful`: right and in time, of all frames; `uplink`: bits a second that passed, on average."""

    point: Point
    useful: float
    uplink: float


@dataclass(frozen=True)
class Tuned:
    tried: tuple[Tried, ...]
    budget: float

    @property
    def best(self) -> Point:
        return max(self.tried, key=lambda each: each.useful).point

    @property
    def within(self) -> Point:
        """The best that keeps to the budget; where none does, the one that sends least."""
        kept = [each for each in self.tried if each.uplink <= self.budget]
        if not kept:
            return min(self.tried, key=lambda each: each.uplink).point
        return max(kept, key=lambda each: each.useful).point


POINTS = tuple(Point(*pair) for pair in product(QUEUES, LEASTS))


def tuned(world: World, made: Callable[[Point], Contender], points: tuple[Point, ...] = POINTS) -> Tuned:
    return Tuned(tuple(_tried(world, made, point) for point in points), world.scenario.budget)


def _tried(world: World, made: Callable[[Point], Contender], point: Point) -> Tried:
    played = play(world, made(point))
    return Tried(point, earned(world, played), played.passed_bits / world.scenario.seconds)


def earned(world: World, played: Played) -> float:
    """The chance that the answers in time are right, over all frames."""
    places = {size.name: place for place, size in enumerate(world.scenario.sizes)}
    worth = 0.0
    for number, fate in enumerate(played.fates):
        if fate.outcome in IN_TIME and fate.by is not None:
            place = len(places) + fate.picture if fate.by == CLOUD else places[fate.by]
            worth += float(world.chance[number, place])
    return worth / world.frames
