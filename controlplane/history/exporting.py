"""Telemetry as a file: which columns it has, and what stands in them. Pure.

A moment is told in UTC. Histograms stand as JSON lists of frames by bucket (protos.outcomes.LATENCY_BOUNDS_MS), so that
a file loses nothing that is stored. Records come oldest first.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controlplane.fleet import sources
from controlplane.history.domain import sums_of
from controlplane.insights.domain import Latencies, Sums
from controlplane.rollups.domain import FRAMES, SUMS, Level
from controlplane.shape import moment
from protos.errors import Rejected
from protos.outcomes import Stage

Row = Mapping[str, Any]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Holds(StrEnum):
    """What is in a column."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    MOMENT = "moment"  # Unix milliseconds
    FLAG = "flag"


class Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"


class What(StrEnum):
    OUTCOMES = "outcomes"
    NODES = "nodes"
    DETECTIONS = "detections"
    CAMERAS = "cameras"
    GAPS = "gaps"


@dataclass(frozen=True)
class Column:
    name: str
    holds: Holds
    value: Callable[[Row], Any]


def of(holds: Holds, **columns: str) -> tuple[Column, ...]:
    """Columns that stand as they are stored: name=stored name."""

    def plain(stored: str) -> Callable[[Row], Any]:
        return lambda row: row[stored]

    return tuple(Column(name, holds, plain(stored)) for name, stored in columns.items())


def _json(stored: str) -> Callable[[Row], str]:
    return lambda row: json.dumps(row[stored], ensure_ascii=False, separators=(",", ":"))


_WHOSE = of(Holds.TEXT, node="node_id", camera="camera", deployment="deployment")
_NAMED = (*of(Holds.TEXT, epoch="epoch"), *of(Holds.INTEGER, seq="seq"))
_START = of(Holds.MOMENT, start="start_ms")
_AT = of(Holds.MOMENT, at="at_ms")


def _frames() -> tuple[Column, ...]:
    """How frames ended and how long they took: of rows that are `ready`."""

    def count(outcome: str) -> Callable[[Row], int]:
        return lambda row: row["ready"].counts.get(outcome, 0)

    def stage(name: str) -> Callable[[Row], float]:
        return lambda row: round(row["ready"].stages.get(name, 0.0), 6)

    def latencies(name: str, told: Callable[[Sums], Latencies]) -> tuple[Column, ...]:
        return (
            Column(f"{name}_answered", Holds.INTEGER, lambda row: told(row["ready"]).answered),
            Column(f"{name}_seconds", Holds.NUMBER, lambda row: round(told(row["ready"]).seconds, 6)),
            Column(f"{name}_buckets", Holds.TEXT, lambda row: json.dumps(list(told(row["ready"]).frames))),
        )

    return (
        Column("frames_due", Holds.INTEGER, lambda row: row["ready"].due),
        *(Column(outcome, Holds.INTEGER, count(outcome)) for outcome in FRAMES),
        *latencies("box", lambda each: each.box),
        *latencies("cloud", lambda each: each.cloud),
        Column("p50_seconds", Holds.NUMBER, lambda row: round(row["ready"].answers.percentile(0.5), 6)),
        Column("p95_seconds", Holds.NUMBER, lambda row: round(row["ready"].answers.percentile(0.95), 6)),
        Column("uplink_bytes", Holds.INTEGER, lambda row: row["ready"].uplink_bytes),
        *(Column(f"stage_{name}_seconds", Holds.NUMBER, stage(name)) for name in map(str, Stage)),
    )


_SPENT = (
    *of(Holds.NUMBER, cpu_cores="cpu_cores_used"),
    *of(Holds.INTEGER, memory_bytes="memory_bytes", disk_free_bytes="disk_free_bytes"),
    *of(Holds.INTEGER, outbox_waiting="outbox_waiting", outbox_dropped="outbox_dropped"),
)
_SPENT_IN_STEPS = (
    *of(Holds.INTEGER, samples="samples"),
    Column("cpu_cores_mean", Holds.NUMBER, lambda row: round(row["cpu"] / row["samples"] / 1e6, 6)),
    Column("cpu_cores_max", Holds.NUMBER, lambda row: row["cpu_max"] / 1e6),
    Column("memory_bytes_mean", Holds.INTEGER, lambda row: row["memory"] // row["samples"]),
    *of(Holds.INTEGER, memory_bytes_max="memory_max", disk_free_bytes_min="disk_free_min"),
    *of(Holds.INTEGER, outbox_waiting="outbox_waiting", outbox_dropped="outbox_dropped"),
)
_DETECTED = (
    *_AT,
    *_WHOSE,
    *_NAMED,
    *of(Holds.INTEGER, captured_unix_ns="captured_unix_ns", frame_seq="frame_seq"),
    *of(Holds.TEXT, ts_source="ts_source", release_digest="release_digest", outcome="outcome", ran_on="ran_on"),
    *of(Holds.NUMBER, latency_seconds="latency_seconds"),
    Column("boxes", Holds.TEXT, _json("boxes")),
    Column("happened", Holds.TEXT, _json("happened")),
)
_FARED = (
    *_AT,
    *of(Holds.TEXT, node="node_id", camera="camera"),
    *_NAMED,
    *of(Holds.TEXT, state="state"),
    Column("reason", Holds.TEXT, lambda row: sources.scrubbed(row["reason"])),  # it may hold a camera's password
)
_LOST = (
    *_AT,
    *of(Holds.TEXT, node="node_id"),
    *_NAMED,
    *of(Holds.TEXT, record_class="record_class", of_epoch="gap_epoch", reason="reason"),
    *of(Holds.INTEGER, first_seq="first_seq", last_seq="last_seq", dropped="dropped"),
    *of(Holds.FLAG, lower_bound="lower_bound"),
)
_RAW: Mapping[What, tuple[Column, ...]] = {
    What.OUTCOMES: (*_AT, *_WHOSE, *_NAMED, *of(Holds.MOMENT, told_start="start_ms", told_end="end_ms"), *_frames()),
    What.NODES: (*_AT, *of(Holds.TEXT, node="node_id"), *_NAMED, *_SPENT),
    What.DETECTIONS: _DETECTED,
    What.CAMERAS: _FARED,
    What.GAPS: _LOST,
}
_STEPS: Mapping[What, tuple[Column, ...]] = {
    What.OUTCOMES: (*_START, *_WHOSE, *_frames()),
    What.NODES: (*_START, *of(Holds.TEXT, node="node_id"), *_SPENT_IN_STEPS),
}


_LACKS = {What.NODES: ("camera", "deployment"), What.GAPS: ("camera", "deployment"), What.CAMERAS: ("deployment",)}


def columns(what: What, level: Level) -> tuple[Column, ...]:
    """Raises Rejected: there is no such level of it."""
    if level is Level.RAW:
        return _RAW[what]
    if what not in _STEPS:
        raise Rejected(f"{what} are kept as they came only; ask for level=raw, or for outcomes or nodes")
    return _STEPS[what]


def check(what: What, **chosen: str) -> None:
    """Raises Rejected: a filter that its records have no column for, which would leave all of them or none."""
    for name in _LACKS.get(what, ()):
        if chosen[name]:
            raise Rejected(f"{what} have no {name}; ask for them by node or labels, or for outcomes or detections")


def ready(what: What, level: Level, row: Row) -> Row:
    """Of outcomes with their sums, which many columns are read off."""
    if what is not What.OUTCOMES:
        return row
    if level is not Level.RAW:
        return {**row, "ready": sums_of({name: row[name] for name in SUMS})}
    box, cloud = Latencies(**row["box"]), Latencies(**row["cloud"])
    return {**row, "ready": Sums(row["counts"], box, cloud, row["uplink_bytes"], row["stages"])}


def as_csv(pages: Iterable[Iterable[Row]], shown: Sequence[Column]) -> Iterator[bytes]:
    """One piece a page, the header before them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in shown])
    yield _taken(text)
    for page in pages:
        writer.writerows([_cell(column.value(row), column) for column in shown] for row in page)
        yield _taken(text)


def _cell(value: Any, column: Column) -> Any:
    if column.holds is Holds.MOMENT:
        return moment(value)
    if column.holds is Holds.TEXT and str(value).startswith(_FORMULA):
        return f"'{value}"  # boxes write reasons: no spreadsheet may run one
    return str(value).lower() if column.holds is Holds.FLAG else value


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return piece
