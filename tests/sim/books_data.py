"""Books as boxes and ingest keep them, for whoever reads them: a box that accepts, drops, delivers and tells.

`SimBox.deliver` stores rows of the record tables and counts them in the line of their epoch, as ingest does in its
transaction; `tell` notes a Tally. What a test takes away afterwards (`spoil`) is what a recount must find.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select

from controlplane import tables
from controlplane.container import Services
from controlplane.db import Database
from controlplane.tables import AgentStart, Epoch, Gap, RecordConflict

FULL = "the outbox was full"


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


@dataclass
class SimLine:
    """One epoch: which numbers were given out, and what became of them."""

    record_class: str
    accepted: int = 0
    stored: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)  # by the box
    declared: set[int] = field(default_factory=set)  # by Gaps that are stored

    @property
    def waiting(self) -> int:
        return self.accepted - len(self.stored) - len(self.dropped)


class SimBox:
    """One box under one start of its agent."""

    def __init__(self, services: Services, node: str, start: str = "s1", before: str = "") -> None:
        self.node, self.start = node, start
        self.lines: dict[str, SimLine] = {}
        self._services = services
        with self._database.begin() as session:
            now = self.now_ms
            values = {"node_id": node, "start": start, "before": before, "first_ms": now, "last_ms": now}
            session.add(AgentStart(**values))

    @property
    def _database(self) -> Database:
        return self._services.database

    @property
    def now_ms(self) -> int:
        return int(self._services.clock.unix() * 1000)

    def epoch(self, record_class: str) -> str:
        return f"{self.start}{record_class}{self.node}".replace("-", "")

    def line(self, record_class: str) -> SimLine:
        return self.lines.setdefault(record_class, SimLine(record_class))

    def accept(self, record_class: str, count: int) -> None:
        self.line(record_class).accepted += count

    def drop(self, record_class: str, first: int, last: int) -> None:
        """The box drops what was not sent; its Gap is accepted and waits."""
        self.line(record_class).dropped |= set(range(first, last + 1))
        self.accept("gap", 1)

    def declare(self, record_class: str, first: int, last: int, reason: str = FULL, *, at_least: bool = False) -> None:
        """Drop, and the Gap is stored."""
        self.drop(record_class, first, last)
        gaps, line = self.line("gap"), self.line(record_class)
        line.declared |= set(range(first, last + 1))
        span = {"first_seq": first, "last_seq": last, "dropped": last - first + 1}
        told = {"record_class": record_class, "reason": reason, "gap_epoch": self.epoch(record_class)}
        self.put(Gap, "gap", gaps.accepted, **span, **told, lower_bound=at_least)
        gaps.stored.add(gaps.accepted)
        self._book("gap")
        self._book(record_class)

    def deliver(self, record_class: str, first: int, last: int) -> None:
        line = self.line(record_class)
        for number in range(first, last + 1):
            if number not in line.stored:
                self.put(RECORDS[record_class], record_class, number)
                line.stored.add(number)
        self._book(record_class)

    def tell(self, record_class: str, waiting: int | None = None, oldest_ms: int = 0) -> None:
        """A Tally, as things stand."""
        line, now = self.line(record_class), self.now_ms
        told = {
            "told_accepted": line.accepted,
            "told_waiting": line.waiting if waiting is None else waiting,
            "told_dropped": len(line.dropped),
            "told_oldest_ms": oldest_ms,
            "told_ms": now,
        }
        self._book(record_class, **told)
        with self._database.begin() as session:
            found = session.get(AgentStart, (self.node, self.start))
            assert found is not None
            found.last_ms = now

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
        with self._database.begin() as session:
            session.add(RecordConflict(**key, kind="node", content=b"", first_ms=now, last_ms=now, times=1))

    def spoil(self, record_class: str, seq: int) -> None:
        """Take a stored record out of the database, behind the back of its books."""
        with self._database.begin() as session:
            for table in (tables.Detection, tables.OutcomeCount, tables.CameraHealth, tables.NodeStat, Gap):
                named = (table.node_id == self.node, table.epoch == self.epoch(record_class), table.seq == seq)
                session.execute(delete(table).where(*named))

    def put(self, table: Any, of: str, seq: int, **values: Any) -> None:
        """Store a record of the epoch of the class `of`, and count it nowhere."""
        now = self.now_ms
        key = {"node_id": self.node, "epoch": self.epoch(of), "seq": seq}
        with self._database.begin() as session:
            session.add(table(**key, at_ms=now, stored_ms=now, digest=seq, **values))

    def _book(self, record_class: str, **told: int) -> None:
        line, now = self.line(record_class), self.now_ms
        known = ranges(line.stored | line.declared)
        up_to = known[0][1] if known and known[0][0] == 1 else 0
        counts = {"up_to": up_to, "stored": len(line.stored), "dropped": len(line.declared), "last_ms": now}
        beyond = [each for each in known if each[0] > up_to]
        with self._database.begin() as session:
            found = session.get(Epoch, (self.node, self.epoch(record_class))) or self._line(session, record_class)
            for name, value in {**counts, "beyond": beyond, **told}.items():
                setattr(found, name, value)

    def _line(self, session: Any, record_class: str) -> Epoch:
        nothing = ("up_to", "stored", "dropped", *(f"told_{each}" for each in ("accepted", "waiting", "dropped")))
        made = Epoch(
            node_id=self.node, epoch=self.epoch(record_class), record_class=record_class, start=self.start,
            first_ms=self.now_ms, last_ms=self.now_ms, beyond=[], told_oldest_ms=0, told_ms=0,
            **dict.fromkeys(nothing, 0),
        )  # fmt: skip
        session.add(made)
        return made


class _Made:
    """A row of a table with whatever it needs beside its key."""

    def __init__(self, table: Any, **usual: Any) -> None:
        self._table, self._usual = table, usual

    def __call__(self, **values: Any) -> Any:
        return self._table(**self._usual, **values)


_STATS = {"cpu_cores_used": 0.1, "memory_bytes": 1, "disk_free_bytes": 1, "outbox_waiting": 0, "outbox_dropped": 0}
_FRAME = {
    "camera": "gate", "deployment": "watch", "release_digest": "sha256:" + "0" * 64, "captured_unix_ns": 0, "boxes": [],
    "ts_source": "arrival", "outcome": "ok_local", "latency_seconds": 0.01, "ran_on": "local", "frame_seq": 1,
}  # fmt: skip
RECORDS = {
    "alarm": _Made(tables.CameraHealth, camera="gate", state="running", reason=""),
    "detection": _Made(tables.Detection, **_FRAME),
    "debug": _Made(tables.Detection, **_FRAME),
    "metric": _Made(tables.NodeStat, **_STATS),
    "gap": _Made(
        Gap, record_class="debug", first_seq=1, last_seq=1, dropped=0, reason="refused: of no kind that is known"
    ),
}


def lines(database: Database, node: str) -> dict[str, Epoch]:
    """By class."""
    with database.read() as session:
        return {each.record_class: each for each in session.scalars(select(Epoch).where(Epoch.node_id == node))}
