"""What each way of answering a frame is worth now, less what it costs: drift plus penalty. Pure.

Rules that hold here:

- A worth is the value of the frame times the probability of an answer that is right and in time; giving up is worth 0.
- A price is what an action takes of the budgets, at what these cost now (`prices`). The action of the highest score is
  taken; the cloud only where it is more likely in time than not, and by a margin.
- A frame that goes up frees the box for others: that is worth something while the box has larger sizes to spend it on.
- A frame in the cloud is started on the box in the last moment that leaves time for it: its failing is worth something.
- An answer of the box in hand is asked of the cloud too where that is expected to better it by more than its price.
- Two scores that differ by next to nothing are parted at random: so the log of decisions tells what the other one does.

Source: Neely, Stochastic Network Optimization, 2010; the last moment is that of Dean and Barroso's hedged requests.
"""

from __future__ import annotations

import math
import random
from enum import StrEnum

import msgspec

from agent.offload.explain import Score
from agent.offload.profile import JpegPoint

MARGIN = 0.02  # of a frame's value, that going up must be better by
LIKELY = 0.5  # P(in time) that going up needs
HEDGED = 0.7  # of what an answer of the box would be worth, when it is started in the last moment
INDIFFERENT = 0.003  # of a frame's value: scores apart by this are nearly parted
SPREAD = 0.12  # of what is needed: how uncertain that is
GRAIN = 0.004  # seconds, and this beside
PROBE_SECONDS = 1.0  # between copies run on a box that is thought too slow
HELD_SECONDS = 0.008  # before its deadline, an answer in hand is told


class Route(StrEnum):
    LOCAL = "local"
    CLOUD = "cloud"
    HEDGE = "hedge"  # to the cloud, and a copy on the box
    LATE = "late"  # on the box, though it is not planned to be in time
    CASCADE = "cascade"  # to the cloud, with an answer of the box in hand
    SHED = "shed"


class Parts(msgspec.Struct, frozen=True):
    """Parts of the policy; each can be switched off, to measure what it earns. An agent has all of them."""

    cascade: bool = True  # a doubtful answer of the box is asked of the cloud too
    hedge: bool = True  # a frame in the cloud is started here in the last moment
    prices: bool = True  # what an answer costs is weighed against what it is worth
    edf: bool = True  # by deadline; else by arrival
    earlier_only: bool = True  # what is due later than a frame is not counted as ahead of it
    hard_bucket: bool = True  # what may be sent in a minute has an end, whatever the prices say


ALL_PARTS = Parts()


class Way(msgspec.Struct, frozen=True):
    """One way to send a picture up, as it stands now."""

    point: JpegPoint
    metric: float  # share of frames that the cloud answers correctly then
    bits: float
    need: float  # seconds until its answer is there, encoding included
    price: float  # in units of a frame's value
    probe: bool = False  # whatever it is worth, to see how the link is


def chance(slack: float, need: float, bias: float = 0.0) -> float:
    """P that what needs `need` seconds, give or take, is there within `slack`. `bias`: in its log odds, as learned."""
    if need == math.inf:
        return 0.0
    exponent = (slack - need) / (SPREAD * need + GRAIN) + bias
    if exponent > 40.0:
        return 1.0
    return 0.0 if exponent < -40.0 else 1.0 / (1.0 + math.exp(-exponent))


def here(value: float, metric: float, on_time: float, price: float) -> Score:
    """Of a frame that is run on the box."""
    worth = value * metric * on_time
    return Score(worth, on_time, price, worth - price)


def there(value: float, metric: float, on_time: float, instead: float, freed: float, price: float) -> Score:
    """Of a frame that goes up.

    `instead`: P that the box answers it rightly and in time when it is started now; `freed`: what others gain of the
    time that it leaves to them, in the unit of a metric.
    """
    worth = value * (metric * on_time + (1.0 - on_time) * HEDGED * instead + freed)
    return Score(worth, on_time, price, worth - price, "" if on_time > LIKELY else "not in time")


def second(value: float, gain: float, on_time: float, price: float) -> Score:
    """Of asking the cloud with an answer in hand, against telling that. `gain`: in P(right), were it in time."""
    worth = value * gain * on_time
    return Score(worth, on_time, price, worth - price - MARGIN * value, "" if on_time > LIKELY else "not in time")


def goes(margin: float, value: float, rng: random.Random | None) -> tuple[bool, float]:
    """Is it taken, being better by `margin`; and with which probability this was the choice. None: never at random."""
    if rng is None or value <= 0.0:
        return margin > 0.0, 1.0
    exponent = margin / (INDIFFERENT * value)
    if abs(exponent) > 12.0:
        return margin > 0.0, 1.0
    likely = 1.0 / (1.0 + math.exp(-exponent))
    taken = rng.random() < likely
    return taken, likely if taken else 1.0 - likely


def hedge_at(now: float, deadline: float, planned: float, longest: float) -> float:
    """When a frame that goes to the cloud now should also start here, if the cloud is still silent.

    `planned`: seconds of it here; `longest`: of a call that may have begun just before, which is waited for as long as
    half of the frame's time is left to the cloud.
    """
    last = deadline - 1.6 * planned - 0.004
    return min(last, max(last - longest, 0.5 * (now + deadline)))
