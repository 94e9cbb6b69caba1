"""All SQL of ingest but for the writing of rows by columns (controlplane.bulk).

Two replicas never wait for each other in a ring: rows of epochs are made, and then locked, in the order of their keys,
before anything else is written; everything else hangs on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import (
    CursorResult,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from controlplane import bulk, tables
from controlplane.db import added
from controlplane.ingest.domain import COLUMNS, DAY_MS, NAMED, Kind, Tally
from controlplane.ingest.intake import MOST_COUNT, Books, Conflict, Line
from controlplane.ingest.numbers import Numbers, SeqRange
from controlplane.settings.repository import SettingsRepository
from protos.errors import Retryable
from protos.ids import NodeId

_TABLES: dict[Kind, type[tables.Base]] = {
    Kind.FRAME: tables.Detection,
    Kind.OUTCOMES: tables.OutcomeCount,
    Kind.CAMERA: tables.CameraHealth,
    Kind.NODE: tables.NodeStat,
    Kind.GAP: tables.Gap,
}
MOST_ASKED = 1_000  # numbers of one question: drivers bound how many values a statement may have
_EPOCHS = cast("Table", tables.Epoch.__table__)
_STARTS = cast("Table", tables.AgentStart.__table__)
_CONFLICTS = cast("Table", tables.RecordConflict.__table__)

T = TypeVar("T")


class IngestRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def known(self, nodes: Iterable[NodeId]) -> frozenset[NodeId]:
        """Which of these are in the fleet."""
        wanted = select(tables.Node.id).where(tables.Node.id.in_(sorted(nodes)), tables.Node.deleted_ms.is_(None))
        return frozenset(NodeId(name) for name in self._session.scalars(wanted))

    # ---- epochs ----

    def locked(self, lines: Iterable[Line]) -> dict[Line, Books]:
        """The books of these, nobody else's until the end of the transaction; missing ones are begun."""
        wanted = sorted(lines)
        there = {tuple(found) for found in self._found(wanted, select(_EPOCHS.c.node_id, _EPOCHS.c.epoch))}
        if missing := [_epoch_row(line, self._begun(line)) for line in wanted if line not in there]:
            self._session.execute(self._insert(_EPOCHS).on_conflict_do_nothing(), missing)
        lock = select(_EPOCHS).order_by(_EPOCHS.c.node_id, _EPOCHS.c.epoch).with_for_update()
        books = dict(map(_books, self._found(wanted, lock)))
        if any(line not in books for line in wanted):
            raise Retryable("a line of numbers was forgotten in the same moment")
        return {line: books[line] for line in wanted}

    def _found(self, wanted: Sequence[Line], rows: Select[Any]) -> Iterable[Row[Any]]:
        """Rows of these epochs, and of others that share both names: SQLite finds pairs by looking at all there are."""
        for part in _parts(wanted):
            nodes, epochs = {node for node, _ in part}, {epoch for _, epoch in part}
            yield from self._session.execute(rows.where(_EPOCHS.c.node_id.in_(nodes), _EPOCHS.c.epoch.in_(epochs)))

    def _begun(self, line: Line) -> Books:
        """By the rows that there are: of an epoch from before there were books, what is stored of it already."""
        stored = [_numbers_of(cast("Table", table.__table__), line) for table in _TABLES.values()]
        each = union_all(*stored).subquery()
        placed = select(
            each.c.seq, (each.c.seq - func.row_number().over(order_by=each.c.seq)).label("place")
        ).subquery()
        first, last = func.min(placed.c.seq), func.max(placed.c.seq)
        found = [
            (low, high)
            for low, high in self._session.execute(select(first, last).group_by(placed.c.place).order_by(first))
        ]
        if not found:
            return Books()
        gaps = tables.Gap
        dropped = select(added(gaps.dropped)).where(gaps.node_id == line[0], gaps.epoch == line[1])
        return Books(
            received=Numbers().plus(found),
            stored=sum(high - low + 1 for low, high in found),
            dropped=min(int(self._session.scalar(dropped) or 0), MOST_COUNT),
        )

    def keep(self, books: Mapping[Line, Books]) -> None:
        """What became of those that were locked."""
        at = (_EPOCHS.c.node_id == bindparam("its_node"), _EPOCHS.c.epoch == bindparam("its_epoch"))
        rows = [_epoch_row(line, each) for line, each in books.items()]
        values: dict[str, Any] = {
            column.name: bindparam(column.name) for column in _EPOCHS.columns if not column.primary_key
        }
        named = [{**row, "its_node": row.pop("node_id"), "its_epoch": row.pop("epoch")} for row in rows]
        if named:
            self._session.connection().execute(update(_EPOCHS).where(*at).values(values), named)

    # ---- records ----

    def put(self, kind: Kind, rows: Sequence[tuple[Any, ...]]) -> int:
        """Store rows by NAMED and COLUMNS of `kind`; how many. What has their key already stays as it is."""
        table = cast("Table", _TABLES[kind].__table__)
        return bulk.insert_new(self._session, table, (*NAMED, *COLUMNS[kind]), rows)

    def digests(self, line: Line, seqs: Mapping[Kind, Sequence[int]]) -> dict[int, int | None]:
        """By number, of what is stored under these of a line: looked for among their own kind, then among all."""
        found: dict[int, int | None] = {}
        for kind, wanted in seqs.items():
            found.update(self._digests(line, kind, wanted))
        for kind in Kind:
            missing = [seq for each, wanted in seqs.items() if each is not kind for seq in wanted if seq not in found]
            found.update(self._digests(line, kind, missing))
        return found

    def _digests(self, line: Line, kind: Kind, seqs: Sequence[int]) -> Iterable[tuple[int, int | None]]:
        table = cast("Table", _TABLES[kind].__table__)
        here = and_(table.c.node_id == line[0], table.c.epoch == line[1])
        wanted = select(table.c.seq, table.c.digest).where(here)
        for part in _parts(seqs):
            yield from ((seq, digest) for seq, digest in self._session.execute(wanted.where(table.c.seq.in_(part))))

    def declared(self, line: Line) -> list[SeqRange]:
        """Ranges of a line that stored Gaps say were dropped whole."""
        gaps = tables.Gap
        its = or_(gaps.gap_epoch == line[1], and_(gaps.gap_epoch == "", gaps.epoch == line[1]))
        whole = and_(gaps.dropped > 0, gaps.dropped == gaps.last_seq - gaps.first_seq + 1)
        found = self._session.execute(select(gaps.first_seq, gaps.last_seq).where(gaps.node_id == line[0], its, whole))
        return [(first, last) for first, last in found]

    def keep_aside(self, conflicts: Iterable[Conflict], now_ms: int) -> None:
        for conflict in conflicts:
            row, (node, epoch) = conflict.row, conflict.line
            values = {
                "node_id": node,
                "epoch": epoch,
                "seq": row.seq,
                "digest": row.digest,
                "kind": row.kind,
                "content": row.content,
                "first_ms": now_ms,
                "last_ms": now_ms,
                "times": 1,
            }
            kept = self._insert(tables.RecordConflict.__table__)
            key, again = ["node_id", "epoch", "seq", "digest"], tables.RecordConflict.times + 1
            self._session.execute(
                kept.on_conflict_do_update(index_elements=key, set_={"last_ms": now_ms, "times": again}), values
            )

    # ---- starts ----

    def started(self, starts: Iterable[tuple[NodeId, str, str]], now_ms: int) -> frozenset[NodeId]:
        """Note that these agents (node, start, the start before) are heard; of whom two followed the same start."""
        told = [
            {"node_id": node, "start": start, "before": before, "first_ms": now_ms, "last_ms": now_ms}
            for node, start, before in sorted(starts)
        ]
        if not told:
            return frozenset()
        noted = self._insert(tables.AgentStart.__table__)
        key = ["node_id", "start"]
        self._session.execute(noted.on_conflict_do_update(index_elements=key, set_={"last_ms": now_ms}), told)
        same = (tables.AgentStart.node_id, tables.AgentStart.before)
        followed = {(each["node_id"], each["before"]) for each in told if each["before"]}
        nodes, befores = {node for node, _ in followed}, {before for _, before in followed}
        here = and_(same[0].in_(nodes), same[1].in_(befores))
        twice = self._session.execute(select(*same).where(here).group_by(*same).having(func.count() > 1))
        return frozenset(NodeId(node) for node, before in twice if (node, before) in followed)

    # ---- what is old ----

    def forget(self, before_ms: Mapping[Kind, int], most: int) -> int:
        """Delete what was stored before, of each kind at most so many rows, and note that; how many. Kinds that are not
        named stay.
        """
        gone = 0
        for kind, unix_ms in before_ms.items():
            rows = cast("Table", _TABLES[kind].__table__)
            name = (rows.c.node_id, rows.c.epoch, rows.c.seq)
            old = select(*name).where(rows.c.stored_ms < unix_ms).limit(most)
            done = self._session.execute(delete(rows).where(tuple_(*name).in_(old)))
            if count := cast("CursorResult[Any]", done).rowcount:
                SettingsRepository(self._session).note_swept(rows.name, unix_ms)
            gone += count
        return gone

    def forget_books(self, before_ms: int, most: int) -> int:
        """Delete lines of numbers, starts and conflicts that were heard of last before, of each at most so many; how
        many.

        A line goes when nothing of it is left, neither a record nor what a Gap declares, and its box holds nothing of
        it: a start tells first of all lines that its outbox holds, and starts that began later have told for DAY_MS and
        nothing of this one. A box that is silent keeps its lines, one that was taken out as well.
        """
        conflicts = select(*_key(_CONFLICTS)).where(_CONFLICTS.c.last_ms < before_ms)
        old = {_EPOCHS: self._old_lines(before_ms), _STARTS: self._old_starts(before_ms), _CONFLICTS: conflicts}
        return sum(self._delete(table, those, most) for table, those in old.items())

    def _old_lines(self, before_ms: int) -> Select[Any]:
        its, later = (_EPOCHS.c.node_id, _EPOCHS.c.epoch), _STARTS.c.first_ms > _EPOCHS.c.last_ms
        told_ms = select(func.max(_STARTS.c.last_ms) - func.min(_STARTS.c.first_ms)).where(_STARTS.c.node_id == its[0])
        passed_over = told_ms.where(later).correlate(_EPOCHS).scalar_subquery() >= DAY_MS
        records = [cast("Table", table.__table__).c for table in _TABLES.values()]
        left = (exists().where(each.node_id == its[0], each.epoch == its[1]) for each in records)
        old = (_EPOCHS.c.last_ms < before_ms, _EPOCHS.c.dropped == 0, passed_over)
        return select(*its).where(*old, *(~each for each in left))

    def _old_starts(self, before_ms: int) -> Select[Any]:
        """Not of a box that none is heard of since, and none that one heard since names as the one before it."""
        other = _STARTS.alias()
        since = (other.c.node_id == _STARTS.c.node_id, other.c.last_ms >= before_ms)
        named = exists().where(*since, other.c.before == _STARTS.c.start)
        return select(*_key(_STARTS)).where(_STARTS.c.last_ms < before_ms, exists().where(*since), ~named)

    def _delete(self, table: Table, old: Select[Any], most: int) -> int:
        """Passing over what a replica holds, so that neither waits for the other in a ring."""
        keys = [tuple(key) for key in self._session.execute(old.limit(most).with_for_update(skip_locked=True))]
        for part in _parts(keys):
            self._session.execute(delete(table).where(tuple_(*_key(table)).in_(part)))
        return len(keys)

    def _insert(self, table: Any) -> Any:
        return _insert(self._session.get_bind().dialect.name)(table)


def _key(table: Table) -> list[Any]:
    return list(table.primary_key.columns)


def _numbers_of(table: Table, line: Line) -> Select[Any]:
    return select(table.c.seq.label("seq")).where(table.c.node_id == line[0], table.c.epoch == line[1])


def _books(row: Row[Any]) -> tuple[Line, Books]:
    line = (NodeId(row.node_id), row.epoch)
    received = Numbers(row.up_to, tuple((first, last) for first, last in row.beyond))
    told = Tally(
        row.epoch,
        row.record_class,
        row.told_accepted,
        row.told_waiting,
        row.told_dropped,
        row.told_oldest_ms,
        row.told_ms,
    )
    counts = (row.first_ms, row.last_ms, received, row.stored, row.dropped)
    return line, Books(row.record_class, row.start, *counts, told if row.told_ms else None)


def _epoch_row(line: Line, books: Books) -> dict[str, Any]:
    told = books.told or Tally("", "", 0, 0, 0, 0, 0)
    return {
        "node_id": line[0],
        "epoch": line[1],
        "record_class": books.record_class,
        "start": books.start,
        "first_ms": books.first_ms,
        "last_ms": books.last_ms,
        "up_to": books.received.up_to,
        "beyond": [list(each) for each in books.received.beyond],
        "stored": books.stored,
        "dropped": books.dropped,
        "told_accepted": told.accepted,
        "told_waiting": told.waiting,
        "told_dropped": told.dropped,
        "told_oldest_ms": told.oldest_ms,
        "told_ms": told.told_ms,
    }


def _parts(many: Sequence[T]) -> Iterable[Sequence[T]]:
    return (many[start : start + MOST_ASKED] for start in range(0, len(many), MOST_ASKED))


def _insert(dialect: str) -> Callable[[Any], Any]:
    """Imported when the first rows come: PostgreSQL's alone takes a twentieth of the start of a process on SQLite."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert
    from sqlalchemy.dialects import postgresql

    return postgresql.insert
