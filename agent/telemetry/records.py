"""Telemetry records: values of the box ↔ protobuf. The only place in the agent where telemetry becomes messages.

A body is a serialised Record without its number, which it gets when it goes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from agent.telemetry.classes import RecordClass
from agent.telemetry.ranges import SeqRange
from agent.types import CameraState, Finished, Happening, Tap
from protos import telemetry_pb2 as wire
from protos.decided import Decided
from protos.errors import Rejected
from protos.ids import CameraName
from protos.outcomes import Stage

if TYPE_CHECKING:
    from agent.telemetry.books import Tally

MAX_BOXES = 300  # of one frame: keeps a record under 16 KiB
MAX_REASON = 300  # characters of a sentence
MAX_SEQ = 2**63 - 1  # of the outbox's database
DAMAGED = "the record was damaged on the box's disk"


@dataclass(frozen=True)
class Draft:
    """A record before it has a number."""

    record_class: RecordClass
    body: bytes


@dataclass(frozen=True)
class Waiting:
    """A record in the outbox."""

    record_class: RecordClass
    seq: int
    body: bytes


@dataclass(frozen=True)
class Latencies:
    """How long frames took, capture to result: frames by bucket of LATENCY_BOUNDS_MS, and the sum in seconds."""

    frames: tuple[int, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class OutcomeWindow:
    """How the frames of one tap that were due in a window finished; `due` equals the sum of `counts`."""

    tap: Tap
    start_unix_ms: int
    end_unix_ms: int
    counts: Mapping[str, int]
    box: Latencies = Latencies()  # of frames answered here, in time or late
    cloud: Latencies = Latencies()  # of those a cloud node answered
    uplink_bytes: int = 0
    stages: Mapping[Stage, float] = field(default_factory=dict)  # seconds of answered frames; sum to box + cloud
    decided: Mapping[Decided, float] = field(default_factory=dict)
    rung_why: str = ""

    @property
    def due(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class NodeStats:
    """What the box spends on us."""

    cpu_cores_used: float
    memory_bytes: int  # PSS of the agent and its workers
    disk_free_bytes: int


@dataclass(frozen=True)
class Gap:
    """Records that were dropped: `dropped` of this class and epoch, all numbered within [first, last]."""

    record_class: RecordClass
    first: int
    last: int
    dropped: int
    reason: str
    epoch: str = ""  # "": the Gap's own
    lower_bound: bool = False  # at least so many


@dataclass(frozen=True)
class Ack:
    """What need not be sent again: it is stored, or a stored Gap declares it dropped."""

    epoch: str
    ranges: tuple[SeqRange, ...]  # `up_to` among them
    up_to: int = 0  # 0: of a control plane before 0.2


def frame(finished: Finished) -> Draft:
    """A frame that a release answered."""
    boxes = [
        wire.Box(
            x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1, score=box.score, label=box.label, zones=box.zones,
            track=box.track,
        )
        for box in finished.boxes[:MAX_BOXES]
    ]  # fmt: skip
    result = wire.FrameResult(
        camera=finished.tap.camera,
        deployment=finished.tap.deployment,
        release_digest=finished.release or "",
        captured_unix_ns=finished.captured_unix_ns,
        ts_source=finished.ts_source,
        outcome=finished.outcome,
        latency_seconds=finished.latency,
        where=finished.where,
        boxes=boxes,
        frame_seq=finished.seq,
        happened=map(_happening, finished.happened),
    )
    found = RecordClass.DETECTION if boxes or finished.happened else RecordClass.DEBUG
    return _draft(found, wire.Record(frame=result))


def _happening(happening: Happening) -> wire.Happening:
    return wire.Happening(
        what=happening.what,
        place=happening.place,
        direction=happening.direction or "",
        seconds=happening.seconds,
        label=happening.label,
        track=happening.track,
    )


def outcomes(window: OutcomeWindow) -> Draft:
    counts = wire.OutcomeCounts(
        camera=window.tap.camera,
        deployment=window.tap.deployment,
        start_unix_ms=window.start_unix_ms,
        end_unix_ms=window.end_unix_ms,
        frames_due=window.due,
        counts=dict(window.counts),
        box=_latencies(window.box),
        cloud=_latencies(window.cloud),
        uplink_bytes=window.uplink_bytes,
        stages={stage.value: seconds for stage, seconds in window.stages.items()},
        decided={each.value: told for each, told in window.decided.items() if told},
        rung_why=window.rung_why[:MAX_REASON],
    )
    return _draft(RecordClass.METRIC, wire.Record(outcomes=counts))


def _latencies(latencies: Latencies) -> wire.Latencies:
    return wire.Latencies(frames=latencies.frames, seconds=latencies.seconds)


def camera_health(camera: CameraName, state: CameraState, reason: str, at_unix_ms: int) -> Draft:
    health = wire.CameraHealth(camera=camera, state=state, reason=reason[:MAX_REASON], at_unix_ms=at_unix_ms)
    return _draft(RecordClass.ALARM, wire.Record(camera=health))


def node_stats(stats: NodeStats, waiting: int, dropped: int, at_unix_ms: int) -> Draft:
    """`waiting` and `dropped`: records of the outbox."""
    body = wire.NodeStats(
        at_unix_ms=at_unix_ms,
        cpu_cores_used=stats.cpu_cores_used,
        memory_bytes=stats.memory_bytes,
        disk_free_bytes=stats.disk_free_bytes,
        outbox_waiting=waiting,
        outbox_dropped=dropped,
    )
    return _draft(RecordClass.METRIC, wire.Record(node=body))


def gap(hole: Gap) -> bytes:
    """The body of a Gap record."""
    body = wire.Gap(
        record_class=hole.record_class.word,
        first_seq=hole.first,
        last_seq=hole.last,
        dropped=hole.dropped,
        reason=hole.reason[:MAX_REASON],
        epoch=hole.epoch,
        lower_bound=hole.lower_bound,
    )
    return wire.Record(gap=body).SerializeToString()


def batch(
    epoch: str,
    rows: Iterable[Waiting],
    *,
    historical: bool = False,
    start: str = "",
    before: str = "",
    tallies: Iterable[Tally] = (),
) -> bytes:
    """The payload of one TelemetryBatch; when it is sent is put behind it, by `stamped`."""
    message = wire.TelemetryBatch(
        epoch=epoch,
        records=[_numbered(row) for row in rows],
        historical=historical,
        start=start,
        before=before,
        tallies=[_tally(each) for each in tallies],
    )
    return message.SerializeToString()


def _tally(tally: Tally) -> wire.Tally:
    return wire.Tally(
        epoch=tally.epoch,
        record_class=tally.word,
        accepted=tally.accepted,
        waiting=tally.waiting,
        dropped=tally.dropped,
        oldest_unix_ms=tally.oldest_unix_ms,
    )


def stamped(payload: bytes, unix_ms: int) -> bytes:
    """A batch as it goes out at `unix_ms` of this box's clock: the control plane learns from it how wrong that is."""
    return payload + wire.TelemetryBatch(sent_unix_ms=unix_ms).SerializeToString()


def ack(payload: bytes) -> Ack:
    """Ranges cut to numbers that can be. Raises Rejected when `payload` is no TelemetryAck."""
    try:
        message = wire.TelemetryAck.FromString(payload)
    except DecodeError as error:
        raise Rejected("a message on the ack topic is no TelemetryAck; it was ignored") from error
    told = [(1, message.up_to), *((item.first, item.last) for item in message.stored)]
    ranges = ((first, min(last, MAX_SEQ)) for first, last in told)
    return Ack(message.epoch, tuple((first, last) for first, last in ranges if first <= last), message.up_to)


def presence(*, online: bool, at_unix_ms: int, boot_id: str, agent_version: str) -> bytes:
    """The payload of birth and last will."""
    said = wire.Presence(online=online, at_unix_ms=at_unix_ms, boot_id=boot_id, agent_version=agent_version)
    return said.SerializeToString()


def beat() -> bytes:
    """The payload of a sign of life: as little as says it."""
    return wire.Presence(online=True).SerializeToString()


def _draft(record_class: RecordClass, record: wire.Record) -> Draft:
    return Draft(record_class, record.SerializeToString())


def _numbered(row: Waiting) -> wire.Record:
    """A body that can't be read leaves a Gap under its number, which `dropped` then must not count a second time."""
    try:
        record = wire.Record.FromString(row.body)
    except DecodeError:
        word, seq = row.record_class.word, row.seq
        record = wire.Record(gap=wire.Gap(record_class=word, first_seq=seq, last_seq=seq, reason=DAMAGED))
    record.seq = row.seq
    return record
