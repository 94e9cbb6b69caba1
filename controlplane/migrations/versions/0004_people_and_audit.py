"""people and audit"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=63), nullable=False),
        sa.Column("via", sa.String(length=63), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("object", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at_ms"), "audit", ["at_ms"])
    op.create_table(
        "people",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("annotations", sa.JSON(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("resource_version", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_people")),
    )
    # Whoever could come in until now could do everything, and so is the first person.
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("person", sa.String(length=63), nullable=True))
        batch_op.add_column(sa.Column("role", sa.String(length=16), server_default="admin", nullable=False))
        batch_op.create_index(batch_op.f("ix_api_tokens_person"), ["person"])
    op.execute("UPDATE api_tokens SET person = 'admin'")
    with op.batch_alter_table("sign_in_codes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("person", sa.String(length=63), server_default="admin", nullable=False))
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("id", sa.String(length=32), server_default="", nullable=False))
        batch_op.add_column(sa.Column("person", sa.String(length=63), server_default="admin", nullable=False))
        batch_op.add_column(sa.Column("browser", sa.String(length=120), server_default="", nullable=False))
        batch_op.add_column(sa.Column("last_used_ms", sa.BigInteger(), nullable=True))
        batch_op.create_index(batch_op.f("ix_sessions_person"), ["person"])


def downgrade() -> None:
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sessions_person"))
        for name in ("last_used_ms", "browser", "person", "id"):
            batch_op.drop_column(name)
    with op.batch_alter_table("sign_in_codes", schema=None) as batch_op:
        batch_op.drop_column("person")
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_tokens_person"))
        batch_op.drop_column("role")
        batch_op.drop_column("person")
    op.drop_table("people")
    op.drop_index(op.f("ix_audit_at_ms"), table_name="audit")
    op.drop_table("audit")
