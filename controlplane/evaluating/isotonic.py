"""Calibration: what a score has been worth. Numbers in, numbers out. Pure.

Isotonic regression by pooling adjacent violators (Ayer et al., 1955): of all curves that never fall, the one nearest to
the trials. Trials are put into bins of equal count first, so that no single trial makes a step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    shares = pooled([float(hits[part].mean()) for part in parts], [len(part) for part in parts])
    curve = {rounded(float(scores[part].mean())): rounded(share) for part, share in zip(parts, shares, strict=True)}
    return _corners(sorted(curve.items()))


def _corners(curve: list[tuple[float, float]]) -> Knots:
    """Without the knots that lie within a flat."""
    flat = [
        0 < at < len(curve) - 1 and curve[at - 1][1] == share == curve[at + 1][1] for at, (_, share) in enumerate(curve)
    ]
    return tuple(knot for knot, within in zip(curve, flat, strict=True) if not within)


def pooled(values: list[float], weights: list[int]) -> list[float]:
    """The values made never to fall, nearest by weighted squares."""
    pools: list[tuple[float, int, int]] = []  # mean, weight, how many values
    for value, weight in zip(values, weights, strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, many = pools.pop()
            both = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / both, both, many + pool[2])
        pools.append(pool)
    return [mean for mean, _, many in pools for _ in range(many)]
