"""Which answered frames are recorded: per tap, at most so many a second, evenly spread. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.types import Tap


@dataclass
class Sampling:
    _next: dict[Tap, float] = field(default_factory=dict)

    def wanted(self, tap: Tap, per_second: float, now: float) -> bool:
        """Whether to record a frame of `tap` that ended at `now` (monotonic). 0 per second records none."""
        if per_second <= 0 or now < self._next.get(tap, float("-inf")):
            return False
        if tap not in self._next:  # what is overdue then may be gone for good, and starts afresh if it is not
            self._next = {each: due for each, due in self._next.items() if due > now}
        interval = 1.0 / per_second
        due = self._next.get(tap, now)
        # Count from when it was due, so that the rate is met on average; after a pause, from now.
        self._next[tap] = (due if now - due < interval else now) + interval
        return True
