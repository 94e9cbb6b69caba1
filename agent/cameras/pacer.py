"""Which pictures of a stream are due, and when they were taken. Pure: stream time and arrival in, decisions out.

Stream time is seconds by the camera's own clock, monotonic even where a file starts over. The grid of due times is
fixed, so a rate that does not divide the camera's is still met on average; after a gap it starts anew, because a frame
whose time has gone is not waited for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EARLY = 0.3  # of a period: jitter and rounding of time stamps must not cost a frame
DRIFT = 1e-3  # seconds per second that a camera's clock may run slow against ours
LONGEST_DELAY = 5.0  # seconds; beyond that the camera's clock was set, not its network slow


@dataclass
class Pacer:
    """Selects `rate` frames per second of stream time."""

    rate: float
    _next: float | None = None
    _skipped: float = 0.0  # of a period, not yet counted

    def missed(self, skipped: float) -> int:
        """How many frames were due in `skipped` seconds that the source left out."""
        self._skipped += skipped * self.rate
        count = math.floor(self._skipped + 1e-6)
        self._skipped = max(0.0, self._skipped - count)
        return count

    def due(self, stream_time: float) -> bool:
        period = 1.0 / self.rate
        if self._next is None or not -period <= self._next - stream_time <= (1 + EARLY) * period:
            self._next = stream_time  # the first, or after a gap or a jump
        if stream_time < self._next - EARLY * period:
            return False
        self._next += period
        return True


@dataclass
class ArrivalClock:
    """When a picture was captured, from when it arrived and what the camera's clock said.

    The network only ever delays, so the smallest (arrival - stream time) seen is the truest; it may rise slowly, for
    clocks that drift apart. A burst after a stall is thus seen as old, not as new.
    """

    _offset: float | None = None
    _last: float = 0.0

    def captured(self, stream_time: float, arrival: float) -> float:
        """Never later than `arrival`."""
        offset = arrival - stream_time
        if self._offset is None or stream_time < self._last or offset - self._offset > LONGEST_DELAY:
            self._offset = offset
        else:
            self._offset = min(offset, self._offset + DRIFT * (stream_time - self._last))
        self._last = stream_time
        return stream_time + self._offset


@dataclass
class LoopClock:
    """Stream time of a file that is played again and again: each turn continues where the last one ended."""

    _turn_started: float = 0.0
    _last: float = 0.0
    _gap: float = 0.04  # seconds between the last two pictures
    _first: float | None = None  # the file's own time of its first picture

    def stream_time(self, file_time: float) -> float:
        """Of the picture with this time in the file. Raises nothing; time that goes back within a turn stands still."""
        if self._first is None:
            self._first = file_time
        now = max(self._last, self._turn_started + file_time - self._first)
        if now > self._last:
            self._gap = now - self._last
        self._last = now
        return now

    def start_over(self) -> None:
        self._turn_started = self._last + self._gap
        self._first = None
