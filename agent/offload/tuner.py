"""Slow gains of the policy, tuned by what the box sees: a small linear policy, trained off-line in the simulator. Pure.

Rules that hold here:

- It sets gains, never a frame's way: what prices weigh (V is folded in: only V over the price counts in any score), and
  with which share of the arrivals a larger size reckons. Each is a multiplier within ±50 % of the analytic gain.
- OFF proposes nothing; SHADOW proposes, and nothing follows; ON follows, but for one step in `CONTROL`, which keeps the
  analytic gains: what is answered in time then is what it has to hold.
- It returns to the analytic gains by itself where fewer frames are in time than in the steps it leaves alone, and stays
  there for `REST_SECONDS`.
- A box has it OFF: see docs/decision-tuner.md for what it earned.

Source of the search: de Boer et al., A Tutorial on the Cross-Entropy Method, 2005; what ships is its result alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

MOST = 0.5  # of the analytic gain, in either direction
STEP_SECONDS = 2.0  # a gain holds at least
CONTROL = 5  # one step in so many keeps the analytic gains
WORSE = 0.01  # of frames in time: fewer than the control steps by that, and it returns
LEAST_FRAMES = 200  # of either kind, before they are compared
FORGET = 0.999  # of either count, per frame: about a thousand count
REST_SECONDS = 600.0  # on the analytic gains, after a return


class Mode(StrEnum):
    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


class Gains(msgspec.Struct, frozen=True):
    """Multipliers of the analytic gains."""

    price: float = 1.0  # of what budgets cost, over V
    coming: float = 1.0  # of the arrivals that a larger size reckons with


ANALYTIC = Gains()


class Seen(msgspec.Struct, frozen=True):
    """What gains are set by; each about 0 to 1 on a usual day, cut at 2."""

    price: float  # of a unit of uplink, in values of a frame
    link: float  # bits a second over the budget's, over four
    way: float  # round trip and service, over the deadline
    load: float  # seconds of the cheapest size offered per second, all calls together
    queue: float  # seconds of what waits in the cheapest size, over the deadline
    left: float  # share of the minute's uplink that is not spent

    @property
    def features(self) -> tuple[float, ...]:
        raw = (self.price, self.link, self.way, self.load, self.queue, self.left)
        return (1.0, *(min(2.0, max(0.0, each)) for each in raw))


FEATURES = 7
Weights = tuple[tuple[float, ...], tuple[float, ...]]  # of `price`, of `coming`; FEATURES each
NEUTRAL: Weights = ((0.0,) * FEATURES, (0.0,) * FEATURES)

# What `python -m bench.bench_tuning` found. On worlds that it never saw it earned nothing, so an agent has it off.
SHIPPED: Weights = (
    (-0.267, 0.154, -0.696, -0.410, 0.329, -0.656, 1.192),
    (0.012, 0.043, -0.413, 0.050, -1.078, -0.644, -0.053),
)
SHIPPED_MODE = Mode.OFF


def gains(weights: Weights, seen: Seen) -> Gains:
    """1 ± MOST: a linear policy, squashed."""
    price, coming = (_squashed(row, seen.features) for row in weights)
    return Gains(price, coming)


def _squashed(row: Sequence[float], features: Sequence[float]) -> float:
    return 1.0 + MOST * math.tanh(sum(weight * feature for weight, feature in zip(row, features, strict=True)))


@dataclass
class _Kept:
    """Frames and those in time, fading."""

    frames: float = 0.0
    in_time: float = 0.0

    def add(self, *, in_time: bool) -> None:
        self.frames = FORGET * self.frames + 1.0
        self.in_time = FORGET * self.in_time + in_time

    @property
    def share(self) -> float:
        return self.in_time / self.frames if self.frames else 1.0


@dataclass
class Tuner:
    """See the module's rules. All times are monotonic seconds."""

    weights: Weights
    mode: Mode = Mode.OFF
    proposed: Gains = ANALYTIC  # by the newest step
    returns: int = 0
    _step: int = 0
    _until: float = float("-inf")  # the step holds
    _rest_until: float = float("-inf")
    _gains: Gains = ANALYTIC
    _control: _Kept = field(default_factory=_Kept)
    _tuned: _Kept = field(default_factory=_Kept)

    def due(self, now: float) -> bool:
        """Does a new step begin?"""
        return self.mode is not Mode.OFF and now >= self._until

    def step(self, seen: Seen, now: float) -> Gains:
        """The gains that hold from now on."""
        self._until, self._step = now + STEP_SECONDS, self._step + 1
        self.proposed = gains(self.weights, seen)
        follows = self.mode is Mode.ON and now >= self._rest_until and self._step % CONTROL != 0
        self._gains = self.proposed if follows else ANALYTIC
        return self._gains

    def ended(self, now: float, *, in_time: bool) -> bool:
        """A frame ended. True: it was one too many, and the analytic gains hold again."""
        if self.mode is not Mode.ON or now < self._rest_until:
            return False
        (self._control if self._gains is ANALYTIC else self._tuned).add(in_time=in_time)
        if not self._loses:
            return False
        self._gains, self._rest_until, self.returns = ANALYTIC, now + REST_SECONDS, self.returns + 1
        self._control, self._tuned = _Kept(), _Kept()
        return True

    @property
    def _loses(self) -> bool:
        """By more than chance: two standard errors of the difference."""
        control, tuned = self._control, self._tuned
        if min(control.frames, tuned.frames) < LEAST_FRAMES:
            return False
        spread = control.share * (1 - control.share) / control.frames + tuned.share * (1 - tuned.share) / tuned.frames
        return tuned.share < control.share - WORSE - 2 * math.sqrt(spread)
