"""What the bench and its processes tell each other, a JSON line each. All times are monotonic seconds."""

from __future__ import annotations

import msgspec

from agent.simulation.contender import Known


class Opened(msgspec.Struct):
    """The box is there. By picture of the pool: the JPEG's digest and bytes, the worst score of what the engine saw,
    and whether that was right."""

    pid: int
    digests: list[str]
    nbytes: list[int]
    scores: list[float]
    right: list[bool]
    call_seconds: float  # of the engine, as warmed
    width: int


class Window(msgspec.Struct):
    """Frames, in order: when each is due (seconds after `start`), whose it is, which picture it shows."""

    start: float
    seed: int
    port: int  # of the link
    known: Known
    captured: list[float]
    camera: list[int]
    picture: list[int]


class Ask(msgspec.Struct):
    """A picture that went up, by seconds after the start. `answered`: the node did, in time."""

    at: float
    seconds: float
    nbytes: int
    answered: bool


class Ended(msgspec.Struct):
    """What came of a window: how each frame ended, where and when (seconds after the start), and what things took."""

    outcomes: list[str]
    at: list[float]
    lags: list[float]  # of each frame, from its due time until the lane had it
    calls: list[float]  # of the engine, away
    encodes: list[float]
    asks: list[Ask]


class Begin(msgspec.Struct):
    """To the node. Between `since` and `until` it takes `extra` seconds more."""

    since: float
    until: float
    extra: float


class Recorded(msgspec.Struct):
    """To the node, first: what it answers, by the picture's digest, and how long that takes."""

    labels: list[str]
    answers: dict[str, list[tuple[float, float, float, float, int]]]  # corners, class
    service: float


class Serving(msgspec.Struct):
    """The node is there."""

    pid: int
    port: int
