"""How fast what waited from a dark time goes out, behind what is live. Pure: `now` and chance come from outside.

Rules that hold here:

- never faster than the limits: so many records and so many bytes a second, each box a little below at a share of its
  own, and each begins a moment of its own after the way opened, so that a fleet that returns does not come in step;
- while acknowledgements take longer than SLOW, of whatever lane, fewer records are in the air at once, down to LEAST;
  while they are quick, more. So a hundred boxes together fill the control plane's queue by about SLOW, and what is
  live waits no longer than that. (Additive increase and multiplicative decrease, by delay: Chiu and Jain 1989 for why
  shares become equal; RFC 6817 for the delay.) Doubling at first would be quicker, and the first boxes keep what they
  got;
- batches stay whole, because small ones cost the control plane as much: where fewer records may be in the air, a pause
  follows, so that they are no more on the average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.telemetry.settings import Limits

SLOW = 3.0  # seconds of an acknowledgement
FIRST = 600  # records in the air to begin with
GROWTH = 20  # records more, for each time that all in the air are acknowledged quickly
LEAST, MOST = 100, 1_200  # records in the air; below a whole batch, on the average
SHRINK = 0.7  # of what may be in the air, when it is slow
LOST = 0.5  # of the same, when nobody acknowledges
SPREAD_SECONDS = 2.0  # within which the boxes of a fleet begin
SPREAD_SHARE = 0.1  # of the limits, by which they differ


@dataclass
class Backfill:
    limits: Limits
    chance: Callable[[], float]  # uniform in [0, 1)
    next_at: float = float("-inf")  # monotonic; nothing historical goes out before
    _room: float = FIRST
    _shrunk_at: float = float("-inf")
    _share: float = field(init=False)

    def __post_init__(self) -> None:
        self._share = 1 - SPREAD_SHARE * self.chance()

    def begin(self, now: float) -> None:
        """A dark time ended."""
        self.next_at = now + SPREAD_SECONDS * self.chance()
        self._room = FIRST

    def room(self, in_air: int, batch: int) -> int:
        """How many records may join those in the air: a whole batch, or none."""
        return batch if in_air == 0 or in_air + batch <= self._room else 0

    def went(self, records: int, payload_bytes: int, now: float) -> None:
        seconds = 0.0
        if self.limits.records_per_second:
            seconds = records / (self.limits.records_per_second * self._share)
        if self.limits.bytes_per_second:
            seconds = max(seconds, payload_bytes / (self.limits.bytes_per_second * self._share))
        self.next_at = max(self.next_at, now) + seconds

    def acknowledged(self, records: int, seconds: float, now: float) -> None:
        """A batch was, so long after it was sent."""
        if seconds <= SLOW:
            self._room = min(MOST, self._room + GROWTH * records / self._room)
        else:
            self._shrink(SHRINK, now - seconds, now)
        if self._room < records:
            self.next_at = max(self.next_at, now + seconds * (records / self._room - 1))

    def unacknowledged(self, sent_at: float, now: float) -> None:
        """A batch has to be sent again."""
        self._shrink(LOST, sent_at, now)

    def _shrink(self, share: float, sent_at: float, now: float) -> None:
        """What was sent before the last time says nothing new."""
        if sent_at >= self._shrunk_at:
            self._room, self._shrunk_at = max(LEAST, self._room * share), now
