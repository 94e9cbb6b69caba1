"""How often a worker may be restarted, and how long to wait first. Pure: values and `now` in, a delay out."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field


@dataclass
class RestartBudget:
    """At most `limit` restarts within `window` seconds; the first is immediate, the others wait twice as long each.

    The wait doubles from `first_delay` to `longest_delay` and is spread by ±20 %, so that workers felled together do
    not come back together.
    """

    limit: int = 10
    window: float = 300.0  # seconds
    first_delay: float = 0.2  # seconds, before the second restart in the window
    longest_delay: float = 10.0  # seconds
    rng: random.Random = field(default_factory=random.Random)
    _spent: deque[float] = field(default_factory=deque)

    def spend(self, now: float) -> float | None:
        """Seconds to wait before the next start, or None when the budget is spent."""
        while self._spent and self._spent[0] <= now - self.window:
            self._spent.popleft()
        if len(self._spent) >= self.limit:
            return None
        self._spent.append(now)
        before = len(self._spent) - 1
        if before == 0:
            return 0.0
        delay = min(self.longest_delay, self.first_delay * 2.0 ** (before - 1))
        return delay * self.rng.uniform(0.8, 1.2)
