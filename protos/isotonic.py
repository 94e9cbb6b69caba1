"""Curves that never fall, as the calibration of a manifest is one: how one is fitted, and how it is read. Pure.

One rule for both planes: packaging fits the curve that a manifest tells, and a box reads it and goes on fitting.
Isotonic regression by pooling adjacent violators (Ayer et al., 1955): of all curves that never fall, the one nearest to
the values. Plain Python, since a box's main process loads no numpy for twenty numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter


def rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The values made never to fall, nearest by weighted squares: neighbours that fall share their mean."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for mean, weight in zip(values, weights, strict=True):
        many = 1
        while pools and pools[-1][0] >= mean:
            before, heavy, more = pools.pop()
            mean = (before * heavy + mean * weight) / (heavy + weight)
            weight, many = weight + heavy, many + more
        pools.append((mean, weight, many))
    return [mean for mean, _, many in pools for _ in range(many)]


def at(knots: Sequence[Sequence[float]], score: float) -> float:
    """What a score stands for: by lines between the knots, and as the last one beyond them. `knots`: one or more."""
    after = bisect_right(knots, score, key=itemgetter(0))
    if after in (0, len(knots)):
        return knots[min(after, len(knots) - 1)][1]
    (x0, y0), (x1, y1) = knots[after - 1], knots[after]
    return y0 + (y1 - y0) * (score - x0) / (x1 - x0)
