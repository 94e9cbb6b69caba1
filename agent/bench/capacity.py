"""How many cameras a box has room for at which rate, and by when each can ask for an answer. Pure.

By the rule of protos.pace: the box's cores work half of the time at most, and so do, for any one camera, the model and
the thread that decodes it. A deadline is also long enough for the last of all cameras where the frames of all come at
one moment. Memory is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from protos import pace
from protos.pace import BUSY

RATES = (1.0, 2.0, 5.0, 10.0, 15.0, 25.0)  # frames a second
FASTEST = 30.0  # frames a second of a camera, as far as anybody asks


@dataclass(frozen=True)
class Demand:
    """What frames cost on a box. `frame`, `decode` and `fit` are core-seconds, `alone` and `slow` seconds.

    `frame`: of the model with all that the agent does around it, at full load. `decode`: of each picture of a stream,
    looked at or not; `fit`: of each that is. `alone`: until the answer where nothing else is asked; `slow`: of a slow
    frame among others, decoded and fitted. `stream_rate`: pictures a second of the stream.
    """

    cores: int
    frame: float
    alone: float
    slow: float
    decode: float
    fit: float
    stream_rate: float


@dataclass(frozen=True)
class Room:
    """`cameras` that are looked at `rate` times a second each. `decoding`: its share of the work; 0 without cameras."""

    rate: float
    cameras: int
    deadline_ms: int | None = None  # None where none fits
    decoding: float = 0.0


def rooms(demand: Demand, rates: Sequence[float] = RATES) -> list[Room]:
    return [room(demand, rate) for rate in rates]


def room(demand: Demand, rate: float) -> Room:
    """A camera gives as many pictures as it is looked at, at least."""
    thread = max(rate, demand.stream_rate) * demand.decode + rate * demand.fit
    whole = thread + rate * demand.frame
    if whole <= 0 or rate * demand.alone > BUSY or thread > BUSY:
        return Room(rate, 0)
    cameras = math.floor(round(BUSY * demand.cores / whole, 6))
    if not cameras:
        return Room(rate, 0)
    last = demand.slow + cameras * demand.frame / demand.cores
    return Room(rate, cameras, pace.deadline_ms(demand.slow, last), thread / whole)


def fastest(demand: Demand) -> float:
    """Frames a second that one camera can be given."""
    return pace.rate(demand.alone, FASTEST)
