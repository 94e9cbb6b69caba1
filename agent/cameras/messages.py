"""What the agent and a capture worker say to each other: tagged msgpack structs, one socket message each.

A tap is known by a number that the agent gives to each of its memories, so a frame announced before a change cannot be
taken for one after it. Every Encode, Draw and Snap is answered by exactly one Encoded or Failed with its call number.
The worker says Measured every second, which is also its sign of life.
"""

from __future__ import annotations

import math

import msgspec

from agent.types import Box, CameraState, Geometry, ModelInput, View, Zone

MAX_JPEG = 150_000  # bytes; fits a message with room to spare


class SetCamera(msgspec.Struct, tag="set_camera"):
    """Run this camera so. `source` holds credentials."""

    camera: str
    source: str
    rate: float
    paused: bool = False
    restarts: int = 0  # so far
    look_every: float = 0.0  # seconds, at most, that frames in which nothing moves are passed over; 0: none is
    masks: list[Zone] = []  # in which motion does not count, and which are painted in every picture that leaves

    def __repr__(self) -> str:
        return f"SetCamera(camera={self.camera!r}, rate={self.rate!r}, paused={self.paused!r})"


class DropCamera(msgspec.Struct, tag="drop_camera"):
    """With all its taps."""

    camera: str


class SetTap(msgspec.Struct, tag="set_tap"):
    """Feed the slots behind the one descriptor beside this message; `busy` slots are still being read.

    The tap `instead_of` is fed no more: a due frame finds the one or the other, and never none. `rate` is that of Pace.
    """

    tap: int
    camera: str
    slots: int
    wanted: ModelInput
    next_seq: int
    busy: list[int]
    instead_of: int = 0
    rate: float = math.inf


class DropTap(msgspec.Struct, tag="drop_tap"):
    tap: int
    camera: str


class Pace(msgspec.Struct, tag="pace"):
    """Of this tap no more frames are due than so many a second, evenly spaced; inf: as many as of its camera."""

    tap: int
    camera: str
    rate: float


class Release(msgspec.Struct, tag="release"):
    tap: int
    slot: int


class Look(msgspec.Struct, tag="look"):
    """Pass over no frame of this camera until then, in monotonic seconds."""

    camera: str
    until: float


class Encode(msgspec.Struct, tag="encode"):
    """The decoded picture behind a slot, as JPEG."""

    call: int
    tap: int
    slot: int
    seq: int
    view: View


class Draw(msgspec.Struct, tag="draw"):
    """A picture of the camera with boxes and zones: the one captured then if it is still there, else the newest."""

    call: int
    camera: str
    boxes: list[Box]
    caption: str
    captured_unix_ns: int | None = None
    zones: list[Zone] = []
    max_width: int = 640


class Snap(msgspec.Struct, tag="snap"):
    """The newest picture of the camera, as JPEG with nothing drawn in but its masks."""

    call: int
    camera: str
    view: View


class Lent(msgspec.Struct, tag="lent"):
    """Answers an Ask: a descriptor beside it, an address, or `error` as errno."""

    call: int
    address: str = ""
    error: int = 0


class Hello(msgspec.Struct, tag="hello"):
    """First word of a worker. Beside it: the descriptor of the memory its last words will lie in."""


class FrameReady(msgspec.Struct, tag="frame"):
    """A due frame lies in its slot."""

    tap: int
    seq: int
    slot: int
    captured: float
    captured_unix_ns: int
    geometry: Geometry
    ts_source: str
    decode_seconds: float
    fit_seconds: float


class Still(msgspec.Struct, tag="still"):
    """A due frame in which nothing moves: it was passed over and lies in no slot."""

    tap: int
    seq: int
    captured: float
    captured_unix_ns: int
    ts_source: str


class Superseded(msgspec.Struct, tag="superseded"):
    """Due frames up to `seq` that found no free slot, or that nobody took because the box was busy."""

    tap: int
    seq: int
    count: int


class HealthChanged(msgspec.Struct, tag="health"):
    camera: str
    state: CameraState
    reason: str
    restarts: int
    thread: int  # as the interpreter's last words name it


class Hung(msgspec.Struct, tag="hung"):
    """This camera's thread does not come back from its source: only the end of the process can free it."""

    camera: str


class CameraMeasure(msgspec.Struct, array_like=True):
    """Totals since the worker started."""

    camera: str
    pictures: int
    width: int
    height: int
    last_unix_ns: int
    cpu_seconds: float


class Measured(msgspec.Struct, tag="measured"):
    cameras: list[CameraMeasure]


class Encoded(msgspec.Struct, tag="encoded"):
    call: int
    jpeg: bytes
    captured_unix_ns: int = 0  # of a Snap


class Failed(msgspec.Struct, tag="failed"):
    call: int
    message: str


class Ask(msgspec.Struct, tag="ask"):
    """Wants the file, or the address of the host, that this camera's source names."""

    call: int
    camera: str


Question = Encode | Draw | Snap
ToWorker = SetCamera | DropCamera | SetTap | DropTap | Pace | Release | Look | Encode | Draw | Snap | Lent
FromWorker = Hello | FrameReady | Still | Superseded | HealthChanged | Hung | Measured | Encoded | Failed | Ask
