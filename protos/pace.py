"""How often a camera and by when a deployment can ask, given what one frame takes on a box. Pure.

One rule for all who say it: what a box says it has room for, what is proposed after a trial, what is advised where
frames are late, and what an object has that says nothing. Half of the box stays free, since it does other things too;
for the same reason a deadline leaves a slow frame room. Rates are in frames a second, deadlines in milliseconds from
capture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RATE = 10.0
DEADLINE_MS = 250
MAX_DEADLINE_MS = 60_000
BUSY = 0.5  # of the time, at most, the model works for one camera
ROOM = 3.0  # times what a slow frame takes
_STEP_MS = 50  # deadlines are round


@dataclass(frozen=True)
class Pace:
    """What a release keeps up with."""

    rate: float = RATE
    deadline_ms: int = DEADLINE_MS


def pace(usual_s: float, slow_s: float) -> Pace:
    """Of a frame that takes `usual_s`, and `slow_s` when it takes long; 0 where that is not known."""
    if usual_s <= 0:
        return Pace()
    return Pace(rate(usual_s, RATE), deadline_ms(slow_s))


def rate(usual_s: float, most: float) -> float:
    """Of a frame that takes `usual_s`, 0 where that is not known: whole ones, below 1 tenths, and `most` of them."""
    kept = most if usual_s <= 0 else min(most, BUSY / usual_s)
    return float(math.floor(kept)) if kept >= 1 else max(0.1, math.floor(kept * 10) / 10)


def deadline_ms(slow_s: float, last_s: float = 0.0) -> int:
    """Of a slow frame; `last_s`: what the last of several that come at one moment takes."""
    wanted = math.ceil(round(max(ROOM * slow_s, last_s) * 1000, 3) / _STEP_MS) * _STEP_MS
    return min(MAX_DEADLINE_MS, max(DEADLINE_MS, wanted))
