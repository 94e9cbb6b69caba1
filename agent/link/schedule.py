"""When to sync next. Pure: what happened and `now` in, a monotonic time out.

Without news: every `interval`, spread by ±20 % so that a fleet does not knock at once; a box that may stay silent lets
these go by for as long as `quiet`. A hint: at once. A change on the box: soon, so that changes that come together
travel together, and never against a back-off. Away: from one second, doubling, up to the interval. Refused (this node
was deleted): rarely, for it may be admitted again.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

SOON_SECONDS = 0.3
REFUSED_SECONDS = 60.0
FIRST_RETRY_SECONDS = 1.0
SHORTEST_INTERVAL = 1.0
LONGEST_INTERVAL = 3600.0


@dataclass
class Schedule:
    interval: float = 15.0  # seconds; desired state sets it
    rng: random.Random = field(default_factory=random.Random)
    due: float = -math.inf  # monotonic seconds of the next sync
    _failures: int = 0
    _asked: bool = True  # for the next sync: by a hint, by a change, or because there was none yet
    _quiet_since: float = -math.inf  # monotonic, of the last that succeeded
    _spread: float = 1.0  # of the quiet that follows it

    def started(self) -> None:
        """A sync is under way; what is asked for from now on needs another one."""
        self.due, self._asked = math.inf, False

    def passable(self, now: float, quiet: float) -> bool:
        """Whether the sync that is due may be left out: nobody asked for it, and `quiet` seconds are not over."""
        return not (self._asked or self._failures) and now - self._quiet_since < quiet * self._spread

    def passed(self, now: float) -> None:
        """The sync that was due was left out."""
        self.due = math.inf
        self._plan(now, self.interval)

    def succeeded(self, now: float, interval: float) -> None:
        if interval > 0:
            self.interval = min(max(interval, SHORTEST_INTERVAL), LONGEST_INTERVAL)
        self._failures = 0
        self._quiet_since, self._spread = now, self.rng.uniform(0.8, 1.2)
        self._plan(now, self.interval)

    def failed(self, now: float, at_least: float = 0.0) -> None:
        """The control plane is away."""
        delay = min(self.interval, FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 30))
        self._failures += 1
        self._plan(now, max(delay, at_least))

    def refused(self, now: float) -> None:
        self._failures += 1
        self._plan(now, max(self.interval, REFUSED_SECONDS))

    def hinted(self, now: float) -> None:
        """The control plane says that something is new: so it can be reached."""
        self.due, self._asked = min(self.due, now), True

    def changed(self, now: float) -> None:
        """Something on the box is worth telling."""
        if not self._failures:
            self.due, self._asked = min(self.due, now + SOON_SECONDS), True

    def _plan(self, now: float, delay: float) -> None:
        self.due = min(self.due, now + delay * self.rng.uniform(0.8, 1.2))
