"""How often each tap is answered in time, of late: whose turn it is where not all can be answered. Pure."""

from __future__ import annotations

from statistics import fmean

from agent.types import Tap

GAIN = 0.05  # of one frame
BEHIND = 0.05  # of all frames: so much less than the others on the mean


class Shares:
    """Of a tap's last frames, 0 to 1; 1 of one that had none."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[Tap, float] = {}

    def of(self, tap: Tap) -> float:
        return self._of.get(tap, 1.0)

    def ended(self, tap: Tap, *, in_time: bool) -> None:
        share = self.of(tap)
        self._of[tap] = share + GAIN * (in_time - share)

    def forget(self, tap: Tap) -> None:
        """It is none of those that share any more."""
        self._of.pop(tap, None)

    def behind(self, tap: Tap) -> bool:
        """Is it answered clearly less often than the others?"""
        return self.of(tap) < fmean(self._of.values() or (1.0,)) - BEHIND
