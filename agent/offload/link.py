"""The way to the cloud: how fast it carries, and how soon a picture would be answered. P(in time) is `policy.chance`.

    need = backlog + bytes/bw·1.15 + rtt + service

Rules that hold here:

- One picture is carried at a time, in the order sent: a picture's transfer begins when the one before it is through.
- bw follows each transfer with a gain of 0.3. rtt (all that is neither transfer nor inference) and service follow more
  slowly, and are counted as what 90 of 100 answers keep: the mean and 1.6 mean deviations (RFC 6298's, for 90 %).
- Of what an answer took beyond what was expected, rtt takes its own share of the expected; all of it moves bw.
- A silence tells as much as an answer: with something under way and nothing heard for longer than half a second, or
  than answers usually take, bw fades with a time constant of half a second, and what is measured next counts the more.
- A way that is not used is tried with one small picture every five seconds (ANS's forced probe), or one that once was
  thought too slow would never be found fast again.
- What was lost or called off is no longer in the way, and teaches nothing but by the silence before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FIRST_BYTES_PER_SECOND = 250_000.0  # 2 Mbit/s
FIRST_RTT = 0.04  # seconds
FIRST_SERVICE = 0.03
BW_GAIN = 0.3
GAIN = 0.1
NINETY = 1.6  # mean deviations above the mean that 90 of 100 keep, of a normal spread
CAREFUL = 1.15  # times the transfer
SILENCE = 0.5  # seconds
FADE = 0.5  # seconds, time constant
PROBE_SECONDS = 5.0
SLOWEST = 100.0  # bytes a second: what bw decays to
FASTEST = 1e9
LEAST_SECONDS = 1e-4
LEAST_TRANSFER = 0.1  # of what an answer took


@dataclass(slots=True)
class Measured:
    """Seconds: a smoothed mean and mean deviation."""

    mean: float
    deviation: float

    @property
    def ninety(self) -> float:
        """What 90 of 100 keep."""
        return self.mean + NINETY * self.deviation

    def observe(self, seconds: float) -> None:
        self.deviation += GAIN * (abs(seconds - self.mean) - self.deviation)
        self.mean += GAIN * (seconds - self.mean)


class Link:
    """All times are monotonic seconds. A picture is `sent`, then `answered` or `lost`, once."""

    __slots__ = ("_bw", "_bytes", "_fades_from", "_through_at", "_under_way", "_used_at", "rtt", "service")

    def __init__(self) -> None:
        self._bw = FIRST_BYTES_PER_SECOND
        self.rtt = Measured(FIRST_RTT, FIRST_RTT / 4)
        self.service = Measured(FIRST_SERVICE, FIRST_SERVICE / 4)
        self._under_way: dict[int, tuple[int, float]] = {}  # number -> bytes, and when sent; in the order sent
        self._bytes = 0  # of all under way
        self._fades_from = 0.0  # while something is under way
        self._through_at = -math.inf  # when the last picture answered is thought to have been carried
        self._used_at = -math.inf

    # ---- events ----

    def sent(self, number: int, nbytes: int, now: float) -> None:
        """A picture went to the wire; those before it are ahead of it there."""
        if not self._under_way:
            self._heard(now)
        self._under_way[number] = (nbytes, now)
        self._bytes += nbytes
        self._used_at = now

    def answered(self, number: int, now: float, service: float = 0.0) -> None:
        """The cloud answered it, and was busy with it for `service` seconds (0: it did not say)."""
        if number not in self._under_way:
            return
        faded = self._fade(now)
        nbytes, sent_at = self._take(number, now)
        began = max(sent_at, self._through_at)
        away = max(LEAST_SECONDS, now - began - service)
        if service > 0.0:
            self.service.observe(service)
        expected = self.rtt.mean + nbytes / self._bw
        took = max(away - self.rtt.mean, LEAST_TRANSFER * away)
        self.rtt.observe(self.rtt.mean * away / expected)
        self._bw *= faded
        self._bw += (1.0 - (1.0 - BW_GAIN) * faded) * (min(FASTEST, nbytes / took) - self._bw)
        self._through_at = began + took
        self._heard(now)

    def lost(self, number: int, now: float) -> None:
        """It failed, or was called off: nothing more of it will be carried."""
        if number in self._under_way:
            self._bw = self.bytes_per_second(now)
            self._fades_from = max(self._fades_from, now)
            self._take(number, now)

    # ---- questions ----

    @property
    def in_flight(self) -> int:
        """Pictures under way."""
        return len(self._under_way)

    def bytes_per_second(self, now: float) -> float:
        """What the way is thought to carry now."""
        return max(SLOWEST, self._bw * self._fade(now))

    def need(self, nbytes: float, now: float) -> float:
        """Seconds from now that 90 of 100 answers to a picture of `nbytes` come within, what is under way included."""
        bw = self.bytes_per_second(now)
        ahead = self._ahead(bw, now) if self._under_way else 0.0
        return (ahead + nbytes * CAREFUL) / bw + self.rtt.ninety + self.service.ninety

    def probe_due(self, now: float) -> bool:
        """Nothing is under way, and nothing was for long: send one small picture, whatever it is thought to take."""
        return not self._under_way and now - self._used_at >= PROBE_SECONDS

    def ahead(self, now: float) -> float:
        """Bytes under way that are thought still to be carried."""
        return self._ahead(self.bytes_per_second(now), now) if self._under_way else 0.0

    # ---- inside ----

    def _ahead(self, bw: float, now: float) -> float:
        """Bytes under way that are still to be carried; in a silence, all of them."""
        if now > self._fades_from:
            return self._bytes
        _, sent_at = next(iter(self._under_way.values()))
        return max(0.0, self._bytes - bw * (now - max(sent_at, self._through_at)))

    def _take(self, number: int, now: float) -> tuple[int, float]:
        nbytes, sent_at = self._under_way.pop(number)
        self._bytes -= nbytes
        self._used_at = now
        return nbytes, sent_at

    def _heard(self, now: float) -> None:
        self._fades_from = now + max(SILENCE, self.rtt.ninety + self.service.ninety)

    def _fade(self, now: float) -> float:
        """What a silence leaves of bw: a share."""
        if not self._under_way or now <= self._fades_from:
            return 1.0
        return math.exp((self._fades_from - now) / FADE)
