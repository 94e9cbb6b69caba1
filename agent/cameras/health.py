"""How a camera is, as data: states, what may happen in them, and how long to wait before the next try.

    starting ──frame──► running ──stalled──► stalled
        │                 │ ▲                   │
        └──failed──► retrying ◄──failed─────────┘          paused from anywhere, and back to starting

RETRYING and STALLED stay until a picture has come: an open connection alone is no good news, and a try that fails is no
other loss. FROZEN is a notice: the camera goes on running. A pair that is not in the table is a bug and raises.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.types import CameraState

FIRST_DELAY = 1.0  # seconds
LONGEST_DELAY = 30.0  # seconds
SPREAD = 0.5  # of the delay, either way: cameras lost together do not come back together
ABSENT_DELAYS = (0.3, 1.5)  # seconds, where nobody was there: such a try costs little, and he may be back any moment
STEADY = 10.0  # seconds of pictures after which a failure counts as the first again


class Event(StrEnum):
    OPENED = "opened"
    FRAME = "frame"
    FROZEN = "frozen"
    STALLED = "stalled"
    FAILED = "failed"
    BACKOFF_OVER = "backoff_over"
    PAUSED = "paused"
    RESUMED = "resumed"
    REMOVED = "removed"


S, E = CameraState, Event
TRANSITIONS: dict[tuple[CameraState, Event], CameraState] = {
    (S.STARTING, E.OPENED): S.STARTING,
    (S.STARTING, E.FRAME): S.RUNNING,
    (S.STARTING, E.STALLED): S.STALLED,
    (S.STARTING, E.FAILED): S.RETRYING,
    (S.RUNNING, E.FRAME): S.RUNNING,
    (S.RUNNING, E.FROZEN): S.RUNNING,
    (S.RUNNING, E.STALLED): S.STALLED,
    (S.RUNNING, E.FAILED): S.RETRYING,
    (S.STALLED, E.BACKOFF_OVER): S.STALLED,
    (S.STALLED, E.OPENED): S.STALLED,
    (S.STALLED, E.FRAME): S.RUNNING,
    (S.STALLED, E.STALLED): S.STALLED,
    (S.STALLED, E.FAILED): S.RETRYING,
    (S.RETRYING, E.BACKOFF_OVER): S.RETRYING,
    (S.RETRYING, E.OPENED): S.RETRYING,
    (S.RETRYING, E.FRAME): S.RUNNING,
    (S.RETRYING, E.STALLED): S.STALLED,
    (S.RETRYING, E.FAILED): S.RETRYING,
    (S.PAUSED, E.RESUMED): S.STARTING,
} | {
    (state, event): after
    for state in S
    if state is not S.REMOVED
    for event, after in ((E.PAUSED, S.PAUSED), (E.REMOVED, S.REMOVED))
}


@dataclass(frozen=True)
class Health:
    """What is shown next to a camera."""

    state: CameraState = CameraState.STARTING
    reason: str = ""
    restarts: int = 0  # how often its source was lost

    def after(self, event: Event, reason: str = "") -> Health:
        """Raises KeyError for an event that cannot happen in this state."""
        state = TRANSITIONS[self.state, event]
        if event in (Event.FAILED, Event.STALLED):
            lost = self.state not in (CameraState.RETRYING, CameraState.STALLED)
            return Health(state, reason, self.restarts + lost)
        if event is Event.FROZEN:
            return replace(self, reason=reason)
        if state in (CameraState.RETRYING, CameraState.STALLED):
            return self  # the reason stays until a picture has come
        return replace(self, state=state, reason="")


@dataclass
class Backoff:
    """Waits between tries: 1 s doubling to 30 s, each spread by ±50 %; short again after a steady run."""

    rng: random.Random = field(default_factory=random.Random)
    _failures: int = 0
    _running_since: float | None = None

    def frame(self, now: float) -> None:
        if self._running_since is None:
            self._running_since = now
        elif now - self._running_since >= STEADY:
            self._failures = 0

    def failed(self, *, absent: bool = False) -> float:
        """Seconds to wait before the next try. `absent`: there was nobody whom tries could wear out."""
        self._running_since = None
        if absent:
            return self.rng.uniform(*ABSENT_DELAYS)
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return delay * self.rng.uniform(1 - SPREAD, 1 + SPREAD)
