"""The oracle of telemetry: what of an epoch of a box lies in the database."""

from __future__ import annotations

from sqlalchemy import func, select

from controlplane.db import Database
from controlplane.tables import CameraHealth, Detection, Gap, NodeStat, OutcomeCount


def stored(database: Database, node: str, epoch: str = "") -> tuple[int, int]:
    """Rows, and the records declared dropped: two parts of what the box accepted. `epoch`: of this one alone."""
    rows = 0
    with database.read() as session:
        for table in (Detection, OutcomeCount, CameraHealth, NodeStat, Gap):
            counted = select(func.count()).select_from(table).where(table.node_id == node)
            counted = counted.where(table.epoch == epoch) if epoch else counted
            rows += session.scalar(counted) or 0
        dropped = select(func.coalesce(func.sum(Gap.dropped), 0)).where(Gap.node_id == node)
        dropped = dropped.where(Gap.epoch == epoch) if epoch else dropped
        return rows, int(session.scalar(dropped) or 0)
