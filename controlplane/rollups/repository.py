"""All SQL that writes roll-ups.

What is stored is noted in the same transaction (`note`), and leaves the notes in the transaction that adds it to its
steps (`take`, `add`): whoever dies, and wherever, it is in exactly one of both. Who adds is one at a time; who notes
never waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Table, case, delete, func, insert, select, tuple_
from sqlalchemy.orm import Session

from controlplane.rollups import tables
from controlplane.rollups.domain import CAP, SUMS, Level, Outcomes, SeriesKey, Stat, Stats, added

_LOCK = 4_702_113  # PostgreSQL advisory lock: one rolls up at a time
_LARGEST = ("cpu_max", "memory_max")
_SUMMED = ("samples", "cpu", "memory")
_LAST = ("last_ms", "outbox_waiting", "outbox_dropped")
_SOME = 1_000  # names in one statement


class RollupRepository:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._dialect = session.get_bind().dialect.name

    def note(self, outcomes: Outcomes, stats: Stats) -> None:
        """Minutes of records that this transaction stores, each record once."""
        rows: list[dict[str, Any]] = [
            {"node_id": node, "camera": camera, "deployment": deployment, "start_ms": start_ms, "sums": sums}
            for ((node, camera, deployment), start_ms), sums in outcomes.items()
        ]
        of_boxes = {"camera": None, "deployment": None}
        rows += [
            {"node_id": node, **of_boxes, "start_ms": start_ms, "sums": asdict(stat)}
            for (node, start_ms), stat in stats.items()
        ]
        if rows:
            self._session.execute(insert(tables.UNROLLED), rows)

    def alone(self) -> bool:
        """From here to the end of the transaction nobody else rolls up; False: somebody does."""
        if self._dialect == "sqlite":
            return True  # the write lock is ours
        return bool(self._session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))))

    def take(self, most: int) -> list[Mapping[str, Any]]:
        """The oldest notes, at most so many; they are gone when the transaction ends."""
        table = tables.UNROLLED
        found = self._session.execute(select(table).order_by(table.c.id).limit(most)).mappings().all()
        if found:  # notes with smaller numbers may be on their way: only what was seen goes
            ids = [row["id"] for row in found]
            for first in range(0, len(ids), _SOME):
                self._session.execute(delete(table).where(table.c.id.in_(ids[first : first + _SOME])))
        return [dict(row) for row in found]

    def add_outcomes(self, level: Level, steps: Outcomes) -> None:
        ids = self._series({series for series, _ in steps})
        keyed = {(ids[series], start_ms): sums for (series, start_ms), sums in steps.items()}
        empty = dict.fromkeys(SUMS)
        rows = [
            {**empty, **keyed[series, start_ms], "series": series, "start_ms": start_ms}
            for series, start_ms in sorted(keyed)
        ]
        if rows:
            self._session.execute(_adding_outcomes(level, self._dialect), rows)

    def add_stats(self, level: Level, steps: Stats) -> None:
        rows = [
            {"node_id": node, "start_ms": start_ms, **asdict(steps[node, start_ms])} for node, start_ms in sorted(steps)
        ]
        if rows:
            self._session.execute(_adding_stats(level, self._dialect), rows)

    def forget(self, level: Level, before_ms: int, most: int) -> int:
        """Delete steps that began before, of each table at most so many; how many."""
        gone = 0
        for table in (tables.OUTCOMES[level], tables.STATS[level]):
            name = tuple(table.primary_key.columns)
            old = select(*name).where(table.c.start_ms < before_ms).limit(most)
            gone += self._session.execute(delete(table).where(tuple_(*name).in_(old))).rowcount  # type: ignore[attr-defined]  # of a DELETE it is a CursorResult
        return gone

    def _series(self, keys: set[SeriesKey]) -> dict[SeriesKey, int]:
        """The number of each, made where there is none."""
        known = self._known(keys)
        if missing := sorted(keys - known.keys()):
            made = [dict(zip(("node_id", "camera", "deployment"), key, strict=True)) for key in missing]
            self._session.execute(insert(tables.SERIES), made)
            known |= self._known(set(missing))
        return known

    def _known(self, keys: set[SeriesKey]) -> dict[SeriesKey, int]:
        series, ordered = tables.SERIES.c, sorted(keys)
        found: dict[SeriesKey, int] = {}
        for first in range(0, len(ordered), _SOME):
            some = ordered[first : first + _SOME]
            wanted = tuple_(series.node_id, series.camera, series.deployment).in_(some)
            query = select(series.node_id, series.camera, series.deployment, series.id).where(wanted)
            found |= {
                (node, camera, deployment): each for node, camera, deployment, each in self._session.execute(query)
            }
        return found


@cache
def _adding_outcomes(level: Level, dialect: str) -> Any:
    table = tables.OUTCOMES[level]
    statement = _insert(dialect)(table)
    told = statement.excluded
    sums = {
        name: case((told[name].is_(None), table.c[name]), else_=_sum(func.coalesce(table.c[name], 0), told[name]))
        for name in SUMS
    }
    return statement.on_conflict_do_update(index_elements=["series", "start_ms"], set_=sums)


@cache
def _adding_stats(level: Level, dialect: str) -> Any:
    table = tables.STATS[level]
    statement = _insert(dialect)(table)
    told, stored = statement.excluded, table.c
    newer = tuple_(*(told[name] for name in _LAST)) > tuple_(*(stored[name] for name in _LAST))
    sums = {
        **{name: _sum(stored[name], told[name]) for name in _SUMMED},
        **{name: case((told[name] > stored[name], told[name]), else_=stored[name]) for name in _LARGEST},
        "disk_free_min": case(
            (told.disk_free_min < stored.disk_free_min, told.disk_free_min), else_=stored.disk_free_min
        ),
        **{name: case((newer, told[name]), else_=stored[name]) for name in _LAST},
    }
    return statement.on_conflict_do_update(index_elements=["node_id", "start_ms"], set_=sums)


def _sum(one: Any, other: Any) -> ColumnElement[int]:
    """See domain.added: neither is above CAP, so this never overflows."""
    return case((one + other > CAP, CAP), else_=one + other)


def _insert(dialect: str) -> Callable[[Table], Any]:
    """See controlplane.ingest.repository."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert
    from sqlalchemy.dialects import postgresql

    return postgresql.insert


def read(notes: Iterable[Mapping[str, Any]]) -> tuple[Outcomes, Stats]:
    """What notes say, put together."""
    outcomes: Outcomes = {}
    stats: Stats = {}
    for note in notes:
        if note["camera"] is None:
            at, told = (note["node_id"], note["start_ms"]), Stat(**note["sums"])
            stats[at] = stats[at].plus(told) if at in stats else told
        else:
            key = (note["node_id"], note["camera"], note["deployment"]), note["start_ms"]
            outcomes[key] = added(outcomes.get(key, {}), note["sums"])
    return outcomes, stats
