"""How often a box at rest syncs and looks for metadata in a month: the functions that decide it, walked through time.

Nothing is measured here. The control plane signs a new timestamp at half of the life of the last; each draw of chance
is the agent's own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from agent.link.schedule import Schedule
from agent.trust import freshness
from agent.trust.freshness import View

MONTH_SECONDS = 30 * 86_400
TIMESTAMP_SECONDS = 86_400  # its life, as the fleet's settings begin
SYNC_SECONDS = 10.0  # a box looks this often whether it has anything to say


@dataclass
class Rates:
    """Of one month."""

    syncs: int = 0
    looks: int = 0  # for metadata


@dataclass
class _Box:
    quiet_seconds: float
    rng: random.Random
    schedule: Schedule = field(init=False)
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        self.schedule = Schedule(rng=self.rng)
        self.view = _look(0.0)
        self.again = freshness.look_again(self.view, self.rng.random())
        self._answered(0.0)

    def step(self, now: float) -> None:
        """What a box does when its interval is over."""
        due = now >= self.again
        if not due and self.schedule.passable(now, self.quiet_seconds):
            return
        self._answered(now)
        self.rates.syncs += 1
        if due or _look(now).timestamp > self.view.timestamp:
            self.rates.looks += 1
            self.view = _look(now)
            self.again = freshness.look_again(self.view, self.rng.random())

    def _answered(self, now: float) -> None:
        self.schedule.started()
        self.schedule.succeeded(now, SYNC_SECONDS)


def _look(now: float) -> View:
    """What there is at `now`."""
    version = int(now // (TIMESTAMP_SECONDS / 2))
    signed = version * TIMESTAMP_SECONDS / 2
    return View(1, version, now, {"timestamp": signed + TIMESTAMP_SECONDS})


def rates(quiet_seconds: float, seed: int) -> Rates:
    """Of one box in one month."""
    box = _Box(quiet_seconds, random.Random(seed))
    now = 0.0
    while now < MONTH_SECONDS:
        now += SYNC_SECONDS * box.rng.uniform(0.8, 1.2)
        box.step(now)
    return box.rates
