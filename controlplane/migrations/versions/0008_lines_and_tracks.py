"""lines and tracks"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (("cameras", "lines"), ("detections", "happened")):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column(column, sa.JSON(), server_default=sa.text("'[]'"), nullable=False))


def downgrade() -> None:
    for table, column in (("detections", "happened"), ("cameras", "lines")):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column(column)
