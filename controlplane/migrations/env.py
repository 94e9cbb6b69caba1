"""Run by Alembic for each migration; the connection comes from `migrate`, never from a file."""

from __future__ import annotations

from alembic import context

from controlplane.rollups import tables as _rollups  # noqa: F401 - see migrate
from controlplane.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite cannot alter most of a table in place
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
