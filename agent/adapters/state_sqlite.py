"""StateStore on SQLite, one row per key: WAL with synchronous=FULL, so that a returned `put` survives a power cut.

A damaged database is set aside under a name that tells when, and another takes its place; `damaged` then says so, for a
Problem. Found at the start, the new one is empty: the box stays up, and desired state and files come back from the
control plane. Found later, nothing is lost: all values are few and small, and kept in memory beside the file.

The file carries the number of its FORMAT, and one of a newer agent is left alone: 0 is what 0.1.0 wrote. An agent on
trial does not raise it, and writes what the one before reads: that one may have to go on.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.errors import DiskFull
from protos.errors import Fatal, LongshoreError, Retryable

_SCHEMA = "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_PUT = "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
FORMAT = 1  # raised with each change that an older agent would read wrongly
_NOT_A_DATABASE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NOT_OURS = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


class SqliteState:
    """See agent.ports.StateStore. Used by one thread of one process."""

    def __init__(self, path: Path, *, on_trial: bool = False) -> None:
        """Raises Fatal when the file cannot be opened or written, or is of a newer agent."""
        self._path = path
        self._on_trial = on_trial
        self._db: sqlite3.Connection | None = None
        self._values: dict[str, bytes] = {}
        self.damaged: str | None = None
        with self._translated():
            try:
                db = self._database()
            except sqlite3.DatabaseError as error:
                self._set_aside(error)
                db = self._database()
            self._values = dict(db.execute("SELECT key, value FROM state"))

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def put(self, key: str, value: bytes) -> None:
        self._write(_PUT, (key, value))
        self._values[key] = bytes(value)

    def delete(self, key: str) -> None:
        self._write("DELETE FROM state WHERE key = ?", (key,))
        self._values.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self._values if key.startswith(prefix))

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def _write(self, statement: str, values: tuple[str | bytes, ...]) -> None:
        with self._translated():
            try:
                self._database().execute(statement, values)
            except sqlite3.DatabaseError as error:
                self._set_aside(error)
                self._database().execute(statement, values)

    def _database(self) -> sqlite3.Connection:
        """Opened, and filled with what is known, if there is none."""
        if self._db is None:
            self._db = _open(self._path, self._values, on_trial=self._on_trial)
        return self._db

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Make way for another database; raises `error` when it is not about damage."""
        if _code(error) not in _NOT_A_DATABASE:
            raise error
        self.close()  # first: it would take the next one's WAL for its own
        self._db = None
        self.damaged = _renamed(self._path)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translate(error, self._path) from error


def _open(path: Path, values: Mapping[str, bytes], *, on_trial: bool) -> sqlite3.Connection:
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
        _claim(db, path, on_trial=on_trial)
        db.executemany(_PUT, values.items())
    except BaseException:
        db.close()
        raise
    return db


def _claim(db: sqlite3.Connection, path: Path, *, on_trial: bool) -> None:
    """This agent's format from now on. A full disk is no reason not to start."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        raise Fatal(f"{path} was written by a newer agent; start that one again, or join anew in another folder")
    if found < FORMAT and not on_trial:
        with contextlib.suppress(sqlite3.OperationalError):
            db.execute(f"PRAGMA user_version = {FORMAT}")


def _damaged(path: Path) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(f"{path.name} fails its check")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _renamed(path: Path) -> str:
    aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    path.replace(aside)
    for leftover in ("-wal", "-shm"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    return f"{path.name} was damaged and set aside as {aside.name}; what is missing comes anew from the control plane"


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
