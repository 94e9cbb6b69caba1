"""books of telemetry"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_RECORDS = ("detections", "outcome_counts", "camera_health", "node_stats", "gaps")


def upgrade() -> None:
    for table in _RECORDS:
        op.add_column(table, sa.Column("digest", sa.BigInteger(), nullable=True))
    op.add_column("gaps", sa.Column("gap_epoch", sa.String(length=64), server_default="", nullable=False))
    op.add_column("gaps", sa.Column("lower_bound", sa.Boolean(), server_default=sa.false(), nullable=False))
    _epochs()
    _starts()
    _conflicts()


def _epochs() -> None:
    counts = (
        "up_to",
        "stored",
        "dropped",
        "told_accepted",
        "told_waiting",
        "told_dropped",
        "told_oldest_ms",
        "told_ms",
    )
    op.create_table(
        "epochs",
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("record_class", sa.String(length=16), nullable=False),
        sa.Column("start", sa.String(length=64), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("beyond", sa.JSON(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.PrimaryKeyConstraint("node_id", "epoch", name=op.f("pk_epochs")),
    )
    op.create_index(op.f("ix_epochs_last_ms"), "epochs", ["last_ms"])


def _starts() -> None:
    op.create_table(
        "agent_starts",
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("start", sa.String(length=64), nullable=False),
        sa.Column("before", sa.String(length=64), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "start", name=op.f("pk_agent_starts")),
    )
    op.create_index(op.f("ix_agent_starts_node_id_before"), "agent_starts", ["node_id", "before"])


def _conflicts() -> None:
    op.create_table(
        "record_conflicts",
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "epoch", "seq", "digest", name=op.f("pk_record_conflicts")),
    )
    op.create_index(op.f("ix_record_conflicts_last_ms"), "record_conflicts", ["last_ms"])


def downgrade() -> None:
    for table in ("record_conflicts", "agent_starts", "epochs"):
        op.drop_table(table)
    op.drop_column("gaps", "lower_bound")
    op.drop_column("gaps", "gap_epoch")
    for table in _RECORDS:
        op.drop_column(table, "digest")
