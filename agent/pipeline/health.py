"""How a release does that is being confirmed, from the frames it was asked for on this box. Pure.

Only what this very release was asked counts: not what a cloud answered, nor what the one before still had under way.
"""

from __future__ import annotations

from dataclasses import dataclass

WORST_ERROR_SHARE = 0.2  # of the frames that ended by the release's own doing


@dataclass
class Health:
    """Frames since this release answers. What was asked and has not ended is under way, or hangs.

    A frame that was interrupted found no worker, or lost it: falls are counted elsewhere, and a worker that somebody
    killed takes all frames of the next moment with it.
    """

    asked: int = 0
    ended: int = 0
    answered: int = 0
    interrupted: int = 0

    @property
    def good(self) -> bool:
        judged = self.ended - self.interrupted
        return judged - self.answered <= WORST_ERROR_SHARE * judged

    @property
    def proven(self) -> bool:
        """Good to the end: whatever interrupted it, it answered; or it was asked for nothing."""
        return self.good and (self.answered > 0 or self.ended == 0)
