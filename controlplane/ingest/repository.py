"""All SQL of ingest. Insert or ignore by (node, epoch, seq) on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select
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

    def put(self, kind: Kind, rows: list[Mapping[str, Any]]) -> None:
        """Store what is not stored yet. Rows go in by key, so that two writers never wait for each other in a ring."""
        table = _TABLES[kind]
        insert = _insert(self._session.get_bind().dialect.name)
        ordered = sorted(rows, key=lambda row: (row["node_id"], row["epoch"], row["seq"]))
        self._session.execute(insert(table).on_conflict_do_nothing(), ordered)

    def forget_before(self, unix_ms: int) -> int:
        """Delete what was stored before; how many rows. Gaps stay: they are few, and what is missing stays missing."""
        gone = 0
        for kind, table in _TABLES.items():
            if kind is not Kind.GAP:
                done = self._session.execute(delete(table).where(table.__table__.c.stored_ms < unix_ms))
                gone += cast("CursorResult[Any]", done).rowcount
        return gone


def _insert(dialect: str) -> Callable[[type[tables.Base]], Any]:
    """Imported when the first rows come: PostgreSQL's alone takes a twentieth of the start of a process on SQLite."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert
    from sqlalchemy.dialects import postgresql

    return postgresql.insert
