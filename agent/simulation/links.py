"""An uplink as steps of rate, round trip and loss, and what it makes of pictures handed to it in turn. Pure.

One picture after another (the socket is a queue); its bits pass at the rate that the link has while they do. A lost
packet costs its bits and one round trip more. Whoever waits for an answer gives up some time after the deadline: what
then has not passed yet never does.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.simulation.scenario import Step, Uplink

PACKET_BITS = 11_200  # 1,400 bytes of a picture in each
SHORTEST = 0.2  # seconds that a step of a random walk lasts at least


@dataclass(frozen=True)
class Trace:
    """Steps in order, the first at 0; the last holds for ever."""

    steps: tuple[Step, ...]
    _starts: list[float] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        self._starts.extend(step.at for step in self.steps)

    def at(self, when: float) -> Step:
        return self.steps[max(0, bisect.bisect_right(self._starts, when) - 1)]

    def passed(self, since: float, bits: float, until: float) -> tuple[float, float]:
        """When `bits` begun at `since` have passed, or `until`; and how many have by then."""
        place, left, now = max(0, bisect.bisect_right(self._starts, since) - 1), bits, since
        while now < until:
            ends = min(until, self._starts[place + 1] if place + 1 < len(self.steps) else float("inf"))
            rate = self.steps[place].rate
            if rate > 0 and now + left / rate <= ends:
                return now + left / rate, bits
            left, now, place = left - rate * (ends - now), ends, place + 1
        return until, bits - left

    def capacity(self, since: float, until: float) -> float:
        """Bits that can pass between the two."""
        edges = [since, *(at for at in self._starts if since < at < until), until]
        return sum(self.at(a).rate * (b - a) for a, b in itertools.pairwise(edges))


def drawn(uplink: Uplink, seconds: float, rng: np.random.Generator) -> Trace:
    """A scenario's link, for so long."""
    steps = list(uplink.steps) or _walk(uplink, seconds, rng)
    since, until = uplink.outage
    return Trace(tuple(_cut(steps, since, until) if until > since else steps))


def _walk(uplink: Uplink, seconds: float, rng: np.random.Generator) -> list[Step]:
    """To a neighbour of the rate each time; both ends turn back."""
    steps, at, place, last = [], 0.0, int(rng.integers(len(uplink.rates))), len(uplink.rates) - 1
    while at < seconds + 60:
        steps.append(Step(at, uplink.rates[place], uplink.rtt))
        at += max(SHORTEST, float(rng.exponential(uplink.dwell)))
        place += 1 if place == 0 else -1 if place == last else int(rng.choice((-1, 1)))
    return steps


def _cut(steps: Sequence[Step], since: float, until: float) -> list[Step]:
    before = [step for step in steps if step.at < since]
    resumed = [step for step in steps if step.at <= until][-1]
    after = [Step(until, resumed.rate, resumed.rtt, resumed.loss), *(step for step in steps if step.at > until)]
    return [*before, Step(since, 0.0, resumed.rtt), *after]


@dataclass
class Sending:
    """The queue of one link."""

    trace: Trace
    free_at: float = 0.0

    def send(self, bits: float, now: float, give_up: float, lost: int) -> tuple[float | None, float]:
        """When the last bit is there, None when it never is; and the bits that passed. `lost`: packets sent twice."""
        since = max(now, self.free_at)
        if since >= give_up:
            return None, 0.0
        wanted = bits + lost * PACKET_BITS
        end, passed = self.trace.passed(since, wanted, give_up)
        self.free_at = end
        return (end if passed >= wanted else None), passed
