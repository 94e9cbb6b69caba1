"""A line through what was seen over time, by least squares, and how sure its slope is. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Slope:
    """Of memory. `error` is the standard error of the slope, as if each look told something of its own."""

    first_mb: float
    last_mb: float
    mb_per_hour: float
    error: float


def slope(series: Sequence[tuple[float, float]]) -> Slope:
    """`series`: seconds and MB, at least three."""
    mean_x = sum(x for x, _ in series) / len(series)
    mean_y = sum(y for _, y in series) / len(series)
    spread = sum((x - mean_x) ** 2 for x, _ in series)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in series) / spread
    rest = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in series)
    error = math.sqrt(rest / (len(series) - 2) / spread)
    return Slope(round(series[0][1], 2), round(series[-1][1], 2), round(3600 * rise, 3), round(3600 * error, 3))
