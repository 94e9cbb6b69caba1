"""How a release does that is being confirmed, from the frames it was asked for on this box. Pure.

Only what this very release was asked counts: not what a cloud answered, nor what the one before still had under way.
A refusal is for good, and a busy box is no fault of a release: so its time is that of the model alone, and on trial a
frame is slow beyond the latency budget and beyond what warming took one core, which is what a busy box leaves it
(agent.ports.Detections). Whatever is confirmed is judged by nothing here.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from agent.errors import Unfit
from agent.ports import Warmed

WORST_ERROR_SHARE = 0.2  # of the frames that ended by the release's own doing
SLOW_SHARE = 0.05  # of the frames: their 95th percentile is within the budget
FORGIVEN_FRAMES = 2  # that were slow, or answered with what is no number; three are the release's own
MOST_TIMES = 1000  # frames, the newest, whose time is known
_BUDGET = "its Deployment's objective.latencyBudget"


@dataclass
class Health:
    """Frames since this release answers. What was asked and has not ended is under way, or hangs.

    A frame that was interrupted found no worker, or lost it: falls are counted elsewhere, and a worker that somebody
    killed takes all frames of the next moment with it.
    """

    asked: int = 0
    ended: int = 0
    answered: int = 0
    interrupted: int = 0
    not_a_number: int = 0  # for an answer
    not_a_number_at: float = -math.inf  # the last, monotonic seconds
    times: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_TIMES))  # seconds a frame took the model

    @property
    def good(self) -> bool:
        judged = self.ended - self.interrupted
        fails = judged - self.answered > WORST_ERROR_SHARE * judged
        return not fails and self.not_a_number <= FORGIVEN_FRAMES

    @property
    def proven(self) -> bool:
        """Good to the end: whatever interrupted it, it answered; or it was asked for nothing."""
        return self.good and (self.answered > 0 or self.ended == 0)

    def is_slow(self, limit: float) -> bool:
        """Were more frames than are forgiven, and more than one in twenty, beyond `limit` seconds?"""
        slow = sum(seconds > limit for seconds in self.times)
        return slow > max(FORGIVEN_FRAMES, SLOW_SHARE * len(self.times))

    @property
    def p95(self) -> float:
        """Of its times, seconds; 0 where there is none."""
        ordered = sorted(self.times)
        return ordered[math.ceil((1 - SLOW_SHARE) * len(ordered)) - 1] if ordered else 0.0


def unfit_when_warmed(warmed: Warmed, budget: float) -> Unfit | None:
    """Why a release that was warmed must not answer at all. `budget`: seconds, 0: none."""
    if not warmed.in_numbers:
        return Unfit("not-a-number: it answers a black picture and one of noise with NaN or infinity; deploy another")
    if 0 < budget < warmed.model_seconds:
        return _too_slow(f"an inference takes {_ms(warmed.model_seconds)} here", warmed.model_seconds, budget)
    return None


def unfit_on_trial(health: Health, warmed: Warmed, before: Health | None, budget: float) -> Unfit | None:
    """Why a release that answered on trial must not be kept, where there is a rule for it. `before`: of what answered
    before it. `budget`: seconds, 0: none.
    """
    if health.not_a_number and not health.good:
        return Unfit(
            f"not-a-number: {health.not_a_number} of {health.ended} frames were answered with NaN or infinity; deploy "
            "another"
        )
    if budget <= 0 or not health.is_slow(max(budget, warmed.core_seconds)):
        return None
    found = f"one frame in twenty takes {_ms(health.p95)} or more here"
    if before is not None and before.p95 > budget:
        found += f" (before it {_ms(before.p95)}: it is this box that is slow)"
    return _too_slow(found, health.p95, budget)


def _too_slow(found: str, seconds: float, budget: float) -> Unfit:
    return Unfit(f"latency-budget: {found}, and {_BUDGET} is {_ms(budget)}; deploy a faster one or raise it", seconds)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
