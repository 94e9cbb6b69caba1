"""How a release does that is being confirmed, from the frames it was asked for on this box. Pure.

Only what this very release was asked counts: not what a cloud answered, nor what the one before still had under way.
"""

from __future__ import annotations

from dataclasses import dataclass

WORST_ERROR_SHARE = 0.2  # of the frames that ended


@dataclass
class Health:
    """Frames since this release answers. What was asked and has not ended is under way, or hangs."""

    asked: int = 0
    ended: int = 0
    answered: int = 0

    @property
    def good(self) -> bool:
        return self.ended - self.answered <= WORST_ERROR_SHARE * self.ended
