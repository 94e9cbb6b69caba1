"""The words of the data plane, as frozen values. Nothing here does I/O; nothing here is a protobuf message.

What is made for each frame, or for each box of one, is a msgspec Struct: made in a fifteenth of the time that a frozen
dataclass takes, and the collector does not look at it.

Time: `captured_unix_ns` is wall time for people; every decision uses `monotonic` seconds (float) of the one clock that
all processes of the box share (CLOCK_MONOTONIC). Deadlines are absolute monotonic seconds, counted from capture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from protos.ids import CameraName, DeploymentName, Digest
from protos.outcomes import Outcome
from protos.regions import WHOLE, Region


class Tap(msgspec.Struct, frozen=True, order=True):
    """One camera feeding one deployment; the unit of mailboxes, slots and outcome counts."""

    camera: CameraName
    deployment: DeploymentName


@dataclass(frozen=True)
class ModelInput:
    """What pixels a release wants: uint8 RGB [height, width, 3]."""

    height: int
    width: int
    fit: str = "letterbox"  # or "stretch"
    pad: int = 114

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, 3

    @property
    def nbytes(self) -> int:
        return self.height * self.width * 3


class Geometry(msgspec.Struct, frozen=True):
    """How a picture was placed in the model's input: `x_in = x_picture * scale_x + left`, pixels; same for y."""

    picture_width: int
    picture_height: int
    scale_x: float
    scale_y: float
    left: int
    top: int


class Frame(msgspec.Struct, frozen=True):
    """A due frame, lying letterboxed in shared-memory slot `slot` of its tap until it is released."""

    tap: Tap
    seq: int  # per tap and capture-worker run, from 1, without gaps
    slot: int
    captured: float  # monotonic seconds
    captured_unix_ns: int
    deadline: float  # monotonic seconds
    geometry: Geometry
    ts_source: str = "arrival"
    input: ModelInput | None = None  # what the pixels were fitted to; None: whatever answers wants
    decode_seconds: float = 0.0  # until it lay in its slot


class Box(msgspec.Struct, frozen=True):
    """Corners normalised to the picture (0,0 top left to 1,1 bottom right)."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    label: str
    zones: tuple[str, ...] = ()  # of its camera, in which it stands; see agent.pipeline.zones
    track: int = 0  # the thing's number, see agent.tracking; 0: not known as one yet


@dataclass(frozen=True)
class View:
    """What somebody wants to have of a picture, as JPEG. Its masks stay painted in it, whoever wants it."""

    max_side: int  # pixels, of the longer side; never more than there are
    quality: int  # 1 to 100
    region: Region = WHOLE


@dataclass(frozen=True)
class Zone:
    """A named part of a camera's picture: its corners in order, normalised to the picture."""

    name: str
    points: tuple[tuple[float, float], ...]
    dwell_seconds: float = 0.0  # a stay that long is told; 0: none is


@dataclass(frozen=True)
class Line:
    """A named line across a camera's picture, from its first point to its second, normalised to the picture."""

    name: str
    points: tuple[tuple[float, float], tuple[float, float]]


class What(StrEnum):
    """What a thing did at a line or in a zone of its camera."""

    CROSSED = "crossed"
    ENTERED = "entered"
    LEFT = "left"
    DWELT = "dwelt"


class Direction(StrEnum):
    """Across a line, as seen by who looks along it from its first point to its second."""

    TO_RIGHT = "left-to-right"
    TO_LEFT = "right-to-left"


@dataclass(frozen=True)
class Happening:
    """What a thing did. `place`: the line it crossed, else the zone."""

    what: What
    place: str
    label: str
    track: int
    direction: Direction | None = None  # of a crossing
    seconds: float = 0.0  # in the zone so far, of `left` and `dwelt`


class Where(StrEnum):
    LOCAL = "local"
    CLOUD = "cloud"


@dataclass(frozen=True)
class Finished:
    """A frame's end: exactly one per due frame."""

    tap: Tap
    seq: int
    outcome: Outcome
    captured: float
    captured_unix_ns: int
    finished: float
    boxes: tuple[Box, ...] = ()
    release: Digest | None = None
    where: str = "local"  # "local" or the cloud node's id
    ts_source: str = "arrival"
    uplink_bytes: int = 0
    age: float = 0.0  # seconds that the boxes are older than the frame: of one that was passed over
    stages: dict[str, float] = field(default_factory=dict, compare=False)  # stage -> seconds
    happened: tuple[Happening, ...] = ()  # since the frame of this tap before it

    @property
    def latency(self) -> float:
        return self.finished - self.captured


class CameraState(StrEnum):
    """What an installer reads next to a camera."""

    STARTING = "starting"
    RUNNING = "running"
    STALLED = "stalled"  # connected, no new frame
    RETRYING = "retrying"  # lost or never there; the reason says why, the next try is timed with jitter
    PAUSED = "paused"
    REMOVED = "removed"


@dataclass(frozen=True)
class Problem:
    """What an operator should see and can mend: a stable code, and one sentence with the next step."""

    code: str
    message: str
