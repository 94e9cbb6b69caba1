"""Ports of the agent: what the core needs from the world, each with its contract.

One contract-test body in tests/contract runs against every adapter of a port, the in-memory one included. Adapters
raise only protos.errors (Retryable, Rejected, Fatal); vendor exceptions never pass.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from agent.types import Box, Geometry, ModelInput, Tap
from protos.errors import Retryable
from protos.ids import CameraName, Digest


class Clock(Protocol):
    """Time as an argument. Only adapters read the system's clocks."""

    def monotonic(self) -> float:
        """Seconds that never go back; for durations and deadlines."""
        ...

    def unix(self) -> float:
        """Seconds since 1970 as the box believes; may jump. For people and wire stamps only."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class StateStore(Protocol):
    """Small durable values (update state, desired state, floors). A returned `put` survives a power cut."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes) -> None:
        """Atomic and durable. Raises Retryable when the disk is full; the old value is then intact."""
        ...

    def delete(self, key: str) -> None:
        """No error when absent."""
        ...

    def keys(self, prefix: str) -> list[str]: ...


class BlobSource(Protocol):
    """Where release bytes come from: never trusted, only fetched."""

    def fetch(
        self, digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Bytes [offset, stop) of the blob, None: to its end, in chunks of at most 1 MiB; nothing when it has no more.

        `rate`: bytes per second that the caller is going to take; of a network little more is asked for in advance.
        0: as many as come.

        The caller closes the generator, which ends the transfer. It ends by itself only at `stop` or the blob's end.

        Raises:
            Retryable: the wire broke, and what was yielded so far is good to keep; or the source has no such blob now.
        """
        ...

    async def table(self, digest: Digest, most: int) -> bytes | None:
        """The table of the blob's chunks (protos.chunks), of at most `most` bytes; None where the source has none.

        Raises:
            Retryable: it may have one later, or the wire broke.
        """
        ...


@dataclass(frozen=True)
class TensorSpec:
    """Name, Open Inference Protocol datatype ("FP32", "UINT8", …) and shape; -1 is a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Place(msgspec.Struct, frozen=True):
    """`nbytes` at `offset` of a caller's own memory, behind `fd`, which stays open while his request runs.

    He may shrink or change it at any moment, so it is read and written with calls that can fail, and never mapped.
    """

    fd: int
    offset: int
    nbytes: int


class Tensor(msgspec.Struct, frozen=True):
    """A tensor by value: row-major little-endian bytes (BYTES: each element 4-byte length + content)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes | memoryview
    place: Place | None = None  # where the bytes lie instead; `data` is then empty

    @property
    def nbytes(self) -> int:
        return len(self.data) if self.place is None else self.place.nbytes


@dataclass(frozen=True)
class ModelSignature:
    """What a loaded graph takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class EngineSpec:
    """What to load. `model` is verified bytes: a worker opens no file itself."""

    digest: Digest
    task: str
    labels: tuple[str, ...]
    input: ModelInput | None
    model: bytes = field(repr=False)
    provider: str = "cpu"  # see agent.providers
    threads: int = 0  # it may use; 0: one per core
    precision: str = "fp32"  # of the variant, as its manifest says


class Detections(msgspec.Struct, frozen=True):
    """Boxes normalised to the picture, and what the engine spent on them (seconds).

    `model_seconds`: of that the model alone, a frame's share of its call. With ONNX Runtime on a CPU it is processor
    time of the thread that runs the model: whatever else the box does, it is no more than the model takes one core. On
    a GPU it is time that passed; 0 with OpenVINO, whose threads are its own: nobody knows what they waited.
    """

    boxes: tuple[Box, ...]
    infer_seconds: float
    model_seconds: float = 0.0


class Warmed(msgspec.Struct, frozen=True):
    """What a release did when it was warmed on this box."""

    model_seconds: float = 0.0  # of one inference, as in `Detections`, with all cores it may have; 0: not known
    core_seconds: float = 0.0  # with one core, as a busy box leaves it; the same where it never has more
    in_numbers: bool = True  # a detector answered a picture with numbers
    declined: str = ""  # why the provider that was asked for does not run it, and another does, as a sentence


class InSlot(msgspec.Struct, frozen=True):
    """A frame in a slot of its tap's shared memory."""

    tap: Tap
    slot: int
    geometry: Geometry


@dataclass
class Tally:
    """What an engine did for requests since its start; seconds are sums. Camera frames are not in it.

    Of a request that was run, `seconds` is everything between its call and its result: its tensors are handed to the
    worker (`input`), run there (`infer`) and handed back (`output`); the rest it waited.
    """

    runs: int = 0
    rows: int = 0  # examples in them
    seconds: float = 0.0
    input: float = 0.0
    infer: float = 0.0
    output: float = 0.0
    answered: int = 0  # requests that were served from here, by what their callers got
    answered_seconds: float = 0.0
    failed: int = 0
    failed_seconds: float = 0.0
    last: float | None = None  # monotonic, of the newest request that ended
    newest: float = 0.0  # `infer` of the newest run

    def ran(self, rows: int, seconds: float, infer: float, output: float) -> None:
        """A request of so many examples was run."""
        self.runs += 1
        self.rows += rows
        self.seconds += seconds
        self.infer += infer
        self.newest = infer
        self.output += output

    def held(self, seconds: float) -> None:
        """A request that was run waited so long before its call, at the door."""
        self.seconds += seconds

    def ended(self, now: float, seconds: float, *, ok: bool) -> None:
        """A request has its answer, or never gets one."""
        self.last = now
        if ok:
            self.answered += 1
            self.answered_seconds += seconds
        else:
            self.failed += 1
            self.failed_seconds += seconds

    @property
    def waited(self) -> float:
        return max(0.0, self.seconds - self.input - self.infer - self.output)


class Promised(Protocol):
    """Requests that were let in and wait elsewhere: an engine that closes answers them before it ends."""

    def one_more(self) -> None: ...

    def one_less(self) -> None:
        """It was answered, or is not wanted any more."""
        ...


class Engine(Protocol):
    """One loaded release in a worker process of its own.

    Calls may be made concurrently; they begin in order of arrival, `width` at once, but a camera's frame waits for one
    `infer` at most, or a few short ones. A crash of the worker fails what was in flight with Retryable, and the worker
    is started again.
    """

    @property
    def signature(self) -> ModelSignature: ...

    @property
    def ready(self) -> bool:
        """Would a call be run now? Not while the worker is started, again or for the first time."""
        ...

    @property
    def profile(self) -> Sequence[tuple[int, float]]:
        """Calls of n frames and their seconds, as measured while warming; from a frame alone to the most in a call."""
        ...

    @property
    def warmed(self) -> Warmed: ...

    @property
    def width(self) -> int:
        """How many calls are run at once."""
        ...

    @property
    def room(self) -> int:
        """How many requests it takes at once, so that it never waits for the next; more would wait in it."""
        ...

    @property
    def promised(self) -> Promised:
        """Whoever has requests wait for their turn here says so there."""
        ...

    @property
    def restarts(self) -> int:
        """How often the worker had to be started again."""
        ...

    @property
    def tally(self) -> Tally:
        """What it did for requests; whoever calls `infer` for somebody else says there how it ended."""
        ...

    async def start(self, spec: EngineSpec) -> None:
        """Load and warm on real shapes.

        Raises:
            Rejected: the model is at fault: it does not load, run, keep its contract, or crashes its worker each time.
            Retryable: the box is short of something (memory, a GPU that starts); it may work later.
            Fatal: it works once somebody has mended the box.
        """
        ...

    async def attach(self, tap: Tap, fd: int, slots: int, model_input: ModelInput) -> None:
        """Let the worker read frames of `tap` from the shared memory behind `fd`."""
        ...

    async def detach(self, tap: Tap) -> None: ...

    async def detect_slot(self, tap: Tap, slot: int, geometry: Geometry, min_score: float) -> Detections: ...

    async def detect_slots(self, frames: Sequence[InSlot], min_score: float) -> list[Detections]:
        """As `detect_slot` for each, in one call, which they spend together: at most as many as `profile` ends with.

        Raises Rejected where one of them is refused, NotANumber where the model answered one so, Retryable (worker
        died).
        """
        ...

    async def infer(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[str] | None = None,
        min_score: float = 0.0,
        deadline: float | None = None,
        priority: int = 0,
        into: Mapping[str, Place] | None = None,
    ) -> list[Tensor]:
        """Plain inference for serving; `outputs` None means all. Past `deadline` (monotonic) it may be given up.

        Requests that wait are run by `priority`, the lowest first, where 0 is the usual one, and of one priority in
        order of arrival. An output named by `into` is written there and comes back without data, its `place` as long
        as it is.

        A release with an image input also takes one BYTES input `image` of shape [1]: JPEG or PNG, decoded and fitted
        in the worker; boxes are then normalised to that picture, those under `min_score` left out, and a further
        output `labels` (BYTES) names their classes. Tensors come as the model gave them, NaN or not; what was to become
        boxes on such a picture raises NotANumber.
        Raises Rejected (bad names, types, shapes, pictures), Retryable (worker died).
        """
        ...

    def slow_down(self, seconds: float) -> None:
        """Waiting added to each inference (a sleep, no CPU). 0 ends it."""
        ...

    async def close(self) -> None:
        """Drain what is in flight, then end the worker and give its memory back. Safe to call twice."""
        ...


@dataclass(frozen=True)
class CloudModel:
    """The release asked of a cloud node, as Open Inference Protocol names it."""

    name: str
    version: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class CloudAnswer:
    """Boxes normalised to the picture, and the seconds of them that the node took, its line and its engine together."""

    boxes: tuple[Box, ...]
    service_seconds: float = 0.0  # 0: it did not say


class CloudInference(Protocol):
    """A cloud node, asked for one frame at a time over OIP v2."""

    async def detect_jpeg(
        self, model: CloudModel, jpeg: bytes, min_score: float, timeout: float, partition: str = "live"
    ) -> CloudAnswer:
        """`timeout`: remaining seconds, also told to the node, as is whose share of its engine (agent.door.shares).

        Raises:
            TurnedAway: it could not answer in time, and ran nothing; when it may is in the error.
            Retryable: no answer in time, gone. The message tells which.
            Rejected: the node does not serve this release, or refuses the picture.
        """
        ...

    @property
    def node_id(self) -> str: ...

    async def close(self) -> None: ...


class Undelivered(Retryable):
    """A batch that the transport did not take. `reason` is one of few words, to be counted."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TelemetryOut(Protocol):
    """The way out for telemetry. Delivery is proven only by an acknowledgement, never by `publish` returning."""

    async def publish(self, payload: bytes) -> None:
        """Hand one TelemetryBatch to the transport. Raises Undelivered when it is away or refuses."""
        ...

    async def beat(self) -> None:
        """Say that this box is there. Raises Retryable when nobody may have heard it."""
        ...

    def tell(self, camera: CameraName, payload: bytes) -> bool:
        """An event of this camera for whoever listens now. False: dropped, for want of a connection or of speed.

        Returns at once, and never in the way of `publish`.
        """
        ...

    def on_ack(self, handler: Callable[[bytes], None]) -> None: ...

    def on_hint(self, handler: Callable[[bytes], None]) -> None: ...

    def on_connection(self, handler: Callable[[bool], None]) -> None:
        """Call `handler` in the event loop when the way opens (True: subscribed as well) or breaks (False)."""
        ...

    @property
    def connected(self) -> bool: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Grant:
    """Where files and signed metadata are, and the short-lived leave to read them; "" where there are none."""

    url: str
    bearer: str = field(repr=False)
    metadata_url: str = ""
    metadata_version: int = 0  # of the newest timestamp: a hint to look, never believed
    seconds: float = math.inf  # from when it was given: then it has run out


@dataclass(frozen=True)
class SyncReply:
    """Bytes of protos.fleet DesiredState exactly as received, and the ephemeral file grant."""

    desired: bytes
    grant: Grant
    clock_unix: float


class FleetLink(Protocol):
    """The control plane as the agent sees it."""

    async def sync(self, report: bytes) -> SyncReply:
        """`report`: bytes of SyncRequest. Raises Retryable (away), Rejected (this node was deleted)."""
        ...

    async def renew(self, csr_pem: str) -> tuple[str, str]:
        """Certificate PEM and CA PEM for a fresh key."""
        ...

    async def watch(self, frames: AsyncIterator[bytes]) -> None:
        """Send WatchFrame bytes until the iterator ends. Raises Retryable when the stream breaks."""
        ...

    def wishes(self) -> AsyncIterator[bytes]:
        """SnapshotWish bytes as they are wished for, for half a minute.

        Raises Retryable when the stream breaks, Rejected where the control plane is too old to have wishes.
        """
        ...

    async def close(self) -> None: ...


Labels = Mapping[str, str]
