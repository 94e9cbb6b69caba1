"""Whoever decides: what it is told, and what it may do. Rules that hold here:

- events in, actions out, as the agent's lane has it: no contender sees another clock, or the world behind the frames;
- a frame has one number from its arrival to its End, the same for every contender that meets this world;
- every frame that arrived ends in exactly one End, by an answer that its contender was given, or by none. Only where
  cameras may be lowered it may be NotGiven instead, at its arrival: then its camera never took it;
- times are seconds of virtual time that never go back; `wake_at` is when `tick` is wanted, None when never;
- a call on the box may begin only while fewer than `Known.width` run; whoever breaks a rule is stopped by the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from protos.outcomes import Outcome

CLOUD = "cloud"  # the name of an answer that came from there, beside the names of the sizes
NOT_GIVEN = "not_given"  # the fate of a frame that its camera never took


class Offer(msgspec.Struct, frozen=True):
    """A frame that arrived. `value`: worth of a right answer in time."""

    number: int
    camera: int
    seq: int  # of its camera, from 1
    captured: float
    captured_unix_ns: int  # by the box's wall clock, which may jump
    deadline: float
    value: float


class Reply(msgspec.Struct, frozen=True):
    """One answer about one frame. Equal `label`s agree; `error` is a sentence, empty when fine."""

    label: int = 0
    confidence: float = 0.0  # 0 to 1, as the model says it: too sure of itself
    seconds: float = 0.0  # of the box's or of the cloud's inference
    error: str = ""


class Size(msgspec.Struct, frozen=True):
    """One form of the model on the box, as its release describes it."""

    name: str
    seconds: float  # of one frame
    metric: float  # share of right answers


class Picture(msgspec.Struct, frozen=True):
    """One way to send a frame up, as its release describes it."""

    quality: int
    max_side: int
    nbytes: int
    metric: float  # of the cloud's answers on it


class Known(msgspec.Struct, frozen=True):
    """What a contender knows beforehand: the release's description, the operator's terms. All of it may be wrong."""

    cameras: int
    sizes: tuple[Size, ...]  # cheapest first
    pictures: tuple[Picture, ...]  # dearest first
    confidence: tuple[tuple[float, float], ...]  # said by the cheapest size → share that was right; rising
    width: int  # calls that the box runs at once
    deadline: float  # the usual one, seconds from capture
    budget: float  # bits a second of uplink, over 60 s
    cloud_allowed: bool
    rate: float = 10.0  # frames a second of a camera that is on
    floor: float | None = None  # frames a second that a camera may be lowered to; None: none is lowered


class Start(msgspec.Struct, frozen=True):
    """Run these frames on the box in one call; `local_done` follows."""

    numbers: tuple[int, ...]
    size: str


class Send(msgspec.Struct, frozen=True):
    """Encode this frame and send it up; `encoded`, then `cloud_done` follow. `picture`: index in Known.pictures."""

    number: int
    picture: int = 0


class CallOff(msgspec.Struct, frozen=True):
    """Said of a picture that was just `encoded`: it is not sent; `cloud_done` follows, with an error."""

    number: int


class End(msgspec.Struct, frozen=True):
    """This frame is over. `by`: whose answer is taken, a size's name or CLOUD; None where there is none."""

    number: int
    outcome: Outcome
    by: str | None = None


class NotGiven(msgspec.Struct, frozen=True):
    """This frame, which is about to arrive, is not taken: its camera gives fewer."""

    number: int


Act = Start | Send | CallOff | End | NotGiven


class Contender(Protocol):
    """One policy, fresh for one world."""

    def arrive(self, offer: Offer, now: float) -> list[Act]: ...

    def local_done(self, numbers: tuple[int, ...], replies: Sequence[Reply], now: float) -> list[Act]:
        """A call on the box ended: a reply a frame, in order."""
        ...

    def encoded(self, number: int, nbytes: int, now: float) -> list[Act]:
        """The picture is made, and goes to the link now, unless it is called off."""
        ...

    def cloud_done(self, number: int, reply: Reply, now: float) -> list[Act]:
        """The cloud answered, late perhaps; or, by `error`, will not."""
        ...

    def tick(self, now: float) -> list[Act]: ...

    @property
    def wake_at(self) -> float | None: ...


Maker = Callable[[Known, int], Contender]  # what is known, and the seed of the contender's own chances
