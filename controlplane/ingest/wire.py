"""Telemetry messages ↔ values. What a box sends is checked here, field by field, before it may touch the database.

A payload that is no TelemetryBatch is refused whole. Of a record that breaks a rule (a name that is none, a number that
is not finite or does not fit), or that is of a kind that this version does not know, a Gap with the reason is stored,
and the record is acknowledged: it would never become right, and a box must not send it for ever.

A record's digest is of its deterministic serialisation without its number, so it is the same whichever form it came in.
Twenty thousand records pass here in a second: names are checked once and remembered, and no record becomes a dict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from controlplane.ingest import domain, payload
from controlplane.ingest.domain import Arrival, Batch, Kind, Receipt, Row, Tally
from controlplane.ingest.intake import MOST_COUNT
from protos import ids
from protos import telemetry_pb2 as wire
from protos.decided import Decided
from protos.errors import Rejected
from protos.ids import NodeId
from protos.outcomes import LATENCY_BOUNDS_MS, Outcome, Stage

MAX_INTEGER = 2**63 - 1  # of the database
MAX_TEXT = 1000
MAX_RECORDS = 5_000  # of one message
MAX_TALLIES = 1_000  # of one message
MAX_BOXES = 1_000  # of one frame
MAX_WORDS = 1_000  # bytes of all labels, or all zones, of one frame
MAX_ZONES = 16  # of one box
MAX_HAPPENINGS = 100  # of one frame
OUTCOMES = frozenset(Outcome)
KNOWN_NAMES = 4_096  # remembered of each sort

_encode = msgspec.json.Encoder().encode
_camera_name = lru_cache(KNOWN_NAMES)(ids.camera_name)
_deployment_name = lru_cache(KNOWN_NAMES)(ids.deployment_name)
_release_digest = lru_cache(KNOWN_NAMES)(ids.digest)
_name = lru_cache(KNOWN_NAMES)(ids.name)


@dataclass(frozen=True)
class Presence:
    online: bool
    boot_id: str


def batch(node: NodeId, content: bytes, received_ms: int) -> Batch:
    """What came from `node` at `received_ms`, Unix. Raises Rejected when `content` as a whole is nothing we know."""
    message = _message(payload.unpacked(content))
    if not _is_line(message.epoch):
        raise Rejected("a TelemetryBatch names no epoch")
    if len(message.records) > MAX_RECORDS or len(message.tallies) > MAX_TALLIES:
        raise Rejected(f"a TelemetryBatch holds more than {MAX_RECORDS} records, or {MAX_TALLIES} tallies")
    arrival = Arrival(received_ms, message.sent_unix_ms)
    rows, refused, unnumbered = [], [], []
    for record in message.records:
        seq = record.seq
        numbered = 1 <= seq <= MOST_COUNT
        if not numbered:
            unnumbered.append(seq)
        try:
            row = _row(record, arrival)
        except Rejected as error:
            refused.append(str(error))
            row = _refusal(record, seq, str(error), received_ms)
        if numbered:
            rows.append(row)
    start, before = (text if _is_line(text) else "" for text in (message.start, message.before))
    tallies = tuple(_tally(each, arrival) for each in message.tallies if _is_line(each.epoch))
    return Batch(node, message.epoch, tuple(rows), tuple(refused), tuple(unnumbered), start, before, tallies)


def historical(content: bytes) -> bool:
    """Whether a payload says that it holds what waited from before its box was connected. Of garbage: no."""
    try:
        plain = payload.unpacked(content)
        return payload.says_historical(plain) if payload.is_json(plain) else _message(plain).historical
    except Rejected:
        return False


def _message(plain: bytes) -> wire.TelemetryBatch:
    if payload.is_json(plain):
        return _from_json(plain)
    try:
        return wire.TelemetryBatch.FromString(plain)
    except DecodeError as error:
        raise Rejected("a message on the telemetry topic is no TelemetryBatch") from error


def _from_json(plain: bytes) -> wire.TelemetryBatch:
    from google.protobuf import json_format  # when the first comes: most fleets send none

    try:
        return json_format.Parse(plain, wire.TelemetryBatch(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise Rejected("a message on the telemetry topic is no TelemetryBatch in JSON") from error


def _is_line(text: str) -> bool:
    """Whether it may name an epoch or a start."""
    return 1 <= len(text) <= 64 and text.isalnum() and text.isascii()


def _tally(said: wire.Tally, arrival: Arrival) -> Tally:
    """Numbers that can't be are cut: a box's word about itself keeps none of its records out."""
    accepted, waiting, dropped = (min(number, MOST_COUNT) for number in (said.accepted, said.waiting, said.dropped))
    oldest = arrival.at_ms(said.oldest_unix_ms) if said.oldest_unix_ms else 0
    word = _text(said.record_class, 16)
    return Tally(said.epoch, word, accepted, waiting, dropped, oldest, arrival.received_ms)


def presence(payload: bytes) -> Presence:
    """Raises Rejected."""
    try:
        message = wire.Presence.FromString(payload)
    except DecodeError as error:
        raise Rejected("a message on the presence topic is no Presence") from error
    return Presence(message.online, _text(message.boot_id, 64))


def acknowledgement(receipt: Receipt) -> bytes:
    stored = [wire.SeqRange(first=first, last=last) for first, last in receipt.ranges]
    return wire.TelemetryAck(epoch=receipt.epoch, stored=stored, up_to=receipt.up_to).SerializeToString()


def hint(generation: int, watch_until_unix_ms: int) -> bytes:
    return wire.DesiredHint(generation=generation, watch_until_unix_ms=watch_until_unix_ms).SerializeToString()


def _row(record: wire.Record, arrival: Arrival) -> Row:
    """Of a record that loses its number here, as its digest must not depend on it."""
    name = record.WhichOneof("body")
    if name is None:
        raise Rejected("a record is of a kind that this control plane does not know")
    seq = record.seq
    if not 1 <= seq <= MOST_COUNT:
        raise Rejected("a record has no number")
    kind = _KINDS[name]
    cells = _READ[kind](getattr(record, name), arrival)
    content = _content(record)
    return Row(kind, seq, _digest(content), cells, content)


def _refusal(record: wire.Record, seq: int, reason: str, received_ms: int) -> Row:
    cells = domain.refusal(seq, record.WhichOneof("body") or "unknown", reason, received_ms)
    content = _content(record)
    return Row(Kind.GAP, seq, _digest(content), cells, content)


def _content(record: wire.Record) -> bytes:
    """Its bytes without its number, which it loses here."""
    record.ClearField("seq")
    return record.SerializeToString(deterministic=True)


def _digest(content: bytes) -> int:
    """Of 63 bits."""
    return int.from_bytes(blake2b(content, digest_size=8).digest()) >> 1


def _frame(frame: wire.FrameResult, arrival: Arrival) -> tuple[Any, ...]:
    captured = frame.captured_unix_ns
    boxes = [_box(box) for box in frame.boxes[:MAX_BOXES]] if frame.boxes else []
    return (
        arrival.at_ms(captured // 1_000_000),
        _camera_name(frame.camera),
        _deployment_name(frame.deployment),
        _release_digest(frame.release_digest),
        _integer(captured),
        _text(frame.ts_source, 16),
        _outcome(frame.outcome),
        _finite(frame.latency_seconds),
        _name(frame.where, "where a frame ran"),
        _document(boxes),
        _document([_happening(each) for each in frame.happened[:MAX_HAPPENINGS]] if frame.happened else []),
        _integer(frame.frame_seq),
        _words([box["label"] for box in boxes]),  # what the boxes hold, for who looks for it
        _words([zone for box in boxes for zone in box.get("zones", ())]),
        max([box["score"] for box in boxes], default=0.0),
        domain.told_day(captured // 1_000_000),
    )


def _document(content: list[dict[str, Any]]) -> str:
    """As text already: what waits for the database then is nothing that the garbage collector has to look through."""
    return _encode(content).decode() if content else "[]"


def _box(box: wire.Box) -> dict[str, Any]:
    x0, y0, x1, y1, score = box.x0, box.y0, box.x1, box.y1, box.score
    _finite(x0 + y0 + x1 + y1 + score)  # is, when each is: they are half as wide as a sum
    told: dict[str, Any] = {
        "x0": round(x0, 5),
        "y0": round(y0, 5),
        "x1": round(x1, 5),
        "y1": round(y1, 5),
        "score": round(score, 5),
        "label": _text(box.label, 63),
    }
    if box.zones:
        told["zones"] = [_name(zone, "zone") for zone in box.zones[:MAX_ZONES]]
    if track := box.track:
        told["track"] = _integer(track)
    return told


def _happening(said: wire.Happening) -> dict[str, Any]:
    """Of one that this version does not know, what it says all the same."""
    crossed, place = bool(said.direction), _name(said.place, "line or zone")
    return {
        "what": _text(said.what, 32),
        "line": place if crossed else None,
        "direction": _text(said.direction, 32) or None,
        "zone": None if crossed else place,
        "seconds": round(_finite(said.seconds), 3) if said.what in ("left", "dwelt") else None,
        "label": _text(said.label, 63),
        "track": _integer(said.track),
    }


def _words(words: list[str]) -> str | None:
    """None when they are too many: PostgreSQL's index takes no longer text, and then each row is looked into."""
    if len(words) < 2:
        return words[0] if words else ""  # 63 characters at the most
    text = "\n".join(sorted(set(words)))
    return text if len(text.encode()) <= MAX_WORDS else None


def _outcomes(counts: wire.OutcomeCounts, arrival: Arrival) -> tuple[Any, ...]:
    by_outcome = {_outcome(outcome): _integer(frames) for outcome, frames in counts.counts.items()}
    if sum(by_outcome.values()) != counts.frames_due:
        raise Rejected("outcome counts do not add up to the frames due")
    if sum(counts.box.frames) + sum(counts.cloud.frames) > counts.frames_due:
        raise Rejected("outcome counts hold more answers than frames due")
    return (
        arrival.at_ms(counts.end_unix_ms),
        _camera_name(counts.camera),
        _deployment_name(counts.deployment),
        _integer(counts.start_unix_ms),
        _integer(counts.end_unix_ms),
        _integer(counts.frames_due),
        by_outcome,
        _latencies(counts.box),
        _latencies(counts.cloud),
        _integer(counts.uplink_bytes),
        _stages(counts.stages),
        _decided(counts.decided),
        _text(counts.rung_why, MAX_TEXT),
        domain.told_day(counts.end_unix_ms),
    )


def _stages(said: Mapping[str, float]) -> dict[str, float]:
    """Those we know: a newer box may tell more."""
    if any(seconds < 0 for seconds in said.values()):
        raise Rejected("a frame can't have spent less than no time in a stage")
    return {stage.value: round(_finite(said[stage]), 6) for stage in Stage if stage in said}


def _decided(said: Mapping[str, float]) -> dict[str, float]:
    """Those we know: a newer box may tell more."""
    if any(told < 0 for told in said.values()):
        raise Rejected("what a box decided can't add up to less than nothing")
    return {each.value: round(_finite(said[each]), 6) for each in Decided if each in said}


def _latencies(said: wire.Latencies) -> dict[str, Any]:
    if len(said.frames) > len(LATENCY_BOUNDS_MS) + 1 or said.seconds < 0:
        raise Rejected("latencies are not counted in the buckets we know")
    return {"frames": list(said.frames), "seconds": _finite(said.seconds)}


def _camera(health: wire.CameraHealth, arrival: Arrival) -> tuple[Any, ...]:
    return (
        arrival.at_ms(health.at_unix_ms),
        _camera_name(health.camera),
        _text(health.state, 32),
        _text(health.reason, MAX_TEXT),
        domain.told_day(health.at_unix_ms),
    )


def _node(stats: wire.NodeStats, arrival: Arrival) -> tuple[Any, ...]:
    whole = (stats.memory_bytes, stats.disk_free_bytes, stats.outbox_waiting, stats.outbox_dropped)
    at_ms, told_day = arrival.at_ms(stats.at_unix_ms), domain.told_day(stats.at_unix_ms)
    return at_ms, _finite(stats.cpu_cores_used), *map(_integer, whole), told_day


def _gap(gap: wire.Gap, arrival: Arrival) -> tuple[Any, ...]:
    """It may grow on the box until it is sent, so when it came is all that can be said of its time."""
    if gap.epoch and not _is_line(gap.epoch):
        raise Rejected("a gap is in an epoch whose name is none")
    return (
        arrival.received_ms,
        _text(gap.record_class, 16),
        *map(_number, (gap.first_seq, gap.last_seq, gap.dropped)),
        _text(gap.reason, MAX_TEXT),
        gap.epoch,
        gap.lower_bound,
    )


_KINDS = {kind.value: kind for kind in Kind}
_READ: dict[Kind, Callable[[Any, Arrival], tuple[Any, ...]]] = {
    Kind.FRAME: _frame,
    Kind.OUTCOMES: _outcomes,
    Kind.CAMERA: _camera,
    Kind.NODE: _node,
    Kind.GAP: _gap,
}


def _text(text: str, most: int) -> str:
    """Cut, and without NUL, which PostgreSQL refuses."""
    return text if len(text) <= most and "\0" not in text else text.replace("\0", "")[:most]


def _integer(number: int) -> int:
    if not -MAX_INTEGER <= number <= MAX_INTEGER:
        raise Rejected("a record holds a number that does not fit into 63 bits")
    return number


def _number(number: int) -> int:
    """Of records, or how many."""
    if not 0 <= number <= MOST_COUNT:
        raise Rejected("a gap holds a number that no record can have")
    return number


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise Rejected("a record holds a number that is not finite")
    return number


def _outcome(word: str) -> str:
    if word not in OUTCOMES:
        raise Rejected(f"{word[:32]!r} is no outcome this control plane knows")
    return word
