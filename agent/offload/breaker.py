"""A circuit breaker per cloud node, as data.

    CLOSED ── half of the last calls failed or were late, or silence ──► OPEN ── wait over ──► HALF_OPEN
       ▲                                                                  ▲                       │
       └──────────────── the probe was answered in time ──────────────────┼───────────────────────┤
                                                                          └── the probe failed ───┘

The wait starts at one second, doubles to thirty, and is spread by ±20 %, so that a site's boxes do not return at once.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass
class Breaker:
    window: int = 20  # calls looked at
    least: int = 10  # calls before a verdict: a few lost packets are none
    silence: float = 3.0  # seconds without any answer while calls are under way
    first_wait: float = 1.0  # seconds
    longest_wait: float = 30.0  # seconds
    rng: random.Random = field(default_factory=random.Random)
    state: BreakerState = BreakerState.CLOSED
    _calls: deque[bool] = field(default_factory=deque)
    _opened_at: float = float("-inf")
    _open_until: float = 0.0
    _wait: float = 0.0
    _probing: bool = False
    _waiting_since: float | None = None

    def allows(self, now: float) -> bool:
        """May a call be made now? Half open, one at a time."""
        if self.state is BreakerState.CLOSED and self._silent(now):
            self._open(now)
        if self.state is BreakerState.OPEN and now >= self._open_until:
            self.state = BreakerState.HALF_OPEN
            self._probing = False
        if self.state is BreakerState.HALF_OPEN:
            return not self._probing
        return self.state is BreakerState.CLOSED

    def reserved(self) -> None:
        """A call will be made when its picture is there; `called` or `withdrawn` follows."""
        self._probing = True

    def withdrawn(self) -> None:
        """It was never made, which says nothing of the node."""
        self._probing = False

    def called(self, now: float) -> None:
        """A call was made; `succeeded` or `failed` follows."""
        self._probing = True
        if self._waiting_since is None:
            self._waiting_since = now

    def succeeded(self, now: float, since: float) -> None:
        """To a call made then, an answer came in time. One made before it opened says nothing of the node as it is."""
        if since < self._opened_at:
            return
        self._waiting_since = now
        if self.state is BreakerState.HALF_OPEN:
            self.state = BreakerState.CLOSED
            self._wait = 0.0
            self._calls.clear()
        self._record(ok=True)

    def failed(self, now: float, since: float) -> None:
        """To a call made then, no answer in time, or an error."""
        if since < self._opened_at:
            return
        if self.state is BreakerState.HALF_OPEN:
            self._open(now)
            return
        self._record(ok=False)
        bad = self._calls.count(False)
        if self.state is BreakerState.CLOSED and len(self._calls) >= self.least and 2 * bad >= len(self._calls):
            self._open(now)

    def idle(self) -> None:
        """Nothing is under way any more: silence means nothing now."""
        self._waiting_since = None

    def _silent(self, now: float) -> bool:
        return self._waiting_since is not None and now - self._waiting_since > self.silence

    def _record(self, *, ok: bool) -> None:
        self._calls.append(ok)
        if len(self._calls) > self.window:
            self._calls.popleft()

    def _open(self, now: float) -> None:
        self._wait = min(self.longest_wait, self._wait * 2 or self.first_wait)
        self._opened_at = now
        self._open_until = now + self._wait * self.rng.uniform(0.8, 1.2)
        self._waiting_since = None
        self._calls.clear()
        self.state = BreakerState.OPEN
