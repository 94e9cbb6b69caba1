"""The tables of an outbox in SQLite: rows, and the books as they are loaded and saved.

An agent before 0.2 kept its rows in `waiting` and its books in `books`, all classes in one epoch. They are used where
they lie: nothing is moved, no row can get lost on the way, and when that agent is put back it finds what is left of
them. Their epochs have ids below zero. Once nothing of them waits, both tables go.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import msgspec

from agent.telemetry.books import Books, Epoch, Held, Oldest
from agent.telemetry.classes import RecordClass
from agent.telemetry.outbox import Sized
from agent.telemetry.ranges import Ranges
from agent.telemetry.records import MAX_SEQ

SCHEMA = """
CREATE TABLE lineage (id INTEGER PRIMARY KEY CHECK (id = 1), start TEXT NOT NULL, before TEXT NOT NULL,
                      state BLOB NOT NULL) STRICT;
CREATE TABLE epochs (id INTEGER PRIMARY KEY, epoch TEXT NOT NULL, class INTEGER NOT NULL, start TEXT NOT NULL,
                     accepted INTEGER NOT NULL, dropped INTEGER NOT NULL, sent BLOB NOT NULL) STRICT;
CREATE TABLE records (epoch INTEGER, seq INTEGER, at_ms INTEGER NOT NULL, body BLOB NOT NULL,
                      PRIMARY KEY (epoch, seq)) STRICT, WITHOUT ROWID;
"""
_COUNTED = "SELECT epoch, count(*), sum(length(body)), min(seq) FROM records GROUP BY epoch"
_OLD_COUNTED = "SELECT -class, count(*), sum(length(body)), min(seq) FROM waiting GROUP BY class"
_OLD_CLASSES = {
    1: RecordClass.DETECTION,  # results of frames
    2: RecordClass.METRIC,  # CPU, memory, disk
    3: RecordClass.ALARM,  # states of cameras
    4: RecordClass.METRIC,  # counts of frames
    5: RecordClass.GAP,
}

_T = TypeVar("_T")
_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]


class _State(msgspec.Struct):
    """What of the books belongs to no epoch; class number -> value."""

    accepted: _Number = 0  # of epochs that are no more
    dropped: dict[int, _Number] = {}
    refused: dict[int, _Number] = {}
    aside: str = ""


class _OldState(msgspec.Struct):
    """Of the old `books`."""

    dropped: dict[int, _Number] = {}
    sent_up_to: dict[int, _Number] = {}


class SqliteRows:
    """See agent.telemetry.outbox.Rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def insert(self, epoch_id: int, first: int, at_ms: int, bodies: Sequence[bytes]) -> None:
        rows = [(epoch_id, seq, at_ms, body) for seq, body in enumerate(bodies, first)]
        self._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)

    def bodies(self, epoch_id: int, first: int, last: int, limit: int) -> list[tuple[int, bytes]]:
        return [(seq, body) for seq, body in self._within("seq, body", epoch_id, first, last, limit)]

    def sizes(self, epoch_id: int, first: int, last: int, limit: int) -> list[Sized]:
        columns = "seq, at_ms, length(body)" if epoch_id > 0 else "seq, 0, length(body)"
        return [Sized(*row) for row in self._within(columns, epoch_id, first, last, limit)]

    def remove(self, epoch_id: int, first: int, last: int) -> tuple[int, int]:
        table, key = _place(epoch_id)
        where, values = f"{table} WHERE {key} = ? AND seq BETWEEN ? AND ?", (abs(epoch_id), first, last)
        counted = self._connection.execute(f"SELECT count(*), coalesce(sum(length(body)), 0) FROM {where}", values)  # noqa: S608
        rows, body_bytes = counted.fetchone()
        if rows:
            self._connection.execute(f"DELETE FROM {where}", values)  # noqa: S608 - no value stands in the text
        return rows, body_bytes

    def _within(self, columns: str, epoch_id: int, first: int, last: int, limit: int) -> Iterator[tuple[Any, ...]]:
        table, key = _place(epoch_id)
        return self._connection.execute(
            f"SELECT {columns} FROM {table} WHERE {key} = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",  # noqa: S608
            (abs(epoch_id), first, last, limit),
        )


def _place(epoch_id: int) -> tuple[str, str]:
    """The table in which the rows of an epoch lie, and the column that names it."""
    return ("records", "epoch") if epoch_id > 0 else ("waiting", "class")


def load(connection: sqlite3.Connection) -> Books:
    """The books, with their tables made where there were none.

    Raises sqlite3.Error; ValueError when they can't be read.
    """
    if not _there(connection, "lineage"):
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
    found = connection.execute("SELECT start, before, state FROM lineage").fetchone()
    start, before, state = found or ("", "", b"")
    kept = _decoded(state, _State) if state else _State()
    epochs = [*_epochs(connection), *_old_epochs(connection)]
    return Books(
        start=start,
        before=before,
        epochs={each.id: each for each in sorted(epochs, key=lambda each: each.id)},
        closed_accepted=kept.accepted,
        closed_dropped=_by_class(kept.dropped),
        refused=_by_class(kept.refused),
        aside=kept.aside,
        current={each.record_class: each.id for each in epochs if each.start == start and start},
    )


def save(connection: sqlite3.Connection, books: Books, earlier: Books) -> None:
    """What differs from `earlier`."""
    rows = [_row(each) for each in books.epochs.values() if each.id > 0 and _differs(each, earlier.epochs.get(each.id))]
    if rows:
        connection.executemany("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    gone = earlier.epochs.keys() - books.epochs.keys()
    if gone:
        connection.executemany("DELETE FROM epochs WHERE id = ?", [(each,) for each in gone if each > 0])
    if any(each < 0 for each in gone):
        connection.execute("DROP TABLE waiting")
        connection.execute("DROP TABLE books")
    _save_old(connection, books, earlier)
    if _lineage(books) != _lineage(earlier):
        connection.execute("INSERT OR REPLACE INTO lineage VALUES (1, ?, ?, ?)", _lineage(books))


def _decoded(content: bytes, kind: type[_T]) -> _T:
    """Raises ValueError."""
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def _there(connection: sqlite3.Connection, table: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone())


def _epochs(connection: sqlite3.Connection) -> Iterator[Epoch]:
    """Raises ValueError: a row of no epoch, a class that this agent does not know."""
    counted = _counted(connection.execute(_COUNTED))
    for number, name, record_class, start, accepted, dropped, sent in connection.execute("SELECT * FROM epochs"):
        held, first = counted.pop(number, (Held(), 0))
        at = connection.execute("SELECT at_ms FROM records WHERE epoch = ? AND seq = ?", (number, first)).fetchone()
        oldest = Oldest(first, at[0]) if at else Oldest()
        ranges = _decoded(sent, Ranges)
        yield Epoch(number, name, RecordClass(record_class), start, accepted, dropped, ranges, held, oldest)
    if counted:
        raise ValueError("there are records that no epoch is known of")


def _old_epochs(connection: sqlite3.Connection) -> Iterator[Epoch]:
    """Of an agent before 0.2; when its records were accepted is not known."""
    if not _there(connection, "books"):
        return
    found = connection.execute("SELECT epoch, last_seq, state FROM books").fetchone()
    if found is None:
        return
    name, last, state = found
    kept, counted = _decoded(state, _OldState), _counted(connection.execute(_OLD_COUNTED))
    if {*kept.dropped, *kept.sent_up_to, *(-each for each in counted)} - _OLD_CLASSES.keys():
        raise ValueError("there are records of a class that nobody knows")
    for number, record_class in _OLD_CLASSES.items():
        held, first = counted.get(-number, (Held(), 0))
        sent = kept.sent_up_to.get(number, 0)
        ranges = ((1, sent),) if sent else ()
        dropped = kept.dropped.get(number, 0)
        yield Epoch(-number, name, record_class, "", last, dropped, ranges, held, Oldest(first))


def _counted(rows: Iterable[tuple[int, int, int, int]]) -> dict[int, tuple[Held, int]]:
    """What an epoch holds, and its oldest number."""
    return {number: (Held().plus(count, body_bytes), first) for number, count, body_bytes, first in rows}


def _save_old(connection: sqlite3.Connection, books: Books, earlier: Books) -> None:
    """In the old agent's own form, so that it never drops what may have been sent since."""
    old = {-each.id: each for each in books.epochs.values() if each.id < 0}
    if any(_differs(each, earlier.epochs.get(each.id)) for each in old.values()):
        state = _OldState(
            {number: each.dropped for number, each in old.items()},
            {number: max((last for _, last in each.sent), default=0) for number, each in old.items()},
        )
        connection.execute("UPDATE books SET state = ?", (msgspec.msgpack.encode(state),))


def _differs(epoch: Epoch, earlier: Epoch | None) -> bool:
    """In what is saved: what it holds is counted anew at each start."""
    return earlier is None or replace(earlier, held=epoch.held, oldest=epoch.oldest) != epoch


def _row(epoch: Epoch) -> tuple[int, str, int, str, int, int, bytes]:
    sent = msgspec.msgpack.encode(epoch.sent)
    return epoch.id, epoch.name, int(epoch.record_class), epoch.start, epoch.accepted, epoch.dropped, sent


def _lineage(books: Books) -> tuple[str, str, bytes]:
    dropped, refused = _by_number(books.closed_dropped), _by_number(books.refused)
    state = _State(books.closed_accepted, dropped, refused, books.aside)
    return books.start, books.before, msgspec.msgpack.encode(state)


def _by_class(values: dict[int, int]) -> dict[RecordClass, int]:
    return {RecordClass(number): value for number, value in values.items()}


def _by_number(values: dict[RecordClass, int]) -> dict[int, int]:
    return {int(record_class): value for record_class, value in values.items()}
