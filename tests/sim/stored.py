"""The oracle of telemetry: what of a box, or of an epoch of it, lies in the database."""

from __future__ import annotations

from sqlalchemy import and_, func, or_, select

from controlplane.db import Database
from controlplane.tables import CameraHealth, Detection, Epoch, Gap, NodeStat, OutcomeCount


def stored(database: Database, node: str, epoch: str = "") -> tuple[int, int]:
    """Rows, and the records declared dropped, as Gaps tell it: two parts of what was accepted. `epoch`: of it alone."""
    rows = 0
    with database.read() as session:
        for table in (Detection, OutcomeCount, CameraHealth, NodeStat, Gap):
            counted = select(func.count()).select_from(table).where(table.node_id == node)
            counted = counted.where(table.epoch == epoch) if epoch else counted
            rows += session.scalar(counted) or 0
        its = or_(Gap.gap_epoch == epoch, and_(Gap.gap_epoch == "", Gap.epoch == epoch))
        dropped = select(func.coalesce(func.sum(Gap.dropped), 0)).where(Gap.node_id == node)
        dropped = dropped.where(its) if epoch else dropped
        return rows, int(session.scalar(dropped) or 0)


def books(database: Database, node: str, epoch: str) -> Epoch:
    """What ingest itself counted of it."""
    with database.read() as session:
        return session.get_one(Epoch, (node, epoch))
