"""Does a tuner earn its place? Paired, on worlds that its search never saw. Pure.

The bar is the design's (§9.10): at least 2 % more useful value than the analytic gains, by a paired test with p < 0.05
over at least 20 seeds, and no frame less in time. The test is a sign-flip permutation of the paired differences
(Fisher, 1935): were the tuner worth nothing, each difference would as well have the other sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.decision.tuning.search import Reached

BAR = 0.02  # more useful, relative
LEVEL = 0.05
LEAST_SEEDS = 20
FLIPS = 20_000


@dataclass(frozen=True)
class Verdict:
    """Relative gain of useful value; differences of shares in points of 100."""

    seeds: int
    plain: float  # useful, share
    tuned: float
    gain: float
    p: float
    better: int  # seeds
    on_time_points: float
    late_points: float

    @property
    def ships_on(self) -> bool:
        enough = self.seeds >= LEAST_SEEDS and self.gain >= BAR and self.p < LEVEL
        return enough and self.on_time_points >= 0.0 and self.late_points <= 0.0


def verdict(plain: Sequence[Reached], tuned: Sequence[Reached]) -> Verdict:
    """Of pairs in the same worlds, in order."""
    before = np.array([each.useful for each in plain])
    after = np.array([each.useful for each in tuned])
    return Verdict(
        seeds=len(plain),
        plain=float(before.mean()),
        tuned=float(after.mean()),
        gain=float(after.mean() / before.mean() - 1.0),
        p=p_value((after - before).tolist()),
        better=int((after > before).sum()),
        on_time_points=100.0 * _more([each.on_time for each in plain], [each.on_time for each in tuned]),
        late_points=100.0 * _more([each.late for each in plain], [each.late for each in tuned]),
    )


def _more(before: Sequence[float], after: Sequence[float]) -> float:
    return float(np.mean(after) - np.mean(before))


def p_value(differences: Sequence[float]) -> float:
    """One-sided: how often signs by chance give as large a mean."""
    seen = np.array(differences)
    signs = np.random.default_rng(1).choice((-1.0, 1.0), size=(FLIPS, len(seen)))
    return float(((signs * seen).mean(axis=1) >= seen.mean() - 1e-15).mean())
