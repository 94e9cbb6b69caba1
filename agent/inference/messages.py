"""What the agent and an engine worker say to each other: tagged msgpack structs, one socket message each.

Order is the protocol: the worker begins with messages in the order in which they come, frames before requests, `width`
calls at once, and answers every call with exactly one `Loaded`, `Detected`, `Inferred` or `Failed`; a decoder answers
`Decode` with `Decoded` or `Failed`. Bytes beyond `INLINE` travel in shared memory: inputs in chunks the agent owns
(`Chunk`, `DropChunk`), outputs in one fresh memfd beside `Inferred`, each output starting at a multiple of ALIGN.
Tensors in a caller's own memory are named by `fetch` and `put` of `Infer`, whose descriptors come beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from agent.ports import TensorSpec, Warmed
from agent.types import Geometry, ModelInput

INLINE = 32 * 1024  # bytes of tensors in a message: a copy is then cheaper than a page mapping
INLINE_PICTURE = 128 * 1024  # bytes of an encoded picture in a message; most of a camera's are smaller
ALIGN = 64  # bytes; a cache line, and what vector loads like
Rows = list[tuple[float, float, float, float, float, int]]  # x0, y0, x1, y1, score, class


def aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGN) * ALIGN


class Reason(StrEnum):
    """Why a call failed, as the caller must see it."""

    INPUT = "input"  # this input never works
    MODEL = "model"  # this model never works
    NUMBER = "number"  # it answered, and not with numbers
    EXPIRED = "expired"  # its deadline had passed when its turn came
    AGAIN = "again"  # the box was short of something: it may work later
    BOX = "box"  # it works once somebody has mended the box


class Load(msgspec.Struct, tag="load"):
    """The model's bytes lie in the one descriptor beside this message."""

    call: int
    task: str
    input: ModelInput | None
    provider: str
    threads: int  # it may use; 0: one per core


class Attach(msgspec.Struct, tag="attach"):
    """Frames of tap number `tap` lie in the one descriptor beside this message."""

    tap: int
    slots: int
    height: int
    width: int


class Detach(msgspec.Struct, tag="detach"):
    tap: int


class Chunk(msgspec.Struct, tag="chunk"):
    """Request tensors may lie in the one descriptor beside this message."""

    chunk: int
    nbytes: int


class DropChunk(msgspec.Struct, tag="drop"):
    chunk: int


class SlotIn(msgspec.Struct, array_like=True):
    """A frame in slot `slot` of tap number `tap`."""

    tap: int
    slot: int
    geometry: Geometry


class Detect(msgspec.Struct, tag="detect"):
    call: int
    frames: list[SlotIn]  # run together
    min_score: float
    slow_down: float  # seconds of waiting to add


class TensorIn(msgspec.Struct, array_like=True):
    """A request tensor: `inline`, or `nbytes` at `offset` of `chunk`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    nbytes: int
    chunk: int = 0
    offset: int = 0
    inline: bytes | None = None


class Part(msgspec.Struct, array_like=True):
    """Tensor `name` is `nbytes` at `offset` of descriptor number `file` beside the message; see agent.ports.Place."""

    name: str
    file: int
    offset: int
    nbytes: int


class Infer(msgspec.Struct, tag="infer", omit_defaults=True):
    call: int
    inputs: list[TensorIn]
    outputs: list[str] | None
    picture: Geometry | None  # the input is a picture that lies so in it: boxes are to be those of the picture
    min_score: float
    deadline: float | None  # monotonic seconds
    slow_down: float
    fetch: Sequence[Part] = ()  # inputs to read; their `inputs` hold nothing
    put: Sequence[Part] = ()  # outputs to write


class Cancel(msgspec.Struct, tag="cancel"):
    """Nobody waits for this request any more; it is answered with Failed, unless it runs or was answered."""

    call: int


class Loaded(msgspec.Struct, tag="loaded"):
    call: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    warm_seconds: float  # one inference after the first
    batches: list[tuple[int, float]]  # frames in a call, and its seconds, where calls may hold several
    width: int  # calls it runs at once
    in_hand: int  # requests it takes beyond those
    warmed: Warmed


class Detected(msgspec.Struct, tag="detected"):
    call: int
    frames: list[Rows]
    infer_seconds: float
    model_seconds: float = 0.0  # of all frames; see agent.ports.Detections


class TensorOut(msgspec.Struct, array_like=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    nbytes: int
    inline: bytes | None = None
    placed: bool = False  # written where `put` said


class Inferred(msgspec.Struct, tag="inferred"):
    call: int
    outputs: list[TensorOut]
    infer_seconds: float
    began: float = 0.0  # monotonic


class Failed(msgspec.Struct, tag="failed"):
    call: int
    reason: Reason
    message: str


class Decode(msgspec.Struct, tag="decode"):
    """To a decoder: a JPEG or PNG as a BYTES tensor, whose pixels go to `target` of the first descriptor.

    It is `content`, or else `nbytes` at `offset` of the second descriptor.
    """

    call: int
    content: bytes
    offset: int
    nbytes: int
    target: int
    input: ModelInput
    deadline: float | None  # monotonic seconds


class Decoded(msgspec.Struct, tag="decoded"):
    call: int
    geometry: Geometry


ToWorker = Load | Attach | Detach | Chunk | DropChunk | Detect | Infer | Cancel
FromWorker = Loaded | Detected | Inferred | Failed
