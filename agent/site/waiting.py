"""How long a box waits while the cache of its site fetches a file that it is asked for. Pure: `now` in, pauses out.

A cache that gets on is waited for: several boxes that need one file at once are what it is there for. One that says it
gets on and never ends costs LONGEST_SECONDS.
"""

from __future__ import annotations

from dataclasses import dataclass

from protos.errors import Retryable

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between two questions
STILL_SECONDS = 30.0  # without a byte more
LONGEST_SECONDS = 1800.0


@dataclass
class Waiting:
    """For one file. Times are monotonic seconds."""

    began: float
    fetched: int = -1  # bytes, as the cache says
    moved: float = 0.0  # when they had become more
    pause: float = FIRST_PAUSE

    def told(self, fetched: int, now: float) -> float:
        """It has so many bytes of the file; seconds until it is asked again. Raises Retryable: it is given up."""
        if fetched > self.fetched:
            self.fetched, self.moved = fetched, now
        if now - self.moved >= STILL_SECONDS:
            raise Retryable(f"it fetches a file and got nowhere for {STILL_SECONDS:.0f} s")
        if now - self.began >= LONGEST_SECONDS:
            raise Retryable(f"it fetches a file and has no end after {LONGEST_SECONDS:.0f} s")
        pause, self.pause = self.pause, min(2 * self.pause, LONGEST_PAUSE)
        return pause
