"""what retention took, table by table

Of before this only the retention of now tells: what it would have taken by now counts as taken. Rows that a shorter
retention took earlier are found missing for as long as records are kept, as they were.
"""

from __future__ import annotations

import json
import time

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_WEEK_MS = 7 * 86_400_000  # kept where nobody wrote settings
_RECORDS = {  # table -> the setting by which it is kept
    "detections": "detections_retention_ms",
    "outcome_counts": "telemetry_retention_ms",
    "camera_health": "telemetry_retention_ms",
    "node_stats": "telemetry_retention_ms",
}


def upgrade() -> None:
    swept = op.create_table(
        "swept",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("before_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_swept")),
    )
    stored, now_ms = op.get_bind().scalar(sa.text("SELECT spec FROM settings WHERE name = 'fleet'")) or {}, _now_ms()
    spec = json.loads(stored) if isinstance(stored, str) else stored
    marks = [{"name": name, "before_ms": now_ms - spec.get(kept, _WEEK_MS)} for name, kept in _RECORDS.items()]
    op.bulk_insert(swept, marks)


def _now_ms() -> int:
    return int(time.time() * 1000)


def downgrade() -> None:
    op.drop_table("swept")
