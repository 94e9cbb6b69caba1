"""Does a line of requests without deadlines stand? CoDel on the wait of its oldest. Pure.

A burst makes a line that passes; a line whose oldest has waited longer than `target` for a whole `interval` stands, and
all that it does is make everybody late. From then on the newest are taken first, since the oldest have most likely
been given up, and the oldest are turned away, one more often than the last, until the line moves again.

Sources: controlled delay with its interval over the square root of the count is RFC 8289 (Nichols and Jacobson);
newest first while a line stands is Facebook's adaptive LIFO (Maurer, "Fail at scale", 2015). Theirs looks at the wait
of the one that is taken; with the newest taken first that would be short at once, so here it is the oldest's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Standing:
    """Seconds. Told the oldest's wait before each taking."""

    target: float = 1.0
    interval: float = 1.0
    stands: bool = False
    _since: float | None = None  # the wait is above the target
    _dropped: int = 0
    _next: float = 0.0

    def drops(self, waited: float, now: float) -> bool:
        """Is the oldest, who has waited so long, to be turned away now?"""
        if waited < self.target:
            self.ends()
            return False
        if self._since is None:
            self._since = now
        if not self.stands:
            if now - self._since < self.interval:
                return False
            self.stands, self._dropped, self._next = True, 0, now
        if now < self._next:
            return False
        self._dropped += 1
        self._next = max(now, self._next) + self.interval / math.sqrt(self._dropped)
        return True

    def ends(self) -> None:
        """It moves, or nobody is in it."""
        self.stands, self._since = False, None
