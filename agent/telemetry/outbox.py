"""The outbox: its port, and what happens to rows and books together inside one transaction.

`accept`, `take`, `forget` and `lose` are the whole behaviour; an adapter brings a transaction (`Rows`, inside it) and
threads. See `books` for the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agent.telemetry import records
from agent.telemetry.books import Books, Bounds, Cut, Summary, Tally
from agent.telemetry.records import Draft, Gap, RecordClass, SeqRange, Waiting

FULL = "the outbox was full"


class Rows(Protocol):
    """The rows of an outbox, inside a transaction that the adapter opened and will end."""

    def insert(self, record_class: RecordClass, seq: int, body: bytes) -> None: ...

    def after(self, record_class: RecordClass, seq: int, limit: int) -> list[Waiting]:
        """The oldest `limit` rows of the class numbered above `seq`, in order."""
        ...

    def remove(self, record_class: RecordClass, first: int, last: int) -> tuple[int, int]:
        """Delete the rows of the class within [first, last]; how many, and the bytes of their bodies."""
        ...


class Lane(StrEnum):
    LIVE = "live"  # accepted since the box is connected
    HISTORICAL = "historical"  # what waited from before


@dataclass(frozen=True)
class Taken:
    """Rows to be sent, of one epoch."""

    epoch: str
    record_class: RecordClass
    rows: tuple[Waiting, ...]
    historical: bool = False
    start: str = ""  # of the agent, and the one before it
    before: str = ""


class Outbox(Protocol):
    """Where telemetry waits. A record is accepted once it is durable; nobody is made to wait for that.

    What could not be written is declared as soon as writing works again. No call raises.
    """

    def put(self, draft: Draft) -> None:
        """Hand over a record; returns at once."""
        ...

    def forget(self, epoch: str, ranges: Sequence[SeqRange]) -> None:
        """The control plane has stored these."""
        ...

    async def take(self, lane: Lane, max_rows: int, max_bytes: int) -> Taken:
        """The most important waiting rows of a lane that were not taken before from this object; none: no rows."""
        ...

    def reconnected(self) -> None:
        """What waits now is historical from here on."""
        ...

    def tallies(self) -> Sequence[Tally]: ...

    async def settle(self) -> None:
        """Return when everything put or forgotten before is durable, or counted as lost."""
        ...

    def bound(self, max_bytes: int) -> None:
        """Take so many bytes of disk at most, from now on: what is over is dropped and declared. Returns at once."""
        ...

    def summary(self) -> Summary: ...

    def on_waiting(self, handler: Callable[[], None]) -> None:
        """Call `handler` in the event loop whenever new rows wait."""
        ...

    async def close(self) -> None:
        """Settle, then give the files back."""
        ...


def accept(rows: Rows, books: Books, drafts: Iterable[Draft], bounds: Bounds) -> None:
    """Number and keep `drafts`, then make room."""
    for draft in drafts:
        _keep(rows, books, draft.record_class, books.number(), draft.body)
    for cut in books.cuts(bounds):
        _drop(rows, books, cut)


def lose(rows: Rows, books: Books, record_class: RecordClass, count: int, reason: str) -> None:
    """Declare `count` records that were never written."""
    first = books.number(count)
    _declare(rows, books, Gap(record_class, first, first + count - 1, count, reason))


def take(rows: Rows, books: Books, cursor: dict[RecordClass, int], max_rows: int, max_bytes: int) -> list[Waiting]:
    """Rows beyond `cursor` (which moves on), the greatest class first, each class in order."""
    taken: list[Waiting] = []
    room = max_bytes
    for record_class in sorted(RecordClass, reverse=True):
        for row in rows.after(record_class, cursor.get(record_class, 0), max_rows - len(taken)):
            if taken and len(row.body) > room:
                return taken
            room -= len(row.body)
            taken.append(row)
            cursor[record_class] = row.seq
            books.sending(record_class, row.seq)
        if len(taken) >= max_rows:
            break
    return taken


def forget(rows: Rows, books: Books, ranges: Iterable[SeqRange]) -> None:
    for first, last in ranges:
        for record_class in RecordClass:
            books.went(record_class, *rows.remove(record_class, first, last))


def _keep(rows: Rows, books: Books, record_class: RecordClass, seq: int, body: bytes) -> None:
    rows.insert(record_class, seq, body)
    books.came(record_class, 1, len(body))


def _drop(rows: Rows, books: Books, cut: Cut) -> None:
    """Drop the oldest rows that were never sent."""
    left = cut.bytes
    while left > 0:
        oldest = rows.after(cut.record_class, books.sent_up_to.get(cut.record_class, 0), 200)
        if not oldest:
            return
        before = books.held[cut.record_class].bytes
        doomed = _prefix(oldest, left)
        first, last = doomed[0].seq, doomed[-1].seq
        books.went(cut.record_class, *rows.remove(cut.record_class, first, last))
        left -= before - books.held[cut.record_class].bytes
        _declare(rows, books, Gap(cut.record_class, first, last, len(doomed), FULL))


def _prefix(rows: list[Waiting], body_bytes: int) -> list[Waiting]:
    """The shortest beginning of `rows` with at least `body_bytes`."""
    total = 0
    for index, row in enumerate(rows):
        total += len(row.body)
        if total >= body_bytes:
            return rows[: index + 1]
    return rows


def _declare(rows: Rows, books: Books, hole: Gap) -> None:
    seq, joined, new = books.declare(hole)
    if not new:
        books.went(RecordClass.GAP, *rows.remove(RecordClass.GAP, seq, seq))
    _keep(rows, books, RecordClass.GAP, seq, records.gap(joined))
