"""The outbox's SQLite file: one transaction per `apply`. Used by the writer thread of `outbox_sqlite` only.

An fsync is what telemetry costs most on a memory card, so a transaction that changes nothing writes nothing, and what
the control plane has stored is deleted with the next records that are kept, or when nothing else comes.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from agent.telemetry import outbox
from agent.telemetry.books import Books, Bounds, Held
from agent.telemetry.outbox import Taken
from agent.telemetry.records import MAX_SEQ, Draft, RecordClass, SeqRange, Waiting

PAGE_BYTES = 4096
MIN_PAGES = 64  # below it not even the schema and a Gap fit
BODY_SHARE = 0.6  # of the file that bodies may fill; the rest is pages half full, the index, what a commit needs
WAL_PAGES = 256  # the log beside the file is folded in from this length on: 1 MiB
SPARE_PAGES = 64  # that stay in an empty file for the next records; giving each one back would be a write of its own

_SCHEMA = """
CREATE TABLE waiting (class INTEGER, seq INTEGER, body BLOB NOT NULL, PRIMARY KEY (class, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE books (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, last_seq INTEGER NOT NULL,
                    state BLOB NOT NULL) STRICT;
"""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

log = logging.getLogger(__name__)


_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]


class _State(msgspec.Struct):
    """What of the books stands in a row beside last_seq; class number -> value."""

    dropped: dict[int, _Number] = {}
    sent_up_to: dict[int, _Number] = {}


@dataclass
class Work:
    """What one transaction does, in this order: forget, declare what was lost, accept, take."""

    drafts: list[Draft] = field(default_factory=list)
    forgotten: list[SeqRange] = field(default_factory=list)
    takes: list[tuple[int, int]] = field(default_factory=list)  # most rows, most bytes
    lost: Counter[tuple[RecordClass, str]] = field(default_factory=Counter)  # class and reason -> records
    at_once: bool = False  # somebody waits until all of it is durable

    @property
    def empty(self) -> bool:
        return not (self.drafts or self.forgotten or self.takes or self.lost)

    @property
    def patient(self) -> bool:
        """Deleting what it forgets may wait. What is empty was made because nothing else came."""
        return not (self.drafts or self.lost or self.at_once or self.empty)


@dataclass
class _Limbo:
    """A transaction whose commit failed: it may be in the file all the same."""

    work: Work
    before: int  # last_seq without it
    after: int  # last_seq with it
    reason: str


class SqliteRows:
    """See agent.telemetry.outbox.Rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def insert(self, record_class: RecordClass, seq: int, body: bytes) -> None:
        self._execute("INSERT INTO waiting VALUES (?, ?, ?)", (int(record_class), seq, body))

    def after(self, record_class: RecordClass, seq: int, limit: int) -> list[Waiting]:
        found = self._execute(
            "SELECT seq, body FROM waiting WHERE class = ? AND seq > ? ORDER BY seq LIMIT ?",
            (int(record_class), seq, max(limit, 0)),
        )
        return [Waiting(record_class, number, body) for number, body in found]

    def remove(self, record_class: RecordClass, first: int, last: int) -> tuple[int, int]:
        where, values = "class = ? AND seq BETWEEN ? AND ?", (int(record_class), first, last)
        counted = self._execute(f"SELECT count(*), coalesce(sum(length(body)), 0) FROM waiting WHERE {where}", values)  # noqa: S608
        rows, body_bytes = counted.fetchone()
        if rows:
            self._execute(f"DELETE FROM waiting WHERE {where}", values)  # noqa: S608 - no value stands in the text
        return rows, body_bytes


class OutboxFile:
    """Open when first needed, and again after a failure. Raises sqlite3.Error and OSError only.

    What a failed `apply` could not write is remembered, and declared by the next one that works. Content that can't be
    read is damage like any other: pages that contradict each other, books that are none, a class of a newer agent.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.books = Books()
        self.epoch = ""
        self._pages, self._bounds = _bounds(max_bytes)
        self._resized = False
        self._cursor: dict[RecordClass, int] = {}
        self._connection: sqlite3.Connection | None = None
        self._owed = Work()
        self._limbo: _Limbo | None = None
        self._damaged = False
        self._checked = False  # once per process: reading all pages takes a while

    @property
    def owes(self) -> bool:
        """Something is still to be written although nobody asks."""
        return self._limbo is not None or not self._owed.empty

    def bound(self, max_bytes: int) -> None:
        """Keep within so many bytes from the next `apply` on."""
        pages, self._bounds = _bounds(max_bytes)
        self._resized, self._pages = self._resized or pages != self._pages, pages

    def owe(self, work: Work, reason: str) -> None:
        """`work` will not be written: count its records as lost, keep the rest for the next `apply`."""
        self._owed.forgotten.extend(work.forgotten)
        self._owed.lost.update(work.lost)
        self._owed.lost.update((draft.record_class, reason) for draft in work.drafts)

    def apply(self, work: Work) -> list[Taken]:
        """Do all of `work` and return what was taken, or do nothing of it and raise."""
        try:
            connection = self._connection or self._open()
        except (sqlite3.Error, OSError) as error:
            self.owe(work, str(error))
            raise
        books, cursor = self.books.copy(), dict(self._cursor)
        patient = work.patient and not self._owed.lost
        try:
            connection.execute("BEGIN IMMEDIATE")
            rows = SqliteRows(connection)
            if not patient:
                self._write(rows, books, work)
            taken = [Taken(self.epoch, tuple(outbox.take(rows, books, cursor, *most))) for most in work.takes]
            _save(connection, books)
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._limbo = _Limbo(work, self.books.last_seq, books.last_seq, str(error))
            self._damaged = _is_damage(error)
            self.close()
            raise
        self.books, self._cursor = books, cursor
        self._owed = Work(forgotten=[*self._owed.forgotten, *work.forgotten]) if patient else Work()
        self._shrink(connection)
        self._resize(connection)
        return taken

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self, rows: SqliteRows, books: Books, work: Work) -> None:
        outbox.forget(rows, books, [*self._owed.forgotten, *work.forgotten])
        lost = Counter(self._owed.lost)
        lost.update(work.lost)  # not `+`, which leaves out a loss of unknown extent: 0 records
        for (record_class, reason), count in lost.items():
            outbox.lose(rows, books, record_class, count, reason)
        outbox.accept(rows, books, work.drafts, self._bounds)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Give pages back to the file system once a backlog is gone. Failing at that is no failure of `apply`."""
        if any(held.rows for held in self.books.held.values()):
            return
        with suppress(sqlite3.Error):
            if connection.execute("PRAGMA freelist_count").fetchone()[0] > SPARE_PAGES:
                connection.executescript("PRAGMA incremental_vacuum(2000)")  # execute() would free one page only

    def _resize(self, connection: sqlite3.Connection) -> None:
        """The file follows a new bound: pages that are free now go first, for no file is bounded below its size."""
        if self._resized:
            with suppress(sqlite3.Error):
                connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")
                connection.execute(f"PRAGMA max_page_count={self._pages}").fetchall()
                self._resized = False

    # ---- opening ----

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._damaged:
            self._set_aside("it was damaged while in use")
        try:
            connection = self._connect()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(str(error))
            connection = self._connect()
        self._connection = connection
        self._leave_limbo()
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            _prepare(connection, self._pages)
            if not self._checked:
                _check(connection)
                self._checked = True
            self.epoch, self.books = _load(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _leave_limbo(self) -> None:
        """Now the file can tell whether the doubtful transaction is in it."""
        limbo, self._limbo = self._limbo, None
        if limbo is None:
            return
        if limbo.before < limbo.after == self.books.last_seq:
            self._owed = Work()
        else:
            self.owe(limbo.work, limbo.reason)

    def _set_aside(self, why: str) -> None:
        """Begin anew; what is known to have waited is declared in the new epoch."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        log.error("%s is damaged (%s); it was set aside as %s and a new outbox begins", self.path, why, aside)
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.replace(aside.with_name(aside.name + suffix))
        reason = f"the outbox was damaged and set aside ({why}); records of before this run are not counted"
        held = {each: held.rows for each, held in self.books.held.items() if held.rows} or {RecordClass.FRAME: 0}
        for record_class, rows in held.items():
            self._owed.lost[record_class, reason] += rows
        self._owed.forgotten.clear()
        self.books, self._cursor, self._damaged = Books(), {}, False


def _bounds(max_bytes: int) -> tuple[int, Bounds]:
    """Pages of the file, and how much may wait in it."""
    pages = max(MIN_PAGES, max_bytes // PAGE_BYTES)
    return pages, Bounds(int(pages * PAGE_BYTES * BODY_SHARE))


def _prepare(connection: sqlite3.Connection, pages: int) -> None:
    for pragma in (
        "auto_vacuum=INCREMENTAL",
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"journal_size_limit={WAL_PAGES * PAGE_BYTES}",
        f"max_page_count={pages}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _check(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError with SQLITE_CORRUPT when pages contradict each other."""
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise _damage(said)


def _damage(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def _load(connection: sqlite3.Connection) -> tuple[str, Books]:
    """Epoch and books; both are made with the tables. Raises as `_check` when they can't be read."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'books'").fetchone():
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    row = connection.execute("SELECT epoch, last_seq, state FROM books").fetchone()
    if row is None:
        row = (secrets.token_hex(8), 0, msgspec.msgpack.encode(_State()))
        connection.execute("INSERT INTO books VALUES (1, ?, ?, ?)", row)
    counted = connection.execute("SELECT class, count(*), sum(length(body)) FROM waiting GROUP BY class")
    try:
        return row[0], _books(row[1], row[2], counted)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _damage(f"its books can't be read: {error}") from error


def _books(last_seq: int, state: bytes, counted: Iterable[tuple[int, int, int]]) -> Books:
    """`counted`: class, rows, bytes of bodies. Raises msgspec.MsgspecError, ValueError."""
    kept = msgspec.msgpack.decode(state, type=_State)
    held = {RecordClass(number): Held().plus(rows, body_bytes) for number, rows, body_bytes in counted}
    return Books(last_seq, held, _by_class(kept.dropped), _by_class(kept.sent_up_to))


def _save(connection: sqlite3.Connection, books: Books) -> None:
    """The same books again cost nothing: SQLite writes no page whose content stays as it is."""
    state = _State(_by_number(books.dropped), _by_number(books.sent_up_to))
    connection.execute("UPDATE books SET last_seq = ?, state = ?", (books.last_seq, msgspec.msgpack.encode(state)))


def _by_class(values: dict[int, int]) -> dict[RecordClass, int]:
    return {RecordClass(number): value for number, value in values.items()}


def _by_number(values: dict[RecordClass, int]) -> dict[int, int]:
    return {int(record_class): value for record_class, value in values.items()}
