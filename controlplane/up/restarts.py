"""How often a child may be started again. Pure: `now` in, a delay out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

LIMIT = 5  # starts again …
WINDOW_SECONDS = 60.0  # … within this time; a child that dies faster will not get well by another start
LONGEST_DELAY_SECONDS = 4.0


@dataclass
class Budget:
    """The deaths of one child. The first start again is immediate, then the wait doubles from a quarter second."""

    deaths: deque[float] = field(default_factory=deque)

    def spend(self, now: float) -> float | None:
        """Seconds to wait before the next start; None when the budget is spent."""
        while self.deaths and self.deaths[0] <= now - WINDOW_SECONDS:
            self.deaths.popleft()
        self.deaths.append(now)
        again = len(self.deaths)
        if again > LIMIT:
            return None
        return 0.0 if again == 1 else float(min(LONGEST_DELAY_SECONDS, 0.25 * 2 ** (again - 2)))
