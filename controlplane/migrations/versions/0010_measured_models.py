"""measured models"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column alone: a table that is made anew takes along, on SQLite, the files of its releases."""
    op.add_column("releases", sa.Column("measured", sa.JSON(), server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("releases", "measured")
