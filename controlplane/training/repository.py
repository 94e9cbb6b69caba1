"""All SQL of training. Each method works inside the caller's transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.fleet.objects import Condition
from controlplane.fleet.rows import meta, meta_columns
from controlplane.training.domain import FINISHED, Phase, Run
from controlplane.training.progress import Progress
from protos.ids import ModelName, Version

_FINISHED = sorted(FINISHED)


class RunRepository:
    """Lives inside one transaction of `Database`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> Run | None:
        row = self._session.get(tables.Run, name)
        return _run(row) if row else None

    def all(self) -> list[Run]:
        """Oldest first."""
        query = select(tables.Run).order_by(tables.Run.created_ms, tables.Run.name)
        return [_run(row) for row in self._session.scalars(query)]

    def unfinished(self) -> list[Run]:
        """Oldest first."""
        query = select(tables.Run).where(tables.Run.phase.not_in(_FINISHED))
        return [_run(row) for row in self._session.scalars(query.order_by(tables.Run.created_ms, tables.Run.name))]

    def add(self, run: Run) -> None:
        """Raises Conflict, when the block ends, where the name is taken."""
        self._session.add(tables.Run(name=run.name, **_columns(run)))
        self._session.flush()

    def replace(self, before: Run, after: Run) -> bool:
        """Store `after` where `before` still stands; False: somebody else was first, and nothing is stored."""
        query = update(tables.Run).where(
            tables.Run.name == before.name,
            tables.Run.uid == before.meta.uid,
            tables.Run.resource_version == before.meta.resource_version,
        )
        return bool(self._session.execute(query.values(**_columns(after))).rowcount)  # type: ignore[attr-defined]  # of an UPDATE

    def note(self, run: Run, progress: Progress) -> None:
        """How far it is: no change of the object, so that it stands in nobody's way."""
        query = update(tables.Run).where(tables.Run.name == run.name, tables.Run.uid == run.meta.uid)
        self._session.execute(query.values(progress=_plain(progress)))

    def delete(self, name: str) -> None:
        self._session.execute(delete(tables.Run).where(tables.Run.name == name))

    def versions_of(self, model: ModelName) -> set[str]:
        """Every version that a release has or had, or that an unfinished Run will give its release."""
        queries = (
            select(tables.Release.version).where(tables.Release.model == model),
            select(tables.DeletedRelease.version).where(tables.DeletedRelease.model == model),
            select(tables.Run.version).where(tables.Run.model == model, tables.Run.phase.not_in(_FINISHED)),
        )
        return {version for query in queries for version in self._session.scalars(query)}


def _columns(run: Run) -> dict[str, Any]:
    plain = {name: getattr(run, name) for name in _SAME}
    return {
        **plain,
        **meta_columns(run.meta),
        "settings": dict(run.settings),
        "phase": run.phase.value,
        "conditions": [_plain(each) for each in run.conditions],
        "progress": _plain(run.progress),
    }


_SAME = ("recipe", "model", "version", "attempt", "killed", "started_ms", "ended_ms", "release", "kept")


def _plain(value: Condition | Progress) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _run(row: tables.Run) -> Run:
    return Run(
        name=row.name,
        meta=meta(row),
        recipe=row.recipe,
        model=ModelName(row.model),
        version=Version(row.version),
        settings=row.settings,
        phase=Phase(row.phase),
        attempt=row.attempt,
        killed=row.killed,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        conditions=tuple(msgspec.convert(each, Condition) for each in row.conditions),
        progress=msgspec.convert(row.progress, Progress),
        release=row.release,
        kept=row.kept,
    )
