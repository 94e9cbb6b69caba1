"""All SQL of insights: reads of telemetry rows, bounded in number or in time.

Rows are chosen and ordered by `at_ms`, when something happened by the control plane's clock: a box whose own clock is
wrong must not drop out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from controlplane.db import added
from controlplane.insights.domain import Counts, Latencies, Lost, Window
from controlplane.insights.matching import Place, Wanted
from controlplane.tables import CameraHealth, Detection, Gap, Node, NodeStat, OutcomeCount


@dataclass(frozen=True)
class Only:
    """What to leave in; an empty name leaves all in."""

    node: str = ""
    camera: str = ""
    deployment: str = ""
    nodes: frozenset[str] | None = None  # only of these; None: of any


RecordKey = tuple[str, str, int]  # box, epoch, number: what makes a record that one
_LENGTH = OutcomeCount.end_ms - OutcomeCount.start_ms
_WINDOW = (
    OutcomeCount.at_ms - _LENGTH,
    OutcomeCount.at_ms,
    OutcomeCount.counts,
    OutcomeCount.node_id,
    OutcomeCount.camera,
    OutcomeCount.deployment,
    OutcomeCount.box,
    OutcomeCount.cloud,
    OutcomeCount.uplink_bytes,
    OutcomeCount.stages,
    OutcomeCount.decided,
    OutcomeCount.rung_why,
)


def _window(row: Iterable[Any]) -> Window:
    start, end, counts, node, camera, deployment, box, cloud, *rest = row
    return Window(start, end, counts, node, camera, deployment, Latencies(**box), Latencies(**cloud), *rest)


class InsightsRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def windows(self, only: Only, since_ms: int, until_ms: int) -> list[Window]:
        """All that ended in [since, until), in no order."""
        table = OutcomeCount
        wanted = (*_conditions(table, only), table.at_ms >= since_ms, table.at_ms < until_ms)
        return [_window(row) for row in self._session.execute(select(*_WINDOW).where(*wanted))]

    def stored_since(self, stored_ms: int, since_ms: int) -> dict[RecordKey, Window]:
        """What was stored from `stored_ms` on and ended from `since_ms` on; found by the first: that is less."""
        table = OutcomeCount
        query = select(table.node_id, table.epoch, table.seq + 0, *_WINDOW)
        query = query.where(table.stored_ms >= stored_ms, table.at_ms + 0 >= since_ms)
        return {(node, epoch, seq): _window(rest) for node, epoch, seq, *rest in self._session.execute(query)}

    def counts(self, since_ms: int, until_ms: int) -> list[Counts]:
        """Of all windows that ended in [since, until), what a chart needs: a third of the work of `windows`."""
        table = OutcomeCount
        query = select(table.at_ms - table.end_ms + table.start_ms, table.at_ms, table.counts)
        query = query.where(table.at_ms >= since_ms, table.at_ms < until_ms)
        return [Counts(*row) for row in self._session.execute(query)]

    def more_windows_than(self, most: int, only: Only, since_ms: int, until_ms: int) -> bool:
        table = OutcomeCount
        found = select(table.seq).where(*_conditions(table, only), table.at_ms >= since_ms, table.at_ms < until_ms)
        bounded = found.limit(most + 1).subquery()
        return (self._session.scalar(select(func.count()).select_from(bounded)) or 0) > most

    def detections(self, wanted: Wanted, after: Place | None, limit: int) -> list[Detection]:
        """Newest first, from behind `after` on. Among them are all that `wanted` chooses, and may be others."""
        table = Detection
        order = (table.at_ms, table.node_id, table.epoch, table.seq)
        only = Only(wanted.node, wanted.camera, wanted.deployment)
        query = select(table).where(*_conditions(table, only), *_hints(wanted))
        query = query.where(table.at_ms >= wanted.since_ms, table.at_ms < wanted.until_ms)
        if after is not None:
            behind = tuple_(*order) < tuple_(after.at_ms, after.node, after.epoch, after.seq)
            query = query.where(table.at_ms <= after.at_ms, behind)
        return list(self._session.scalars(query.order_by(*(column.desc() for column in order)).limit(limit)))

    def node_stats(self, node: str, since_ms: int, limit: int) -> list[NodeStat]:
        """Newest first."""
        query = select(NodeStat).where(NodeStat.node_id == node, NodeStat.at_ms >= since_ms)
        return list(self._session.scalars(query.order_by(NodeStat.at_ms.desc()).limit(limit)))

    def latest_stats(self, since_ms: int, node: str = "") -> dict[str, NodeStat]:
        """The newest row of each box, or of one, none older than `since_ms`."""
        its = (NodeStat.node_id == Node.id, NodeStat.at_ms >= since_ms)
        newest = select(func.max(NodeStat.at_ms)).where(*its).correlate(Node).scalar_subquery()
        # box by box along the index: a busy box tells hundreds in that time
        boxes = select(Node.id, newest.label("at_ms")).where(Node.id == node if node else true())
        each = boxes.cte("newest").prefix_with("MATERIALIZED")
        query = select(NodeStat).join(each, (NodeStat.node_id == each.c.id) & (NodeStat.at_ms == each.c.at_ms))
        return {row.node_id: row for row in self._session.scalars(query)}

    def camera_history(self, camera: str, since_ms: int, limit: int) -> list[CameraHealth]:
        """Newest first."""
        query = select(CameraHealth).where(CameraHealth.camera == camera, CameraHealth.at_ms >= since_ms)
        return list(self._session.scalars(query.order_by(CameraHealth.at_ms.desc()).limit(limit)))

    def camera_changes(self, only: Only, since_ms: int, until_ms: int, limit: int) -> list[CameraHealth]:
        """Newest first."""
        table = CameraHealth
        query = select(table).where(table.at_ms >= since_ms, table.at_ms < until_ms)
        query = query.where(*_named((table.node_id, only.node), (table.camera, only.camera)))
        return list(self._session.scalars(query.order_by(table.at_ms.desc()).limit(limit)))

    def gaps(self, only: Only, since_ms: int, until_ms: int, limit: int) -> list[Lost]:
        """One by one, newest first; a Gap that stands for a record counts as one."""
        query = select(Gap).where(Gap.at_ms >= since_ms, Gap.at_ms < until_ms, *_named((Gap.node_id, only.node)))
        return [
            Lost(
                row.node_id, row.record_class, row.reason, row.dropped or int(row.first_seq == row.last_seq), row.at_ms
            )
            for row in self._session.scalars(query.order_by(Gap.at_ms.desc()).limit(limit))
        ]

    def lost(self, since_ms: int, node: str = "") -> list[Lost]:
        """By box, class and reason; what was told last stands first. A Gap that stands for a record counts as one."""
        stands_in = (Gap.dropped == 0) & (Gap.first_seq == Gap.last_seq)
        records, newest = added(case((stands_in, 1), else_=Gap.dropped)), func.max(Gap.at_ms)
        query = select(Gap.node_id, Gap.record_class, Gap.reason, records, newest).where(Gap.at_ms >= since_ms)
        if node:
            query = query.where(Gap.node_id == node)
        query = query.group_by(Gap.node_id, Gap.record_class, Gap.reason).order_by(newest.desc())
        return [Lost(box, kind, why, int(count), at) for box, kind, why, count, at in self._session.execute(query)]


def _conditions(table: type[Detection | OutcomeCount], only: Only) -> list[ColumnElement[bool]]:
    named = _named((table.node_id, only.node), (table.camera, only.camera), (table.deployment, only.deployment))
    return named if only.nodes is None else [*named, table.node_id.in_(sorted(only.nodes))]


def _named(*wanted: tuple[InstrumentedAttribute[str], str]) -> list[ColumnElement[bool]]:
    return [column == name for column, name in wanted if name]


def _hints(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What leaves out most rows without a box that is wanted, and none with one."""
    table = Detection
    words = ((table.labels, wanted.label), (table.zones, wanted.zone))
    found = [or_(column.is_(None), column.contains(word, autoescape=True)) for column, word in words if word]
    if wanted.min_score:
        found.append(or_(table.top_score.is_(None), table.top_score >= wanted.min_score))
    return found
