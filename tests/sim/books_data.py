"""A box as its telemetry shows it: it accepts, drops, delivers and tells, through the real ingest.

What a test takes away afterwards (`spoil`) or puts in (`put`) behind the back of the books is what a recount must find.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import delete

from controlplane import tables
from controlplane.db import Database
from controlplane.ingest.domain import Batch, Kind, Tally
from controlplane.ingest.service import IngestService
from controlplane.ports import Clock
from controlplane.tables import RecordConflict
from protos.ids import NodeId
from tests.sim.rows import row

FULL = "the outbox was full"


def furnish(services: Plane, *, badly: bool = False) -> None:
    """Boxes of the harbour that tell their books; on a bad day with losses, a backlog and a cloned disk."""
    for node in ("north-quay", "south-quay", "cloud-1"):
        box = SimBox(services, node)
        for record_class, count in (("alarm", 3), ("detection", 240), ("metric", 90), ("debug", 60)):
            box.accept(record_class, count)
        if badly and node == "north-quay":
            for number in range(12):
                box.declare("debug", 2 * number + 1, 2 * number + 1 + number % 2, ago_ms=number * 9 * 3_600_000)
            box.declare(
                "detection", 5, 64, "the record was damaged on the box's disk", at_least=True, ago_ms=90_000_000
            )
        box.settle()
    if badly:
        box = SimBox(services, "south-quay", "s2", "s1")
        box.accept("detection", 80)
        box.deliver("detection", 1, 20)
        box.tell("detection", oldest_ms=box.now_ms - 900_000)
        box.accept("alarm", 4)
        box.deliver("alarm", 1, 2)
        box.tell("alarm", waiting=0)
        SimBox(services, "south-quay", "s3", "s1").begin()


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


class Plane(Protocol):
    """What a box needs of a control plane."""

    @property
    def database(self) -> Database: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def ingest(self) -> IngestService: ...


@dataclass
class SimLine:
    """One epoch: which numbers were given out, and what became of them."""

    record_class: str
    accepted: int = 0
    stored: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)

    @property
    def waiting(self) -> int:
        return self.accepted - len(self.stored) - len(self.dropped)


class SimBox:
    """One box under one start of its agent."""

    def __init__(self, services: Plane, node: str, start: str = "s1", before: str = "") -> None:
        self.node, self.start, self.before = node, start, before
        self.lines: dict[str, SimLine] = {}
        self._services = services

    @property
    def now_ms(self) -> int:
        return int(self._services.clock.unix() * 1000)

    def epoch(self, record_class: str) -> str:
        return f"{self.start}{record_class}{self.node}".replace("-", "")

    def line(self, record_class: str) -> SimLine:
        return self.lines.setdefault(record_class, SimLine(record_class))

    def begin(self) -> None:
        """Its first words: one record, stored."""
        self.accept("metric", 1)
        self.settle()

    def accept(self, record_class: str, count: int) -> None:
        self.line(record_class).accepted += count

    def drop(self, record_class: str, first: int, last: int) -> None:
        """The box drops what was not sent; its Gap is accepted and waits."""
        self.line(record_class).dropped |= set(range(first, last + 1))
        self.accept("gap", 1)

    def declare(
        self, record_class: str, first: int, last: int, reason: str = FULL, *, at_least: bool = False, ago_ms: int = 0
    ) -> None:
        """Drop, and the Gap is stored; it came so long ago."""
        self.drop(record_class, first, last)
        gaps = self.line("gap")
        span = {"first_seq": first, "last_seq": last, "dropped": last - first + 1}
        told = {"record_class": record_class, "reason": reason, "gap_epoch": self.epoch(record_class)}
        came = {"lower_bound": at_least, "at_ms": self.now_ms - ago_ms}
        self._say("gap", {gaps.accepted: {**span, **told, **came}})
        gaps.stored.add(gaps.accepted)

    def deliver(self, record_class: str, first: int, last: int) -> None:
        self._say(record_class, {number: {} for number in range(first, last + 1)})
        self.line(record_class).stored |= set(range(first, last + 1))

    def tell(self, record_class: str, waiting: int | None = None, oldest_ms: int = 0) -> None:
        """A Tally, as things stand."""
        line, now = self.line(record_class), self.now_ms
        waits = line.waiting if waiting is None else waiting
        tally = Tally(self.epoch(record_class), record_class, line.accepted, waits, len(line.dropped), oldest_ms, now)
        self._say(record_class, tallies=(tally,))

    def settle(self) -> None:
        """All that waits arrives, and the box says so."""
        for record_class, line in self.lines.items():
            for first, last in ranges(set(range(1, line.accepted + 1)) - line.stored - line.dropped):
                self.deliver(record_class, first, last)
            self.tell(record_class)

    def clash(self, record_class: str, seq: int, digest: int = 7) -> None:
        """A record came under the name of one that is stored."""
        now = self.now_ms
        key = {"node_id": self.node, "epoch": self.epoch(record_class), "seq": seq, "digest": digest}
        with self._services.database.begin() as session:
            session.add(RecordConflict(**key, kind="node", content=b"", first_ms=now, last_ms=now, times=1))

    def spoil(self, record_class: str, seq: int) -> None:
        """Take a stored record out of the database, behind the back of its books."""
        with self._services.database.begin() as session:
            for table in TABLES.values():
                named = (table.node_id == self.node, table.epoch == self.epoch(record_class), table.seq == seq)
                session.execute(delete(table).where(*named))

    def put(self, kind: Kind, record_class: str, seq: int) -> None:
        """Store a record of the epoch of that class, and count it nowhere."""
        key = {"node_id": self.node, "epoch": self.epoch(record_class), "seq": seq}
        values = {**USUAL[kind], "at_ms": self.now_ms, "stored_ms": self.now_ms, "digest": seq}
        with self._services.database.begin() as session:
            session.add(TABLES[kind](**key, **values))

    def _say(
        self, record_class: str, values: dict[int, dict[str, Any]] | None = None, tallies: tuple[Tally, ...] = ()
    ) -> None:
        """One batch, as ingest hears it."""
        kind = KINDS[record_class]
        rows = tuple(
            row(kind, number, {**USUAL[kind], "at_ms": self.now_ms, **given})
            for number, given in (values or {}).items()
        )
        told = {"start": self.start, "before": self.before, "tallies": tallies}
        batch = Batch(NodeId(self.node), self.epoch(record_class), rows, **told)  # type: ignore[arg-type]
        self._services.ingest.store([batch])


KINDS = {
    "alarm": Kind.CAMERA,
    "detection": Kind.FRAME,
    "metric": Kind.NODE,
    "debug": Kind.FRAME,
    "gap": Kind.GAP,
}
TABLES: dict[Kind, Any] = {
    Kind.FRAME: tables.Detection,
    Kind.OUTCOMES: tables.OutcomeCount,
    Kind.CAMERA: tables.CameraHealth,
    Kind.NODE: tables.NodeStat,
    Kind.GAP: tables.Gap,
}
USUAL: dict[Kind, dict[str, Any]] = {
    Kind.CAMERA: {"camera": "gate", "state": "running", "reason": ""},
    Kind.NODE: {
        "cpu_cores_used": 0.1, "memory_bytes": 1, "disk_free_bytes": 1, "outbox_waiting": 0, "outbox_dropped": 0,
    },
    Kind.FRAME: {
        "camera": "gate", "deployment": "watch", "release_digest": "sha256:" + "0" * 64, "captured_unix_ns": 0,
        "boxes": [], "ts_source": "arrival", "outcome": "ok_local", "latency_seconds": 0.01, "ran_on": "local",
        "frame_seq": 1,
    },
    Kind.GAP: {
        "record_class": "unknown", "first_seq": 1, "last_seq": 1, "dropped": 0, "gap_epoch": "", "lower_bound": False,
        "reason": "refused: of no kind that is known",
    },
}  # fmt: skip
