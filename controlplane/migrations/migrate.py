"""Bring a database to the newest version. Safe to call at every start and from several processes at once.

An empty database is made from `tables` as they are now and marked with the newest version; an older one goes through
each migration by Alembic. A test proves that both end at the same. Alembic takes half a second to import, so that
happens only when there is something to migrate.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from controlplane.db import DISK_FULL, Database, disk_full
from controlplane.partitions.domain import PARTED
from controlplane.partitions.repository import default_part
from controlplane.rollups import tables as _rollups  # noqa: F401 - they are of Base's metadata once this is read
from controlplane.tables import Base
from protos.errors import Fatal, Retryable

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent
_LOCK = 4_702_111  # PostgreSQL advisory lock: two processes must not migrate at once
_FILE = re.compile(r"(\d{4})_\w+\.py")


def head() -> str:
    """The newest version, by file name."""
    found = [match[1] for path in (FOLDER / "versions").iterdir() if (match := _FILE.fullmatch(path.name))]
    return max(found)


def migrate(database: Database) -> None:
    """Raises Fatal when the database is of a newer Longshore, Retryable when it is away or has no room."""
    try:
        with database.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            current = _current(connection)
            if current is not None and current > head():
                raise Fatal(f"the database is at version {current} of a newer Longshore; start that one, or restore")
            if current is None:
                _create(connection)
            elif current != head():
                upgrade(connection)
    except OperationalError as error:
        if disk_full(error):
            raise Retryable(f"{DISK_FULL}; make room there, then start again") from error
        raise Retryable("the database does not answer; see that it runs and that --database-url is right") from error
    except DBAPIError as error:
        raise Fatal("the database could not be brought to this version; look at its log, or restore it") from error


def _current(connection: Connection) -> str | None:
    if not sqlalchemy.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version"))
    return found


def _create(connection: Connection) -> None:
    Base.metadata.create_all(connection)
    if connection.dialect.name == "postgresql":
        for table in PARTED:
            connection.execute(sqlalchemy.text(default_part(table)))
    connection.execute(sqlalchemy.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(sqlalchemy.text("INSERT INTO alembic_version VALUES (:head)"), {"head": head()})


def upgrade(connection: Connection) -> None:
    """Every migration that is missing, one after the other."""
    from alembic import command

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for one open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    return config
