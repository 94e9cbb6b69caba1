"""how boxes decided about frames: with their outcomes, and in minutes and hours"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_DECIDED = (
    *("local", "small", "cloud", "hedge", "shed", "looks", "load", "links", "link"),
    *("price_bits", "price_money", "price_joules", "price_grams"),
    *("rung_gpu", "rung_other", "rung_cpu", "rung_cloud", "rung_lower_rate", "rung_nothing"),
)
_STEPS = ("outcome_minutes", "outcome_hours")


def upgrade() -> None:
    """No row is copied: what was stored before has told nothing of it."""
    op.add_column("outcome_counts", sa.Column("decided", sa.JSON(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("outcome_counts", sa.Column("rung_why", sa.Text(), server_default="", nullable=False))
    for table in _STEPS:
        for name in _DECIDED:
            op.add_column(table, sa.Column(f"decided_{name}", sa.BigInteger()))


def downgrade() -> None:
    for table in _STEPS:
        for name in _DECIDED:
            op.drop_column(table, f"decided_{name}")
    op.drop_column("outcome_counts", "rung_why")
    op.drop_column("outcome_counts", "decided")
