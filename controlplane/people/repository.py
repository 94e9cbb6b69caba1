"""All SQL of people and of their sessions. Works inside the caller's transaction; `now_ms` is its moment."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.fleet.objects import Meta
from controlplane.fleet.rows import meta_columns
from controlplane.identity.roles import Role


class PeopleRepository:
    def __init__(self, session: Session, now_ms: int) -> None:
        self._session = session
        self._now_ms = now_ms

    def rows(self) -> Sequence[tables.Person]:
        return self._session.scalars(select(tables.Person).order_by(tables.Person.name)).all()

    def row(self, name: str) -> tables.Person | None:
        return self._session.get(tables.Person, name)

    def save(self, name: str, role: Role, meta: Meta) -> None:
        self._session.merge(tables.Person(name=name, role=role.value, **meta_columns(meta)))
        self._session.flush()

    def delete(self, name: str) -> None:
        """The person, and everything that lets somebody in under the name."""
        codes, tokens = tables.SignInCode, tables.ApiToken
        self._session.execute(delete(tables.Session).where(tables.Session.person == name))
        self._session.execute(delete(codes).where(codes.person == name))
        self._session.execute(
            update(tokens).where(tokens.person == name, tokens.revoked_ms.is_(None)).values(revoked_ms=self._now_ms)
        )
        self._session.execute(delete(tables.Person).where(tables.Person.name == name))

    def sessions(self, name: str) -> Sequence[tables.Session]:
        """Those that are good, newest first."""
        found, row = tables.Session, tables.Session.created_ms
        query = select(found).where(found.person == name, found.expires_ms > self._now_ms)
        return self._session.scalars(query.order_by(row.desc())).all()

    def end_sessions(self, name: str, session_id: str) -> bool:
        """All, or the one of this id; whether there was any."""
        query = delete(tables.Session).where(tables.Session.person == name)
        if session_id:
            query = query.where(tables.Session.id == session_id)
        return self._session.execute(query.returning(tables.Session.hash)).first() is not None

    def seen(self, name: str) -> tuple[int | None, int, int]:
        """When the person was last there, good sessions, and API tokens."""
        found, tokens = tables.Session, tables.ApiToken
        good = [found.person == name, found.expires_ms > self._now_ms]
        there, sessions = self._session.execute(select(func.max(found.last_used_ms), func.count()).where(*good)).one()
        kept = [tokens.person == name, tokens.revoked_ms.is_(None)]
        used, count = self._session.execute(select(func.max(tokens.last_used_ms), func.count()).where(*kept)).one()
        return max((moment for moment in (there, used) if moment is not None), default=None), sessions, count
