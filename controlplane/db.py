"""The database: one engine, one transaction per use case, SQLite or PostgreSQL by URL.

`with database.begin() as session:` commits at the end of the block and rolls back when it raises. On SQLite the block
takes the write lock at once (BEGIN IMMEDIATE): one that first reads and then writes can then never fail half-way with
"database is locked", it only waits its turn. `read()` takes no write lock. Vendor errors leave this file translated.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from controlplane.errors import Conflict
from protos.errors import Fatal, Rejected, Retryable

__all__ = ["Database", "Session"]

log = logging.getLogger(__name__)
BUSY_SECONDS = 10  # a writer waits this long for another one: above the longest transaction we have
DISK_FULL = "the database's disk is full"
POOL = 8  # connections kept; as many again under load


class Database:
    """Where sessions come from. Threads may share it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._readers = sessionmaker(
            self.engine.execution_options(longshore_read=True), expire_on_commit=False, autoflush=False
        )

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction that may write.

        Raises:
            Retryable: the database is away, too busy or out of space; nothing was stored.
            Conflict: two writers clashed over the same name.
            Rejected: a value that cannot be stored.
        """
        with _translated(), self._sessions.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads. Raises Retryable."""
        with _translated(), self._readers() as session:
            yield session

    def ping(self) -> None:
        """Raises Retryable when the database is away."""
        with self.read() as session:
            session.execute(sqlalchemy.text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise Conflict("somebody else stored the same at the same moment; look at it and try again") from error
    except (OperationalError, PoolTimeout) as error:
        if disk_full(error):
            raise Retryable(f"{DISK_FULL}; nothing was stored, make room there, then try again", 30.0) from error
        log.warning("the database refused: %s", getattr(error, "orig", error))
        raise Retryable("the database is away or too busy; nothing was stored, try again", 1.0) from error
    except DataError as error:
        raise Rejected("a value in the request is one the database cannot hold; remove odd characters") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Retryable("the connection to the database broke; nothing was stored, try again", 1.0) from error
        raise


def disk_full(error: Exception) -> bool:
    """Did the database find no room on its disk? SQLite's code, or PostgreSQL's SQLSTATE."""
    told = getattr(error, "orig", None)
    return getattr(told, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or getattr(told, "sqlstate", "") == "53100"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        return create_engine(parsed, pool_pre_ping=True, pool_size=POOL, max_overflow=POOL)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise Fatal("the database URL must be sqlite:///path or postgresql+psycopg://user@host/name") from error


def _sqlite(url: sqlalchemy.URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=POOL, max_overflow=POOL, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves; the driver would do it too late
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    reading = connection.get_execution_options().get("longshore_read", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
