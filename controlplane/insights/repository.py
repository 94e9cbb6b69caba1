"""All SQL of insights: reads of telemetry rows, bounded."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from controlplane.insights.domain import Window
from controlplane.tables import CameraHealth, Detection, Gap, NodeStat, OutcomeCount

MAX_WINDOWS = 200_000  # rows one question may read: a day of six cameras


@dataclass(frozen=True)
class Only:
    """What to leave in; an empty name leaves all in."""

    node: str = ""
    camera: str = ""
    deployment: str = ""


class InsightsRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def windows(self, only: Only, since_ms: int, until_ms: int) -> list[Window]:
        """Those that ended in [since, until), newest MAX_WINDOWS of them, in no order."""
        table = OutcomeCount
        columns = (table.node_id, table.camera, table.deployment, table.start_ms, table.end_ms, table.counts)
        figures = (table.latency_p50_seconds, table.latency_p95_seconds, table.uplink_bytes)
        query = select(*columns, *figures).where(table.end_ms >= since_ms, table.end_ms < until_ms)
        query = query.where(*_conditions(table, only)).order_by(table.end_ms.desc()).limit(MAX_WINDOWS)
        return [Window(*row) for row in self._session.execute(query)]

    def detections(self, only: Only, since_ms: int, limit: int) -> list[Detection]:
        """Newest first."""
        query = select(Detection).where(*_conditions(Detection, only))
        query = query.where(Detection.captured_unix_ns >= since_ms * 1_000_000)
        return list(self._session.scalars(query.order_by(Detection.captured_unix_ns.desc()).limit(limit)))

    def node_stats(self, node: str, since_ms: int, limit: int) -> list[NodeStat]:
        """Newest first."""
        query = select(NodeStat).where(NodeStat.node_id == node, NodeStat.at_ms >= since_ms)
        return list(self._session.scalars(query.order_by(NodeStat.at_ms.desc()).limit(limit)))

    def latest_stats(self, since_ms: int) -> dict[str, NodeStat]:
        """The newest row of each box, none older than `since_ms`."""
        newest = select(NodeStat.node_id, func.max(NodeStat.at_ms).label("at_ms")).where(NodeStat.at_ms >= since_ms)
        grouped = newest.group_by(NodeStat.node_id).subquery()
        query = select(NodeStat).join(
            grouped, (NodeStat.node_id == grouped.c.node_id) & (NodeStat.at_ms == grouped.c.at_ms)
        )
        return {row.node_id: row for row in self._session.scalars(query)}

    def camera_history(self, camera: str, since_ms: int, limit: int) -> list[CameraHealth]:
        """Newest first."""
        query = select(CameraHealth).where(CameraHealth.camera == camera, CameraHealth.at_ms >= since_ms)
        return list(self._session.scalars(query.order_by(CameraHealth.at_ms.desc()).limit(limit)))

    def stored(self, node: str, epoch: str) -> tuple[int, int]:
        """Rows of an epoch of a box, and the records it declared dropped."""
        rows = 0
        for table in (Detection, OutcomeCount, CameraHealth, NodeStat, Gap):
            counted = select(func.count()).select_from(table).where(table.node_id == node, table.epoch == epoch)
            rows += self._session.scalar(counted) or 0
        dropped = select(func.coalesce(func.sum(Gap.dropped), 0)).where(Gap.node_id == node, Gap.epoch == epoch)
        return rows, int(self._session.scalar(dropped) or 0)


def _conditions(table: type[Detection | OutcomeCount], only: Only) -> list[ColumnElement[bool]]:
    wanted = ((table.node_id, only.node), (table.camera, only.camera), (table.deployment, only.deployment))
    return [column == name for column, name in wanted if name]
