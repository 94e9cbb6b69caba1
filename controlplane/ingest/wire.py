"""Telemetry messages ↔ values. What a box sends is checked here, field by field, before it may touch the database.

A payload that is no TelemetryBatch is refused whole. Of a record that breaks a rule (a name that is none, a number that
is not finite or does not fit), or that is of a kind that this version does not know, a Gap with the reason is stored,
and the record is acknowledged: it would never become right, and a box must not send it for ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from controlplane.ingest import domain
from controlplane.ingest.domain import Arrival, Batch, Kind, Receipt, Row
from protos import ids
from protos import telemetry_pb2 as wire
from protos.errors import Rejected
from protos.ids import NodeId
from protos.outcomes import LATENCY_BOUNDS_MS, Outcome, Stage

MAX_INTEGER = 2**63 - 1  # of the database
MAX_TEXT = 1000
MAX_RECORDS = 5_000  # of one message
MAX_BOXES = 1_000  # of one frame
MAX_WORDS = 1_000  # bytes of all labels, or all zones, of one frame
MAX_ZONES = 16  # of one box
MAX_HAPPENINGS = 100  # of one frame
OUTCOMES = frozenset(Outcome)


@dataclass(frozen=True)
class Presence:
    online: bool
    boot_id: str


def batch(node: NodeId, payload: bytes, received_ms: int) -> Batch:
    """What came from `node` at `received_ms`, Unix. Raises Rejected when `payload` as a whole is nothing we know."""
    try:
        message = wire.TelemetryBatch.FromString(payload)
    except DecodeError as error:
        raise Rejected("a message on the telemetry topic is no TelemetryBatch") from error
    if not 1 <= len(message.epoch) <= 64 or not message.epoch.isalnum() or not message.epoch.isascii():
        raise Rejected("a TelemetryBatch names no epoch")
    if len(message.records) > MAX_RECORDS:
        raise Rejected(f"a TelemetryBatch holds more than {MAX_RECORDS} records")
    arrival = Arrival(received_ms, message.sent_unix_ms)
    rows, refused = [], []
    for record in message.records:
        try:
            rows.append(_row(record, arrival))
        except Rejected as error:
            refused.append(str(error))
            if _numbered(record):
                rows.append(domain.refusal(record.seq, _kind(record) or "unknown", str(error), received_ms))
    seqs = tuple(record.seq for record in message.records)
    return Batch(node, message.epoch, tuple(rows), seqs, tuple(refused))


def presence(payload: bytes) -> Presence:
    """Raises Rejected."""
    try:
        message = wire.Presence.FromString(payload)
    except DecodeError as error:
        raise Rejected("a message on the presence topic is no Presence") from error
    return Presence(message.online, _text(message.boot_id, 64))


def acknowledgement(receipt: Receipt) -> bytes:
    stored = [wire.SeqRange(first=first, last=last) for first, last in receipt.ranges]
    return wire.TelemetryAck(epoch=receipt.epoch, stored=stored).SerializeToString()


def hint(generation: int, watch_until_unix_ms: int) -> bytes:
    return wire.DesiredHint(generation=generation, watch_until_unix_ms=watch_until_unix_ms).SerializeToString()


def _row(record: wire.Record, arrival: Arrival) -> Row:
    name = _kind(record)
    if name is None:
        raise Rejected("a record is of a kind that this control plane does not know")
    if not _numbered(record):
        raise Rejected("a record has no number")
    kind = Kind(name)
    return Row(kind, record.seq, _READ[kind](getattr(record, name), arrival))


def _kind(record: wire.Record) -> str | None:
    return record.WhichOneof("body")


def _numbered(record: wire.Record) -> bool:
    return 1 <= record.seq <= MAX_INTEGER


def _frame(frame: wire.FrameResult, arrival: Arrival) -> dict[str, Any]:
    boxes = [_box(box) for box in frame.boxes[:MAX_BOXES]]
    return {
        "camera": ids.camera_name(frame.camera),
        "deployment": ids.deployment_name(frame.deployment),
        "release_digest": ids.digest(frame.release_digest),
        "at_ms": arrival.at_ms(frame.captured_unix_ns // 1_000_000),
        "told_day": domain.told_day(frame.captured_unix_ns // 1_000_000),
        "captured_unix_ns": _integer(frame.captured_unix_ns),
        "ts_source": _text(frame.ts_source, 16),
        "outcome": _outcome(frame.outcome),
        "latency_seconds": _finite(frame.latency_seconds),
        "ran_on": ids.name(frame.where, "where a frame ran"),
        "boxes": boxes,
        "happened": [_happening(each) for each in frame.happened[:MAX_HAPPENINGS]],
        "frame_seq": _integer(frame.frame_seq),
        **_found(boxes),
    }


def _found(boxes: list[dict[str, Any]]) -> dict[str, Any]:
    """What the boxes hold, for who looks for it."""
    return {
        "labels": _words(box["label"] for box in boxes),
        "zones": _words(zone for box in boxes for zone in box.get("zones", ())),
        "top_score": max((box["score"] for box in boxes), default=0.0),
    }


def _box(box: wire.Box) -> dict[str, Any]:
    corners = {side: round(_finite(getattr(box, side)), 5) for side in ("x0", "y0", "x1", "y1", "score")}
    zones = {"zones": [ids.name(zone, "zone") for zone in box.zones[:MAX_ZONES]]} if box.zones else {}
    track = {"track": _integer(box.track)} if box.track else {}
    return {**corners, "label": _text(box.label, 63), **zones, **track}


def _happening(said: wire.Happening) -> dict[str, Any]:
    """Of one that this version does not know, what it says all the same."""
    crossed, place = bool(said.direction), ids.name(said.place, "line or zone")
    return {
        "what": _text(said.what, 32),
        "line": place if crossed else None,
        "direction": _text(said.direction, 32) or None,
        "zone": None if crossed else place,
        "seconds": round(_finite(said.seconds), 3) if said.what in ("left", "dwelt") else None,
        "label": _text(said.label, 63),
        "track": _integer(said.track),
    }


def _words(words: Iterable[str]) -> str | None:
    """None when they are too many: PostgreSQL's index takes no longer text, and then each row is looked into."""
    text = "\n".join(sorted(set(words)))
    return text if len(text.encode()) <= MAX_WORDS else None


def _outcomes(counts: wire.OutcomeCounts, arrival: Arrival) -> dict[str, Any]:
    by_outcome = {_outcome(outcome): _integer(frames) for outcome, frames in counts.counts.items()}
    if sum(by_outcome.values()) != counts.frames_due:
        raise Rejected("outcome counts do not add up to the frames due")
    if sum(counts.box.frames) + sum(counts.cloud.frames) > counts.frames_due:
        raise Rejected("outcome counts hold more answers than frames due")
    return {
        "camera": ids.camera_name(counts.camera),
        "deployment": ids.deployment_name(counts.deployment),
        "at_ms": arrival.at_ms(counts.end_unix_ms),
        "told_day": domain.told_day(counts.end_unix_ms),
        "start_ms": _integer(counts.start_unix_ms),
        "end_ms": _integer(counts.end_unix_ms),
        "frames_due": _integer(counts.frames_due),
        "counts": by_outcome,
        "box": _latencies(counts.box),
        "cloud": _latencies(counts.cloud),
        "uplink_bytes": _integer(counts.uplink_bytes),
        "stages": _stages(counts.stages),
    }


def _stages(said: Mapping[str, float]) -> dict[str, float]:
    """Those we know: a newer box may tell more."""
    if any(seconds < 0 for seconds in said.values()):
        raise Rejected("a frame can't have spent less than no time in a stage")
    return {stage.value: round(_finite(said[stage]), 6) for stage in Stage if stage in said}


def _latencies(said: wire.Latencies) -> dict[str, Any]:
    if len(said.frames) > len(LATENCY_BOUNDS_MS) + 1 or said.seconds < 0:
        raise Rejected("latencies are not counted in the buckets we know")
    return {"frames": list(said.frames), "seconds": _finite(said.seconds)}


def _camera(health: wire.CameraHealth, arrival: Arrival) -> dict[str, Any]:
    return {
        "camera": ids.camera_name(health.camera),
        "at_ms": arrival.at_ms(health.at_unix_ms),
        "told_day": domain.told_day(health.at_unix_ms),
        "state": _text(health.state, 32),
        "reason": _text(health.reason, MAX_TEXT),
    }


def _node(stats: wire.NodeStats, arrival: Arrival) -> dict[str, Any]:
    whole = ("memory_bytes", "disk_free_bytes", "outbox_waiting", "outbox_dropped")
    return {
        "at_ms": arrival.at_ms(stats.at_unix_ms),
        "told_day": domain.told_day(stats.at_unix_ms),
        "cpu_cores_used": _finite(stats.cpu_cores_used),
        **{name: _integer(getattr(stats, name)) for name in whole},
    }


def _gap(gap: wire.Gap, arrival: Arrival) -> dict[str, Any]:
    """It may grow on the box until it is sent, so when it came is all that can be said of its time."""
    return {
        "at_ms": arrival.received_ms,
        "record_class": _text(gap.record_class, 16),
        "first_seq": _integer(gap.first_seq),
        "last_seq": _integer(gap.last_seq),
        "dropped": _integer(gap.dropped),
        "reason": _text(gap.reason, MAX_TEXT),
    }


_READ: dict[Kind, Callable[[Any, Arrival], dict[str, Any]]] = {
    Kind.FRAME: _frame,
    Kind.OUTCOMES: _outcomes,
    Kind.CAMERA: _camera,
    Kind.NODE: _node,
    Kind.GAP: _gap,
}


def _text(text: str, most: int) -> str:
    """Cut, and without NUL, which PostgreSQL refuses."""
    return text.replace("\0", "")[:most]


def _integer(number: int) -> int:
    if not -MAX_INTEGER <= number <= MAX_INTEGER:
        raise Rejected("a record holds a number that does not fit into 63 bits")
    return number


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise Rejected("a record holds a number that is not finite")
    return number


def _outcome(word: str) -> str:
    if word not in OUTCOMES:
        raise Rejected(f"{word[:32]!r} is no outcome this control plane knows")
    return word
