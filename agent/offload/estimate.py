"""How long something takes, learned from what it took: a smoothed mean and a smoothed deviation.

Source: Jacobson and Karels' estimator (RFC 6298), with a larger gain (1/4 and 1/4): at ten frames a second a box
that is slowed down is known as slow after three frames. `planned` is what admission counts on.
"""

from __future__ import annotations

from dataclasses import dataclass

GAIN = 0.25
FORGET_SECONDS = 1.0
DEVIATIONS = 2.0  # RFC 6298 takes 4, for timers; admission that pessimistic would send feasible frames away


@dataclass
class Estimate:
    """Seconds. `initial` is a measurement (warm-up) or a careful guess; the first sample replaces it."""

    initial: float
    mean: float = 0.0
    deviation: float = 0.0
    samples: int = 0
    last_at: float = float("-inf")  # monotonic seconds of the newest sample

    def __post_init__(self) -> None:
        self.mean = self.initial
        self.deviation = self.initial / 4

    @property
    def planned(self) -> float:
        return self.mean + DEVIATIONS * self.deviation

    def typical_after(self, now: float) -> float:
        """The mean, halved per second of silence after the first: a bad memory must not last for ever.

        For a way whose alternative is to give the frame up: even odds are worth a try.
        """
        silence = max(0.0, now - self.last_at - FORGET_SECONDS) if self.samples else 0.0
        return float(self.mean * 0.5 ** (silence / FORGET_SECONDS))

    @property
    def improving(self) -> bool:
        """The newest samples were far below what is planned: worth asking again at once."""
        return self._newest < 0.7 * self.planned

    _newest: float = float("inf")

    def observe(self, seconds: float, now: float) -> None:
        if self.samples == 0:
            self.mean, self.deviation = seconds, seconds / 4
        else:
            self.deviation += GAIN * (abs(seconds - self.mean) - self.deviation)
            self.mean += GAIN * (seconds - self.mean)
        self._newest = seconds
        self.samples += 1
        self.last_at = now
