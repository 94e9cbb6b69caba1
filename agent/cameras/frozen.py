"""Does a stream go on with the same picture? Pure.

A sensor has noise, so no two of its pictures are alike for long, in whatever light; but coders leave out what hardly
changes, and may do so until the next key picture, some seconds later. Pictures that are equal to the last bit for a
minute come from a camera that hangs behind its coder. Files and drawn scenes have no noise: nobody asks this of them.
"""

from __future__ import annotations

from dataclasses import dataclass

FROZEN_SECONDS = 60.0  # of equal pictures: several times the longest distance of key pictures
LOOK_SECONDS = 1.0  # between pictures that are compared


@dataclass
class Frozen:
    """Of one stream."""

    _looked: float = float("-inf")
    _digest: int | None = None
    _since: float = 0.0  # when the picture was first as it is now

    def wants(self, now: float) -> bool:
        """Is it time to look at a picture?"""
        return now >= self._looked + LOOK_SECONDS

    def is_frozen(self, digest: int, now: float) -> bool:
        """After a look at a picture with this digest of its pixels."""
        self._looked = now
        if digest != self._digest:
            self._digest, self._since = digest, now
        return now - self._since >= FROZEN_SECONDS
