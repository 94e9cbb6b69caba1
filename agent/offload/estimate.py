"""How long the cloud takes, learned from what it took: a smoothed mean that a silence wears away.

Source: Jacobson and Karels' estimator (RFC 6298), with a larger gain (1/4): at ten frames a second a way that became
slow is known as slow after three frames. What a call on the box costs is `agent.offload.cost`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

GAIN = 0.25
FORGET_SECONDS = 1.0


@dataclass
class Estimate:
    """Seconds. `mean` begins as a careful guess; the first sample replaces it."""

    mean: float
    samples: int = 0
    last_at: float = float("-inf")  # monotonic seconds of the newest sample

    def typical_after(self, now: float) -> float:
        """The mean, halved per second of silence after the first: a bad memory must not last for ever.

        For a way whose alternative is to give the frame up: even odds are worth a try.
        """
        silence = max(0.0, now - self.last_at - FORGET_SECONDS) if self.samples else 0.0
        return float(self.mean * 0.5 ** (silence / FORGET_SECONDS))

    def observe(self, seconds: float, now: float) -> None:
        self.mean += (GAIN if self.samples else 1.0) * (seconds - self.mean)
        self.samples += 1
        self.last_at = now
