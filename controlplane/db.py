"""The database: one engine, one transaction per use case, SQLite or PostgreSQL by URL.

`with database.begin() as session:` commits at the end of the block and rolls back when it raises. On SQLite the block
takes the write lock at once (BEGIN IMMEDIATE): one that first reads and then writes can then never fail half-way with
"database is locked", it only waits its turn. SQLite itself knows no turns: who waits sleeps and tries again, and under
load some always come too late. So threads of one process queue here, first come, first served, without a connection;
SQLite's own patience is for other processes. `read()` takes no write lock. Vendor errors leave this file translated.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy import BigInteger, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.functions import FunctionElement

from controlplane.errors import Conflict
from protos.errors import Fatal, Rejected, Retryable

__all__ = ["Database", "Session", "added"]

log = logging.getLogger(__name__)
BUSY_SECONDS = 10  # a writer waits this long for another process: above the longest transaction we have
TURN_SECONDS = 60.0  # and this long for others of this process: above what all of its threads together take
DISK_FULL = "the database's disk is full"
PLAIN = "-c jit=off"  # questions over many parts take a tenth of a second, and compiling them as long again
POOL = 8  # connections kept; as many again under load


class Database:
    """Where sessions come from. Threads may share it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self._turns: Turns | None = None if self.shared else Turns()
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
        turn = nullcontext() if self._turns is None else self._turns
        with turn, _translated(), self._sessions.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads. Raises Retryable."""
        with _translated(), self._readers() as session:
            yield session

    @property
    def shared(self) -> bool:
        """May other control planes use it, with state folders of their own?"""
        return self.engine.dialect.name != "sqlite"

    def ping(self) -> None:
        """Raises Retryable when the database is away."""
        with self.read() as session:
            session.execute(sqlalchemy.text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()


class Turns:
    """A lock that threads get in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[threading.Event] = deque()  # the first has it
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many have it or wait."""
        return len(self._waiting)

    def __enter__(self) -> None:
        """Raises Retryable after TURN_SECONDS."""
        mine = threading.Event()
        with self._lock:
            self._waiting.append(mine)
            if self._waiting[0] is mine:
                return
        if not mine.wait(TURN_SECONDS):
            self._leave(mine)
            raise Retryable("too much is being stored at once; nothing of this was, try again", 1.0)

    def __exit__(self, *_: object) -> None:
        self._leave(self._waiting[0])

    def _leave(self, mine: threading.Event) -> None:
        with self._lock:
            self._waiting.remove(mine)
            if self._waiting:
                self._waiting[0].set()


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


class added(FunctionElement[int]):  # noqa: N801 - a function of SQL
    """The sum of a column, however large: of PostgreSQL's an integer of any length, of SQLite's a float, which is exact
    below 2^53, where its own sum gives up beyond 63 bits. One box with absurd numbers must not close the pages of all.
    """

    name = "added"
    type = BigInteger()
    inherit_cache = True


@compiles(added)
def _sum(element: added, compiler: Any, **options: Any) -> str:
    return f"sum({compiler.process(element.clauses, **options)})"


@compiles(added, "sqlite")
def _total(element: added, compiler: Any, **options: Any) -> str:
    return f"total({compiler.process(element.clauses, **options)})"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        pool = {"pool_size": POOL, "max_overflow": POOL}
        parsed = parsed.update_query_dict({"options": f"{PLAIN} {parsed.query.get('options', '')}".rstrip()})
        return create_engine(parsed, pool_pre_ping=True, json_deserializer=_from_json, **pool)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise Fatal("the database URL must be sqlite:///path or postgresql+psycopg://user@host/name") from error


def _from_json(text: str | bytes) -> Any:
    """A fleet of a thousand is thousands of small documents at each look: msgspec reads them in a fifth of the time."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # NaN, which only the standard library takes
        return json.loads(text)


def _sqlite(url: sqlalchemy.URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    pool, busy = {"pool_size": POOL, "max_overflow": POOL}, {"timeout": BUSY_SECONDS}
    engine = create_engine(url, json_deserializer=_from_json, connect_args=busy, **pool)
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
