"""When a picture was captured, by the camera's own wall clock where its RTCP sender reports tell it. Pure.

A sender report (RFC 3550, 6.4.1) ties the stream's media clock to the camera's wall clock, which keeps better time than
the media clock but may be set to anything. The network only ever delays, so the smallest (arrival - sent) over a window
is the distance between the camera's wall clock and ours (a one-way-delay minimum filter, as clock filters of NTP are).
The window lets it rise again where the clocks drift apart or the way has become longer for good.

A camera's wall clock that was set is seen without any noise of the network: from one picture to the next it went
another distance than the media clock. The estimate then starts again and is believed only after a while; each time
later, so that reports that are wrong again and again count as none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from agent.cameras.pacer import LONGEST_DELAY, ArrivalClock

WINDOW = 30.0  # seconds over which the smallest delay is looked for; 200 ppm of drift come to 6 ms within it
BUCKET = 1.0  # seconds of the window that are kept as one
STEP = 0.5  # seconds that the two clocks may differ from picture to picture; cheap cameras' reports are a picture off
SETTLED = 2.0  # seconds until a first estimate is believed
LONGEST_SETTLED = 120.0  # seconds, after many steps


@dataclass
class SenderClock:
    """The camera's wall clock against ours."""

    _minima: deque[tuple[float, float]] = field(default_factory=deque)  # (start of a bucket, smallest offset in it)
    _last: tuple[float, float] | None = None  # media and wall clock of the picture before
    _believed_from: float = 0.0
    _settled: float = SETTLED

    def captured(self, stream_time: float, sent: float, arrival: float) -> float | None:
        """Seconds by our clock, or None while the estimate is too young."""
        offset = arrival - sent
        if self._was_set(stream_time, sent) or offset - self._offset > LONGEST_DELAY:
            self._start(arrival, offset)
        self._last = (stream_time, sent)
        self._note(arrival, offset)
        return sent + self._offset if arrival >= self._believed_from else None

    @property
    def _offset(self) -> float:
        return min(offset for _, offset in self._minima)

    def _was_set(self, stream_time: float, sent: float) -> bool:
        if self._last is None:
            return True
        media, wall = stream_time - self._last[0], sent - self._last[1]
        return media < 0 or abs(wall - media) > STEP

    def _start(self, arrival: float, offset: float) -> None:
        self._minima.clear()
        self._minima.append((arrival, offset))
        self._believed_from = arrival + self._settled
        self._settled = min(LONGEST_SETTLED, 2 * self._settled)

    def _note(self, arrival: float, offset: float) -> None:
        since, smallest = self._minima[-1]
        if arrival - since < BUCKET:
            self._minima[-1] = (since, min(smallest, offset))
        else:
            self._minima.append((arrival, offset))
        while self._minima[0][0] <= arrival - WINDOW:
            self._minima.popleft()


@dataclass
class CaptureClock:
    """Of one connection."""

    _arrivals: ArrivalClock = field(default_factory=ArrivalClock)
    _reports: SenderClock = field(default_factory=SenderClock)
    _last: float = float("-inf")

    def captured(self, stream_time: float, sent: float | None, arrival: float) -> tuple[float, str]:
        """Seconds by our clock, and what they are from: `rtcp` or `arrival`.

        `stream_time` is seconds by the camera's media clock, `sent` by its wall clock (None: no report has come yet),
        `arrival` by our clock. The result is never later than `arrival`, at most LONGEST_DELAY before it, and never
        before the last result where `arrival` allows.
        """
        by_media = self._arrivals.captured(stream_time, arrival)
        by_report = None if sent is None else self._reports.captured(stream_time, sent, arrival)
        captured = by_media if by_report is None else by_report
        self._last = min(arrival, max(captured, self._last))
        return self._last, "arrival" if by_report is None else "rtcp"
