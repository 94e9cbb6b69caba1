"""How much longer a call takes beside others that run at once, as measured here. Pure."""

from __future__ import annotations

GAIN = 0.05  # of one call
MOST = 4.0  # times: beyond that a call was held up by something else


class Interference:
    """Factors on what a call takes alone, by how many run beside it; 1 until one was measured."""

    def __init__(self) -> None:
        self._factors: dict[int, float] = {}

    def factor(self, beside: int) -> float:
        """At least 1. Beside more than were seen at once: as beside the most that were."""
        if beside == 0 or not self._factors:
            return 1.0
        known = self._factors.get(beside)
        return self._factors[max(self._factors)] if known is None else known

    def learn(self, beside: int, ratio: float) -> None:
        """A call beside so many took `ratio` times what was expected of it alone."""
        if beside:
            before = self._factors.get(beside, 1.0)
            self._factors[beside] = max(1.0, before + GAIN * (min(ratio, MOST) - before))
