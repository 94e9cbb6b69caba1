"""All SQL of the audit. Works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.audit.domain import Entry


class AuditRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, entry: Entry) -> None:
        self._session.add(tables.AuditEntry(**vars(entry)))

    def newest(self, since_ms: int, who: str, limit: int) -> Sequence[tables.AuditEntry]:
        found = tables.AuditEntry
        query = select(found).where(found.at_ms >= since_ms)
        if who:
            query = query.where(found.who == who)
        return self._session.scalars(query.order_by(found.id.desc()).limit(limit)).all()

    def between(self, since_ms: int, until_ms: int, limit: int) -> Sequence[tables.AuditEntry]:
        """Of [since, until), newest first."""
        found = tables.AuditEntry
        query = select(found).where(found.at_ms >= since_ms, found.at_ms < until_ms)
        return self._session.scalars(query.order_by(found.at_ms.desc(), found.id.desc()).limit(limit)).all()

    def forget(self, before_ms: int) -> None:
        self._session.execute(delete(tables.AuditEntry).where(tables.AuditEntry.at_ms < before_ms))
