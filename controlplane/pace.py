"""How often a camera and by when a deployment can ask, given what one frame takes on a box. Pure.

One rule for all who say it: what is proposed after a trial, what is advised where frames are late, and what an object
has that says nothing. Rates are in frames a second, deadlines in milliseconds from capture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RATE = 10.0
DEADLINE_MS = 250
MAX_DEADLINE_MS = 60_000
BUSY = 0.5  # of the time, at most, the model works for this camera
ROOM = 3.0  # times what a slow frame takes: a box does other things too
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
    most = min(RATE, BUSY / usual_s)
    rate = float(math.floor(most)) if most >= 1 else max(0.1, math.floor(most * 10) / 10)
    return Pace(rate, deadline_ms(slow_s))


def deadline_ms(slow_s: float) -> int:
    wanted = math.ceil(round(ROOM * slow_s * 1000, 3) / _STEP_MS) * _STEP_MS
    return min(MAX_DEADLINE_MS, max(DEADLINE_MS, wanted))
