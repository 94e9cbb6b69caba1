"""What a baseline knows of its uplink: what is under way, and how fast it went of late.

A mean of the seconds a byte takes and one of the rest of the way, each by a gain of 0.3; nothing is known of silences.
That is what a careful engineer adds to a cloud client in an afternoon; the agent's own estimate (agent.offload.link) is
not used here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GAIN = 0.3
FIRST_PACE = 4e-6  # seconds a byte: 2 Mbit/s
FIRST_REST = 0.06  # seconds


@dataclass
class Wire:
    """`pace`: seconds a byte; `rest`: seconds of an answer beyond its transfer, the cloud's work included."""

    pace: float = FIRST_PACE
    rest: float = FIRST_REST
    backlog_bytes: int = 0
    typical_bytes: float = 28_000.0
    _under_way: dict[int, tuple[int, float]] = field(default_factory=dict)  # number → bytes, sent at
    _free_at: float = 0.0  # when the last answer came: the wire began with the next about `rest` before

    def sent(self, number: int, nbytes: int, now: float) -> None:
        self._under_way[number] = (nbytes, now)
        self.backlog_bytes += nbytes
        self.typical_bytes += GAIN * (nbytes - self.typical_bytes)

    def answered(self, number: int, now: float, *, failed: bool) -> None:
        """The cloud answered, or failed, which says nothing of the pace."""
        nbytes, at = self._under_way.pop(number)
        self.backlog_bytes -= nbytes
        began, self._free_at = max(at, self._free_at - self.rest), now
        if failed:
            return
        self.pace += GAIN * (max(0.0, now - began - self.rest) / nbytes - self.pace)
        if began == at:
            self.rest += GAIN * (max(0.0, now - at - nbytes * self.pace) - self.rest)

    def need(self, nbytes: float) -> float:
        """Seconds until the answer to a picture of so many bytes that is sent now."""
        return (self.backlog_bytes + nbytes) * self.pace + self.rest
