"""Calibration: what a score has been worth. Numbers in, numbers out. Pure.

Of all curves that never fall the one nearest to the trials (`protos.isotonic`). Trials are put into bins of equal count
first, so that no single trial makes a step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protos.isotonic import rising
from protos.judged import Knots, rounded

BINS = 20
LEAST_TRIALS = 10  # in a bin: fewer tell nothing of a share


def knots(scores: NDArray[np.float64], hits: NDArray[np.bool_]) -> Knots:
    """(mean score, share of hits) of each bin, pooled; empty where there were too few trials.

    Scores of two bins that round to the same are one knot.
    """
    bins = min(BINS, len(scores) // LEAST_TRIALS)
    if not bins:
        return ()
    parts = np.array_split(np.argsort(scores, kind="stable"), bins)
    shares = rising([float(hits[part].mean()) for part in parts], [len(part) for part in parts])
    curve = {rounded(float(scores[part].mean())): rounded(share) for part, share in zip(parts, shares, strict=True)}
    return _corners(sorted(curve.items()))


def _corners(curve: list[tuple[float, float]]) -> Knots:
    """Without the knots that lie within a flat."""
    flat = [
        0 < at < len(curve) - 1 and curve[at - 1][1] == share == curve[at + 1][1] for at, (_, share) in enumerate(curve)
    ]
    return tuple(knot for knot, within in zip(curve, flat, strict=True) if not within)
