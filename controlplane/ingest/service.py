"""Storing telemetry: one transaction for many messages, idempotent, so that it may be repeated at will.

The books of each epoch are read, locked, changed and written in the transaction that stores its records: what is
acknowledged after the commit is what stands in them, whichever replica took which message.

A box that is unknown or deleted is neither stored nor acknowledged: its broker access ends with its certificate, and
when it joins again under its name, what waits in its outbox still comes. Until then it sends a few batches a minute.

A line of numbers is forgotten only when its box holds nothing of it any more (IngestRepository.forget_books): one that
was dark for longer than anything is kept finds its numbers as it left them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.db import Database
from controlplane.ingest import domain
from controlplane.ingest.domain import Batch, Kind, Receipt, Row
from controlplane.ingest.intake import Intake, Line, lines
from controlplane.ingest.repository import IngestRepository
from controlplane.partitions.domain import slack_ms
from controlplane.ports import Clock
from controlplane.rollups.domain import outcome_deltas, stat_deltas
from controlplane.rollups.repository import RollupRepository
from controlplane.settings.repository import SettingsRepository
from protos.ids import NodeId

Counted = Callable[[Sequence[Mapping[str, Any]]], None]
SWEEP_ROWS = 2_000  # of each table at a time: some hundredths of a second
HEARD_MS = 60_000  # a start is noted again after so long
MOST_STARTS = 20_000  # remembered as noted


@dataclass(frozen=True)
class Stored:
    """What may be acknowledged now, who was turned away, and of whom there are two.

    `repeated` of the rows were stored before. `clashes` says how many records of a box came under the names of others;
    `twice` who started twice from one start.
    """

    receipts: tuple[Receipt, ...]
    rows: int
    unknown: frozenset[NodeId]
    clashes: Mapping[NodeId, int]
    twice: frozenset[NodeId]
    repeated: int = 0


class IngestService:
    """Blocking and thread-safe."""

    def __init__(self, database: Database, clock: Clock, counted: Counted = lambda _rows: None) -> None:
        """`counted` is told the rows of outcomes that were stored, each once."""
        self._database = database
        self._clock = clock
        self._counted = counted
        self._noted: dict[tuple[NodeId, str], int] = {}  # starts, and when they were noted

    def store(self, batches: Sequence[Batch]) -> Stored:
        """Raises Retryable: the database is away; nothing was stored."""
        nodes = {batch.node for batch in batches}
        if not nodes:
            return Stored((), 0, frozenset(), {}, frozenset())
        now = self._now()
        with self._database.begin() as session:
            repository = IngestRepository(session)
            known = repository.known(nodes)
            welcome = [batch for batch in batches if batch.node in known]
            starts = self._unnoted(welcome, now)
            intake = _taken_in(repository, welcome, now)
            new = _by_kind(intake.fresh, now)
            for kind, rows in new.items():
                if repository.put(kind, rows) < len(rows):
                    new[kind] = _inserted(repository, kind, rows)
            outcomes, stats = (_all_named(kind, new) for kind in (Kind.OUTCOMES, Kind.NODE))
            RollupRepository(session).note(outcome_deltas(outcomes), stat_deltas(stats))
            repository.keep_aside(intake.conflicts, now)
            repository.keep(intake.books)
            twice = repository.started(starts, now)
        self._note(starts, now)
        self._counted(outcomes)
        stored = sum(len(batch.rows) for batch in welcome)
        repeated = stored - sum(map(len, new.values())) - len(intake.conflicts)
        unknown, clashes = frozenset(nodes - known), _clashes(intake)
        return Stored(tuple(intake.receipts(welcome)), stored, unknown, clashes, twice, repeated)

    def sweep(self) -> int:
        """Forget a part of what is older than the fleet's settings keep it, records and then what is known of their
        numbers; how many rows, 0 when none is left.

        A part, because boxes wait while it holds the write lock. Raises Retryable.
        """
        with self._database.begin() as session:
            settings = SettingsRepository(session).spec()
            records = {kind: self._oldest(kept) for kind, kept in domain.retention(settings).items()}
            repository = IngestRepository(session)
            gone = repository.forget(records, SWEEP_ROWS)
            return gone + repository.forget_books(self._oldest(domain.books_kept(settings)), SWEEP_ROWS)

    def _oldest(self, kept_ms: int) -> int:
        """What is older goes; where tables are in parts, most went whole with its part."""
        return self._now() - kept_ms - (slack_ms(kept_ms) if self._database.shared else 0)

    def _now(self) -> int:
        return int(self._clock.unix() * 1000)

    def _unnoted(self, batches: Sequence[Batch], now: int) -> set[tuple[NodeId, str, str]]:
        """Starts of these that were not noted of late, each with the one before it."""
        told = {(batch.node, batch.start, batch.before) for batch in batches if batch.start}
        return {each for each in told if now - self._noted.get(each[:2], -HEARD_MS) >= HEARD_MS}

    def _note(self, starts: set[tuple[NodeId, str, str]], now: int) -> None:
        if len(self._noted) > MOST_STARTS:
            self._noted = {}
        self._noted.update({(node, start): now for node, start, _before in starts})


def _taken_in(repository: IngestRepository, batches: Sequence[Batch], now: int) -> Intake:
    intake = Intake(repository.locked(lines(batches)), now)
    for batch in batches:
        intake.take(batch)
    for line, rows in list(intake.again.items()):
        intake.judge(line, repository.digests(line, _seqs(rows)), repository.declared(line))
    intake.close()
    return intake


def _seqs(rows: Sequence[Row]) -> dict[Kind, list[int]]:
    found: dict[Kind, list[int]] = {}
    for row in rows:
        found.setdefault(row.kind, []).append(row.seq)
    return found


def _by_kind(fresh: Mapping[Line, Sequence[Row]], now: int) -> dict[Kind, list[tuple[Any, ...]]]:
    """Rows for each table."""
    found: dict[Kind, list[tuple[Any, ...]]] = {kind: [] for kind in Kind}
    for (node, epoch), rows in fresh.items():
        for kind, seq, digest, cells, _content in rows:
            found[kind].append((node, epoch, seq, now, digest, *cells))
    return {kind: rows for kind, rows in found.items() if rows}


def _inserted(repository: IngestRepository, kind: Kind, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Those that were not there: what was stored before there were books has no digest, and may come once more."""
    of_lines: dict[Line, list[int]] = {}
    for node, epoch, seq, *_ in rows:
        of_lines.setdefault((node, epoch), []).append(seq)
    there = {
        (*line, seq)
        for line, seqs in of_lines.items()
        for seq, digest in repository.digests(line, {kind: seqs}).items()
        if digest is None
    }
    return [row for row in rows if row[:3] not in there]


def _all_named(kind: Kind, new: Mapping[Kind, Sequence[tuple[Any, ...]]]) -> list[dict[str, Any]]:
    return [_named(kind, row) for row in new.get(kind, ())]


def _named(kind: Kind, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((*domain.NAMED, *domain.COLUMNS[kind]), row, strict=True))


def _clashes(intake: Intake) -> dict[NodeId, int]:
    found: dict[NodeId, int] = {}
    for conflict in intake.conflicts:
        found[conflict.line[0]] = found.get(conflict.line[0], 0) + 1
    return found
