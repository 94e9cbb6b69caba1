"""Lines over steps, as SVG paths in a square of 1000 × 1000, with the texts that stand beside it. Pure.

The texts are no part of the picture, which is stretched to its place: they keep their size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, isfinite, log10
from typing import Any

SIDE = 1000
MOST_POINTS = 400  # of one line; more are thinned, keeping first and last
MOST_LINES = 6
Facts = dict[str, Any]
Points = Sequence[tuple[float, float]]


def plot(series: Mapping[str, Points]) -> Facts | None:
    """None while there is nothing to draw. `y` goes from 0 where all is positive and near it, else round the values."""
    lines = {
        name: thinned([(x, y) for x, y in points if isfinite(x) and isfinite(y)]) for name, points in series.items()
    }
    lines = {name: points for name, points in list(lines.items())[:MOST_LINES] if points}
    if not lines:
        return None
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    low, high = _range(min(ys), max(ys))
    left, right = min(xs), max(*xs, min(xs) + 1)
    return {
        "lines": [
            {
                "name": name,
                "number": number,
                "path": _path([_place(x, y, (left, right), (low, high)) for x, y in points]),
                "last": figure(points[-1][1]),
                "points": [[x, y] for x, y in points],
            }
            for number, (name, points) in enumerate(lines.items())
        ],
        "y": [figure(value) for value in (high, (low + high) / 2, low)],
        "x": [f"{value:,.0f}" for value in (left, (left + right) / 2, right)],
        "span": [left, right, low, high],
    }


def thinned(points: Points) -> list[tuple[float, float]]:
    if len(points) <= MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(index * step)] for index in range(MOST_POINTS)]


def _range(low: float, high: float) -> tuple[float, float]:
    """Round numbers that hold both."""
    if low >= 0 and low <= high / 2:
        low = 0
    span = (high - low) or abs(high) or 1.0
    unit = 10 ** floor(log10(span))
    step = next(unit * part for part in (0.2, 0.5, 1, 2) if span <= 10 * unit * part)
    bottom, top = step * floor(low / step), step * -floor(-high / step)
    return bottom, top if top > bottom else bottom + step


def _place(x: float, y: float, across: tuple[float, float], up: tuple[float, float]) -> tuple[float, float]:
    left, right = across
    low, high = up
    return round(SIDE * (x - left) / (right - left), 1), round(SIDE * (1 - (y - low) / (high - low)), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    """A single point is drawn as a dash, so that it can be seen."""
    if len(points) == 1:
        ((x, y),) = points
        return f"M{max(0, x - 5):g} {y:g}H{min(SIDE, x + 5):g}"
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def figure(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
