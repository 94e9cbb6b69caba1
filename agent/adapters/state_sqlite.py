"""StateStore on SQLite, one row per key: WAL with synchronous=FULL, so that a returned `put` survives a power cut.

A damaged database is set aside under a name that tells when, and an empty one takes its place: the box stays up, and
desired state and files come back from the control plane. `damaged` then says so, for a Problem.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from agent.errors import DiskFull
from protos.errors import Fatal, LongshoreError, Retryable

_SCHEMA = "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_NOT_A_DATABASE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NOT_OURS = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


class SqliteState:
    """See agent.ports.StateStore. Used by one thread of one process."""

    def __init__(self, path: Path) -> None:
        """Raises Fatal when the file cannot be opened or written."""
        self._path = path
        self.damaged: str | None = None
        with self._translated():
            try:
                self._db = _open(path)
            except sqlite3.DatabaseError as error:
                if _code(error) not in _NOT_A_DATABASE:
                    raise
                self.damaged = _set_aside(path)
                self._db = _open(path)

    def get(self, key: str) -> bytes | None:
        with self._translated():
            row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row else None

    def put(self, key: str, value: bytes) -> None:
        with self._translated():
            self._db.execute(
                "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
            )

    def delete(self, key: str) -> None:
        with self._translated():
            self._db.execute("DELETE FROM state WHERE key = ?", (key,))

    def keys(self, prefix: str) -> list[str]:
        with self._translated():
            rows = self._db.execute("SELECT key FROM state ORDER BY key").fetchall()
        return [key for (key,) in rows if key.startswith(prefix)]

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translate(error, self._path) from error


def _open(path: Path) -> sqlite3.Connection:
    # isolation_level None: each statement is its own durable transaction.
    db = sqlite3.connect(path, isolation_level=None, timeout=2.0)
    try:
        # One process owns the file. Its WAL index then lives in memory, not in a -shm file: a box whose disk is full
        # can still start and answer from what it has.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 1048576")
        db.execute(_SCHEMA)
        if db.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise _damaged(path)
    except BaseException:
        db.close()
        raise
    return db


def _damaged(path: Path) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(f"{path.name} fails its check")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _set_aside(path: Path) -> str:
    aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    path.replace(aside)
    for leftover in ("-wal", "-shm"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    return f"{path.name} was damaged and set aside as {aside.name}; desired state comes anew from the control plane"


def _code(error: sqlite3.Error) -> int:
    """The primary result code; extended codes carry detail in the higher bytes."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _translate(error: sqlite3.Error, path: Path) -> LongshoreError:
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"no space left for {path}; free some and it goes on by itself")
    if code in _NOT_OURS:
        return Fatal(f"{path} cannot be written ({error}); give the agent's user the state directory")
    return Retryable(f"{path.name}: {error}")
