"""Which frames of a camera are looked at: those in which something moves, and enough others never to go blind. Pure.

A frame that is passed over costs neither a slot nor an inference. Rules that hold here: every frame is looked at

- in which something moves, and the next ones after it (hysteresis): two pictures after a single one with motion, which
  may be a gust, and HELD_SECONDS, three pictures at least, after motion that lasted;
- for SETTLED_SECONDS after the camera or its light started anew, while the background is being learned;
- while the agent asks for it (`ask`): its last answer showed news, or the last look was lost;
- of a tap whose last look is `every` seconds old, whatever the pictures show; one that was never looked at is overdue.

Times are capture times: monotonic seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

HELD_SECONDS = 2.0
HELD_PICTURES = 3
GUST_PICTURES = 2
SETTLED_SECONDS = 2.0
EARLY = 0.05  # of `every`: a frame that comes a little before its time is better than one a period after it


class Change(Enum):
    """What a picture shows beside those before it."""

    STILL = auto()
    MOTION = auto()
    ANEW = auto()  # nothing to compare it with: the first one, or another scene, size or light


@dataclass
class Gate:
    """Of one camera. Its pictures are shown to it in order."""

    every: float = 0.0  # seconds between looks at a tap, at most; 0: every picture is looked at
    _before: Change = Change.STILL
    _until: float = -math.inf
    _pictures: int = 0  # still to be looked at

    def open(self, seen: Change, at: float) -> bool:
        """Whether the picture of `at` is looked at, whichever tap it is for."""
        self._pictures = max(0, self._pictures - 1)
        before, self._before = self._before, seen
        if seen is Change.ANEW:
            self._hold(at + SETTLED_SECONDS, HELD_PICTURES)
        elif seen is Change.MOTION:
            lasts = before is not Change.STILL
            self._hold(at + HELD_SECONDS * lasts, HELD_PICTURES if lasts else GUST_PICTURES)
        return seen is not Change.STILL or self._pictures > 0 or at <= self._until

    def overdue(self, looked_at: float, at: float) -> bool:
        """Whether a tap that was looked at then must be looked at now."""
        return at - looked_at >= self.every * (1 - EARLY)

    def ask(self, until: float) -> None:
        """Look at every picture until then."""
        self._until = max(self._until, until)

    def _hold(self, until: float, pictures: int) -> None:
        """This picture, and so many after it."""
        self.ask(until)
        self._pictures = max(self._pictures, pictures + 1)
