"""The static threshold at its best: every point of a grid is played on a training world, and two are kept.

One is the best of all, whatever it sends; the other the best that keeps to the budget on average. Bits count as they
pass: what a threshold gives to a link that stands still, and gives up again, is not held against it here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from agent.simulation.contender import Contender
from agent.simulation.drive import play
from agent.simulation.meter import measured
from agent.simulation.world import World

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
    return Tried(point, measured(world, played).useful, played.passed_bits / world.scenario.seconds)
