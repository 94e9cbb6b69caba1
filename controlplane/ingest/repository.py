"""All SQL of ingest. Insert or ignore by (node, epoch, seq) on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, Table, delete, select, tuple_
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.ingest.domain import Kind
from protos.ids import NodeId

_TABLES: dict[Kind, type[tables.Base]] = {
    Kind.FRAME: tables.Detection,
    Kind.OUTCOMES: tables.OutcomeCount,
    Kind.CAMERA: tables.CameraHealth,
    Kind.NODE: tables.NodeStat,
    Kind.GAP: tables.Gap,
}


class IngestRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def known(self, nodes: Iterable[NodeId]) -> frozenset[NodeId]:
        """Which of these are in the fleet."""
        wanted = select(tables.Node.id).where(tables.Node.id.in_(sorted(nodes)), tables.Node.deleted_ms.is_(None))
        return frozenset(NodeId(name) for name in self._session.scalars(wanted))

    def put(self, kind: Kind, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Store what is not stored yet, and return that. Rows go in by key, so that two writers never wait for each
        other in a ring.

        SQLite 3.40 gives integers back as floats here when the table has a column of floats: a row numbered beyond 2^53
        is stored, but not found among `rows` again.
        """
        table = _TABLES[kind].__table__
        insert = _insert(self._session.get_bind().dialect.name)
        named = {(row["node_id"], row["epoch"], row["seq"]): row for row in rows}
        seq = table.c.seq + 0  # beside a REAL column SQLite 3.40 returns a plain INTEGER as a float
        new = insert(table).on_conflict_do_nothing().returning(table.c.node_id, table.c.epoch, seq)
        stored = self._session.execute(new, [named[key] for key in sorted(named)])
        return [named[tuple(key)] for key in stored if tuple(key) in named]

    def forget(self, before_ms: Mapping[Kind, int], most: int) -> int:
        """Delete what was stored before, of each kind at most so many rows; how many. Kinds not named stay."""
        gone = 0
        for kind, unix_ms in before_ms.items():
            rows = cast("Table", _TABLES[kind].__table__)
            name = (rows.c.node_id, rows.c.epoch, rows.c.seq)
            old = select(*name).where(rows.c.stored_ms < unix_ms).limit(most)
            done = self._session.execute(delete(rows).where(tuple_(*name).in_(old)))
            gone += cast("CursorResult[Any]", done).rowcount
        return gone


def _insert(dialect: str) -> Callable[[Any], Any]:
    """Imported when the first rows come: PostgreSQL's alone takes a twentieth of the start of a process on SQLite."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert
    from sqlalchemy.dialects import postgresql

    return postgresql.insert
