"""What an answer is thought to be worth by the learning baselines: what the release's profile tells the agent, too."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class Worth:
    """Chances of being right. `knots`: (score, chance), rising, between which it is interpolated; none: the score."""

    cloud: float
    knots: tuple[tuple[float, float], ...] = ()

    def box(self, score: float) -> float:
        if not self.knots:
            return score
        place = bisect_right(self.knots, (score, 2.0))
        if place in (0, len(self.knots)):
            return self.knots[max(0, place - 1)][1]
        (x0, y0), (x1, y1) = self.knots[place - 1], self.knots[place]
        return y0 + (y1 - y0) * (score - x0) / (x1 - x0)
