"""What a lane says is to be done, and what comes back from doing it. Pure values."""

from __future__ import annotations

import msgspec

from agent.types import Box, Finished, Frame, Tap
from protos.ids import Digest
from protos.regions import WHOLE, Region


class Infer(msgspec.Struct, frozen=True):
    """Run these frames on the box, in one call of the model of this size, then report `local_done`."""

    jobs: tuple[int, ...]
    frames: tuple[Frame, ...]
    size: str = ""  # one of the lane's; "" where its release has one


class SendUp(msgspec.Struct, frozen=True):
    """Encode this frame, report `encoded`, ask the cloud, report `cloud_done`; only the latter where that fails."""

    job: int
    frame: Frame
    region: Region = WHOLE  # of its picture, that goes up
    quality: int = 0  # of its JPEG, 1 to 100; 0: as the deployment has it
    max_side: int = 0  # pixels of its longer side; 0: as many as the model looks at
    hard: bool = False  # the box has an answer, and is not sure of it


class Release(msgspec.Struct, frozen=True):
    """Nobody reads this slot any more."""

    tap: Tap
    slot: int


class Finish(msgspec.Struct, frozen=True):
    """This is how the frame ended."""

    finished: Finished


Action = Infer | SendUp | Release | Finish


class Answer(msgspec.Struct, frozen=True):
    """What came back from one way of answering; `error` is one sentence, empty when fine."""

    boxes: tuple[Box, ...] = ()
    release: Digest | None = None
    error: str = ""
    where: str = "local"
    infer_seconds: float = 0.0  # local: inference alone, slow-down included
    size: str | None = None  # local: of the model that answered, where that is not the one that was asked for
    confidence: float | None = None  # P(correct), 0 to 1; None: it is told by the scores of the boxes
    service_seconds: float = 0.0  # cloud: what the node itself took, waiting there included; 0: not told
    turned_away: bool = False  # cloud: its door said at once that it would be late there
    retry_after: float = 0.0  # seconds for which that door wants to be asked nothing
