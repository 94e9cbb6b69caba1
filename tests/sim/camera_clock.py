"""A camera with clocks of its own behind a network: what its pictures say, when they come, and when they were taken."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

REPORT_SECONDS = 5.0
START = 1000.0  # our clock at its first picture


@dataclass(frozen=True)
class Sent:
    """One picture. `taken` is the truth, by our clock."""

    stream_time: float
    sent: float | None
    arrival: float
    taken: float


@dataclass
class SimCamera:
    """Ten pictures a second; the first report comes after a second."""

    wall_offset: float = 0.0  # seconds that its wall clock is wrong by
    drift: float = 0.0  # seconds a second that its wall clock gains
    media_drift: float = 0.0  # and its media clock
    jitter: float = 0.0  # seconds, the longest the network adds
    delay: float = 0.02  # seconds, the shortest
    loss: float = 0.0
    sloppy: float = 0.0  # seconds a report may be wrong by
    steps: dict[float, float] = field(default_factory=dict)  # after so many seconds its wall clock is set by so much
    media_steps: dict[float, float] = field(default_factory=dict)
    seed: int = 1

    def film(self, seconds: float) -> Iterator[Sent]:
        chance = random.Random(self.seed)
        reported, error, came = -1, 0.0, 0.0
        for number in range(round(seconds * 10)):
            at = number / 10
            if at >= 1.0 and int(at / REPORT_SECONDS) != reported:
                reported, error = int(at / REPORT_SECONDS), chance.uniform(-self.sloppy, self.sloppy)
            taken = START + at
            came = max(came, taken + self.delay + chance.uniform(0, self.jitter))  # TCP keeps their order
            if chance.random() < self.loss:
                continue
            wall = taken + self.wall_offset + self.drift * at + _stepped(self.steps, at) + error
            media = at * (1 + self.media_drift) + _stepped(self.media_steps, at)
            yield Sent(media, wall if reported >= 0 else None, came, taken)


def _stepped(steps: dict[float, float], at: float) -> float:
    return sum(size for since, size in steps.items() if at >= since)
