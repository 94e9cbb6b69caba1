"""Which size of a model a frame is run in: the largest that it, those that wait and those to come leave time for.

A larger size is taken only where the frame is in time with it, all that wait are with the cheapest size after it, and
so is what will come meanwhile, at the rate of the last second. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

LOOK_AHEAD = 0.1  # seconds of arrivals that must find their time; longer where calls are long
CALLS_AHEAD = 4.0  # calls of the size looked at, that it looks ahead at least
COMING = 0.9  # of the rate of the last second, that is reckoned with


class Size(msgspec.Struct, frozen=True):
    """One that the model comes in, as it stands now."""

    name: str
    metric: float  # share of frames answered correctly
    seconds: float  # expected of a frame alone


def fits_to_come(seconds: float, quick: float, waiting: int, rate: float, width: int) -> bool:
    """Is there time for what waits and what comes, in the cheapest size, after a call of `seconds`?

    `quick`: seconds of a frame in the cheapest size; `rate`: frames a second; `width`: calls at once.
    """
    ahead = max(LOOK_AHEAD, CALLS_AHEAD * seconds)
    return seconds + (waiting + COMING * rate * ahead) * quick <= ahead * width


def shared(sizes: Sequence[Size], rate: float, width: int) -> tuple[float, float]:
    """What a frame is answered with when all share the engine: the metric, and what a further second would add to it.

    Between two sizes, frames are parted so that the engine is just busy. `sizes`: cheapest first.
    """
    each = width / rate if rate > 0 else float("inf")
    below = sizes[0]
    if each <= below.seconds:
        return below.metric, slope(sizes)
    for above in sizes[1:]:
        if each < above.seconds:
            part = (each - below.seconds) / (above.seconds - below.seconds)
            gain = (above.metric - below.metric) / (above.seconds - below.seconds)
            return below.metric + part * (above.metric - below.metric), max(0.0, gain)
        below = above if above.seconds > below.seconds else below
    return below.metric, 0.0


def slope(sizes: Sequence[Size]) -> float:
    """What a second more for one frame adds to its metric, from the cheapest size up; 0 where there is one size."""
    below = sizes[0]
    return max(
        (
            (above.metric - below.metric) / (above.seconds - below.seconds)
            for above in sizes[1:]
            if above.seconds > below.seconds
        ),
        default=0.0,
    )
