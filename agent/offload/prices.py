"""What a bit, a currency unit, a joule and a gram cost now.

    bits             price = √(share of a minute's bits that is spent) · FULL
    everything else  Z ← max(0, Z + cost − budget·dt)        price of an action = Σ Z/Z₁ · cost/unit

Rules that hold here:

- A price is in units of a frame's value: it is subtracted from what an action is worth.
- What may go up in a minute is lost when it is not used: its first bits are cheap, and its last are kept for what is
  worth most. So a minute in which the way is good is not spent in its first seconds, and a way that was bad for a while
  leaves a price of nothing. What is exceeded in no minute at all is `budget`'s.
- Of money, joules and grams there is one virtual queue each (drift plus penalty). It grows with what is spent beyond
  the budget and runs empty when less is: the mean over a long time is held, and exceeded by no more than the longest
  queue. Z₁ is what a budget gives in so many seconds (HORIZON): at that length, a unit costs one frame's value.
- A unit is about four usual pictures sent up, or calls, in what is counted: so the prices of all budgets are alike.
- A budget that is not set has no price; safety pays none, and its costs count all the same.

Sources: Neely, Stochastic Network Optimization, 2010, ch. 4; a price by what is left of a perishable stock is revenue
management's bid price (Talluri and van Ryzin, 2004). As a queue of 10 s, bits cost next to nothing after a bad minute
and the next good one was spent in 20 s: docs/decision.md has the figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from agent.offload.budget import SlidingBudget
from agent.offload.terms import SECONDS_A_DAY, Terms

FULL = 2.5  # of a unit of bits, at the end of a minute's
HORIZON = 10.0  # seconds; of joules
LONG_HORIZON = 600.0  # of what is counted by the day or the hour: half a percent of a day is overspent at one unit
UNIT_BITS = 1e6  # about four pictures
UNIT_CLOUD_SECONDS = 0.08
UNIT_LOCAL_SECONDS = 0.08
JOULES_PER_KWH = 3.6e6
TINY = 1e-12  # a budget of nothing at all is one that is soon spent


@dataclass(frozen=True, slots=True)
class Cost:
    """What an action takes from each budget."""

    bits: float = 0.0
    money: float = 0.0
    joules: float = 0.0
    grams: float = 0.0


@dataclass(slots=True)
class Queue:
    """One virtual queue; `gain` is the price of one dollar, joule or gram for each of them in the queue."""

    budget: float  # per second
    unit: float
    horizon: float  # seconds
    length: float = 0.0  # Z
    gain: float = field(init=False)

    def __post_init__(self) -> None:
        self.gain = 1.0 / max(TINY, self.budget * self.horizon * self.unit)


class Prices:
    """See the module's rules. All times are monotonic seconds."""

    __slots__ = ("_at", "_bit", "_budget", "_queues", "safety", "scale")

    def __init__(self, terms: Terms, budget: SlidingBudget) -> None:
        """`budget`: what bits are booked in."""
        self._budget = budget
        self._bit = 0.0  # price of one
        self.scale = 1.0  # times which prices count; a tuner's, see `tuner`
        self._at: float | None = None
        self._queues: tuple[Queue | None, ...] = ()
        self.agree(terms)

    def agree(self, terms: Terms) -> None:
        """Other terms from now on. What was overspent stays overspent."""
        before = self._queues or (None,) * 3
        self.safety = terms.safety
        self._queues = _queues(terms)
        for old, new in zip(before, self._queues, strict=True):
            if old is not None and new is not None:
                new.length = old.length

    def price(self, cost: Cost) -> float:
        """Of an action, as of the last `spent` or `elapse`, in units of a frame's value."""
        if self.safety:
            return 0.0
        money, joules, grams = self._queues
        total = self._bit * cost.bits
        if money is not None:
            total += money.length * money.gain * cost.money
        if joules is not None:
            total += joules.length * joules.gain * cost.joules
        if grams is not None:
            total += grams.length * grams.gain * cost.grams
        return self.scale * total

    def spent(self, cost: Cost, now: float) -> None:
        """An action was taken, or turned out to cost so much more (below zero, less). Its bits are booked already."""
        self.elapse(now)
        for queue, amount in zip(self._queues, (cost.money, cost.joules, cost.grams), strict=True):
            if queue is not None:
                queue.length = max(0.0, queue.length + amount)

    def elapse(self, now: float) -> None:
        """Time passed: every queue is worked off at its budget, and bits cost what those of the last minute say."""
        self._bit = FULL * math.sqrt(self._budget.filled(now)) / UNIT_BITS
        past = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        for queue in self._queues:
            if queue is not None:
                queue.length = max(0.0, queue.length - queue.budget * past)

    def shown(self) -> dict[str, float]:
        """The price of a unit (about four pictures or calls) in each budget that is set: for people and metrics."""
        names = ("money", "joules", "grams")
        return {"bits": self._bit * UNIT_BITS} | {
            name: queue.length * queue.gain * queue.unit
            for name, queue in zip(names, self._queues, strict=True)
            if queue is not None
        }


def sent_up(nbytes: float, service: float, terms: Terms) -> Cost:
    """Of a picture of `nbytes` that goes up and keeps the cloud busy for `service` seconds."""
    bits = nbytes * 8.0
    joules = bits / 1e6 * terms.joules_per_megabit
    money = nbytes / 1e9 * terms.money_per_gigabyte + service * terms.money_per_cloud_second
    return Cost(bits, money, joules, joules / JOULES_PER_KWH * terms.grams_per_kwh)


def run_here(seconds: float, terms: Terms) -> Cost:
    """Of a frame whose share of a call on the box takes so long."""
    joules = seconds * terms.joules_per_local_second
    return Cost(joules=joules, grams=joules / JOULES_PER_KWH * terms.grams_per_kwh)


def _queues(terms: Terms) -> tuple[Queue | None, ...]:
    usual = sent_up(UNIT_BITS / 8, UNIT_CLOUD_SECONDS, terms)
    here = run_here(UNIT_LOCAL_SECONDS, terms)
    day, hour = terms.money_per_day, terms.grams_per_hour
    return (
        None if day is None else Queue(day / SECONDS_A_DAY, usual.money, LONG_HORIZON),
        None if terms.watts is None else Queue(terms.watts, here.joules, HORIZON),
        None if hour is None else Queue(hour / 3600.0, here.grams, LONG_HORIZON),
    )
