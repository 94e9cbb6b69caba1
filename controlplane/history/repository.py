"""All SQL of history: minutes and hours added up by the database, and records read on from where a page ended.

Times are `at_ms` of records and starts of steps, by the control plane's clock. What is read for a file is read in
pages, each in a transaction of its own: whoever reads slowly holds up nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, func, select, tuple_
from sqlalchemy.orm import Session

from controlplane.db import added
from controlplane.history.domain import sums_of
from controlplane.insights.domain import Span, Sums
from controlplane.insights.repository import Only
from controlplane.rollups import tables as rolled
from controlplane.rollups.domain import ALL_CAMERAS, SUMS, Level, Stat
from controlplane.tables import Base, NodeStat

Row = Mapping[str, Any]
_OF = {"node": rolled.SERIES.c.node_id, "camera": rolled.SERIES.c.camera, "deployment": rolled.SERIES.c.deployment}
_STAT = tuple(each.name for each in fields(Stat))


@dataclass(frozen=True)
class Summed:
    """What the frames of a step came to. `whose`: by what they were asked for, in that order."""

    whose: tuple[str, ...]
    start_ms: int
    sums: Sums


class HistoryRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def series(self, only: Only, *, cameras: bool) -> int:
        """How many there are: of cameras, or of boxes."""
        counted = select(func.count()).select_from(rolled.SERIES).where(*_series(only, cameras=cameras))
        return self._session.scalar(counted) or 0

    def summed(
        self,
        level: Level,
        only: Only,
        span: Span,
        by: Sequence[str] = (),
        *,
        columns: Sequence[str] = SUMS,
        stepped: bool = True,
    ) -> list[Summed]:
        """In order of time. `stepped`: one for each step of `span`, else one for all of it; of `columns` alone.

        Rows of all cameras of a box are read where no camera is asked for: a tenth of them.
        """
        table, series, names = rolled.OUTCOMES[level], rolled.SERIES, [_OF[word] for word in by]
        start = table.c.start_ms
        step = start - (start - span.since_ms) % span.step_ms if stepped else func.min(start)
        query = select(*names, step.label("step"), *(added(table.c[name]).label(name) for name in columns))
        query = query.join_from(table, series, table.c.series == series.c.id)
        query = query.where(start >= span.since_ms, start < span.until_ms)
        query = query.where(*_series(only, cameras="camera" in by or bool(only.camera)))
        query = query.group_by(*names, *([step] if stepped else [])).order_by("step")
        found = self._session.execute(query).all() if stepped or names else self._session.execute(query).fetchmany(1)
        return [
            Summed(tuple(row[: len(names)]), row.step, sums_of(dict(zip(columns, row[len(names) + 1 :], strict=True))))
            for row in found
            if row.step is not None
        ]

    def stats(self, level: Level, only: Only, since_ms: int, until_ms: int, limit: int) -> list[tuple[str, int, Stat]]:
        """What boxes spent: box, start of the step, in no order."""
        table = rolled.STATS[level]
        query = select(table.c.node_id, table.c.start_ms, *(table.c[name] for name in _STAT))
        query = query.where(*_boxes(table, only), table.c.start_ms >= since_ms, table.c.start_ms < until_ms)
        return [(node, start, Stat(*told)) for node, start, *told in self._session.execute(query.limit(limit))]

    def raw_stats(self, only: Only, since_ms: int, until_ms: int, limit: int) -> list[dict[str, Any]]:
        table = NodeStat.__table__
        query = select(table).where(*_boxes(table, only), table.c.at_ms >= since_ms, table.c.at_ms < until_ms)  # type: ignore[arg-type]  # it is a Table
        return [dict(row) for row in self._session.execute(query.limit(limit)).mappings()]

    # ---- pages of a file ----

    def records(
        self, record: type[Base], only: Only, since_ms: int, until_ms: int, after: Row | None, most: int
    ) -> list[Row]:
        """From behind `after` on, oldest first."""
        table: Table = record.__table__  # type: ignore[assignment]  # a mapped class has a Table
        order = tuple(table.c[name] for name in ("at_ms", "node_id", "epoch", "seq"))
        query = select(table).where(*_named(table, only), table.c.at_ms >= since_ms, table.c.at_ms < until_ms)
        return self._page(query, order, after, most)

    def outcome_steps(
        self, level: Level, only: Only, since_ms: int, until_ms: int, after: Row | None, most: int
    ) -> list[Row]:
        table, series = rolled.OUTCOMES[level], rolled.SERIES
        of = (series.c.node_id, series.c.camera, series.c.deployment)
        query = select(table, *of).join_from(table, series, table.c.series == series.c.id)
        query = query.where(*_series(only, cameras=True), table.c.start_ms >= since_ms, table.c.start_ms < until_ms)
        return self._page(query, (table.c.start_ms, table.c.series), after, most)

    def stat_steps(
        self, level: Level, only: Only, since_ms: int, until_ms: int, after: Row | None, most: int
    ) -> list[Row]:
        table = rolled.STATS[level]
        query = select(table).where(*_boxes(table, only), table.c.start_ms >= since_ms, table.c.start_ms < until_ms)
        return self._page(query, (table.c.start_ms, table.c.node_id), after, most)

    def _page(
        self, query: Select[Any], order: tuple[ColumnElement[Any], ...], after: Row | None, most: int
    ) -> list[Row]:
        if after is not None:
            place = [after[str(column.name)] for column in order]
            query = query.where(order[0] >= place[0], tuple_(*order) > tuple_(*place))
        return [dict(row) for row in self._session.execute(query.order_by(*order).limit(most)).mappings()]


def _series(only: Only, *, cameras: bool) -> list[ColumnElement[bool]]:
    columns = rolled.SERIES.c
    named = [column == name for column, name in ((columns.deployment, only.deployment),) if name]
    camera = columns.camera == only.camera if only.camera else columns.camera != ALL_CAMERAS
    return [*_boxes(rolled.SERIES, only), *named, camera if cameras else columns.camera == ALL_CAMERAS]


def _boxes(table: Table, only: Only) -> list[ColumnElement[bool]]:
    named = [table.c.node_id == only.node] if only.node else []
    return named if only.nodes is None else [*named, table.c.node_id.in_(sorted(only.nodes))]


def _named(table: Table, only: Only) -> list[ColumnElement[bool]]:
    """What a table has no column for is not asked of it."""
    wanted = (("camera", only.camera), ("deployment", only.deployment))
    return [*_boxes(table, only), *(table.c[name] == word for name, word in wanted if word and name in table.c)]
