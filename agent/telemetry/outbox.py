"""The outbox: its port, and what happens to rows and books together inside one transaction.

`accept`, `make_room`, `expire`, `take`, `forget`, `lose` and `declare` are the whole behaviour; an adapter brings a
transaction (`Rows`, inside it) and threads. See `books` for the rules.

Two lanes lead out: live, what was accepted since the box is connected, and historical, what waited from before. Which
is which is of this process only (`Lanes`): after a start everything found is historical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from agent.telemetry import records
from agent.telemetry.books import (
    DROPPABLE,
    KNOWN_SINCE_MS,
    TOO_OLD,
    Books,
    Bounds,
    Cut,
    Epoch,
    Oldest,
    OpenGap,
    Summary,
    Tally,
)
from agent.telemetry.classes import RecordClass
from agent.telemetry.ranges import Ranges, SeqRange, holes, joined, within
from agent.telemetry.records import Draft, Gap, Waiting

_STEP = 200  # rows that are looked at in one go


class Lane(StrEnum):
    LIVE = "live"
    HISTORICAL = "historical"


@dataclass(frozen=True)
class Sized:
    """A row without its body."""

    seq: int
    at_ms: int  # when it was accepted, by the box's clock; 0: not known
    bytes: int


class Rows(Protocol):
    """The rows of an outbox, inside a transaction that the adapter opened and will end. An epoch is named by its id."""

    def insert(self, epoch_id: int, first: int, at_ms: int, bodies: Sequence[bytes]) -> None:
        """Numbered from `first`."""
        ...

    def bodies(self, epoch_id: int, first: int, last: int, limit: int) -> list[tuple[int, bytes]]:
        """The oldest `limit` rows within [first, last], in order."""
        ...

    def sizes(self, epoch_id: int, first: int, last: int, limit: int) -> list[Sized]:
        """As `bodies`."""
        ...

    def remove(self, epoch_id: int, first: int, last: int) -> tuple[int, int]:
        """Delete the rows within [first, last]; how many, and the bytes of their bodies."""
        ...


@dataclass(frozen=True)
class Taken:
    """Rows to be sent, of one epoch. `start` and `before` are those of the agent that sends them."""

    epoch: str = ""
    record_class: RecordClass = RecordClass.DEBUG
    rows: tuple[Waiting, ...] = ()
    historical: bool = False
    start: str = ""
    before: str = ""


class Outbox(Protocol):
    """Where telemetry waits. A record is accepted once it is durable; nobody is made to wait for that.

    What could not be written is declared as soon as writing works again. No call raises.
    """

    def put(self, draft: Draft) -> None:
        """Hand over a record; returns at once."""
        ...

    async def accepted(self, *drafts: Draft) -> bool:
        """Hand over records and return when they are durable. False: nobody knows that they are; they will be counted
        and declared if they are not."""
        ...

    def forget(self, epoch: str, ranges: Sequence[SeqRange]) -> None:
        """The control plane has stored these."""
        ...

    async def take(self, lane: Lane, max_rows: int, max_bytes: int) -> Taken:
        """The most important waiting rows of the lane that were not taken before from this object, of one epoch."""
        ...

    def reconnected(self) -> None:
        """What waits now is historical from here on. What was taken stays taken."""
        ...

    async def settle(self) -> None:
        """Return when everything put or forgotten before is durable, or counted as lost."""
        ...

    def bound(self, max_bytes: int) -> None:
        """Take so many bytes of disk at most, from now on: what is over is dropped and declared. Returns at once."""
        ...

    def summary(self) -> Summary: ...

    def tallies(self) -> Sequence[Tally]:
        """Where the books of epochs stand that changed since they were `told`; durable, the oldest first."""
        ...

    def told(self, tallies: Sequence[Tally]) -> None:
        """The control plane acknowledged a batch with these. An epoch ends here once its last tally was told."""
        ...

    def on_waiting(self, handler: Callable[[], None]) -> None:
        """Call `handler` in the event loop whenever new rows wait."""
        ...

    async def close(self) -> None:
        """Settle, then give the files back."""
        ...


@dataclass
class Lanes:
    """What this process took, and where in the epochs of this start the live lane begins."""

    taken: dict[int, Ranges] = field(default_factory=dict)  # by epoch id
    live_after: dict[int, int] = field(default_factory=dict)

    def copy(self) -> Lanes:
        return Lanes(dict(self.taken), dict(self.live_after))

    def reconnected(self, books: Books) -> None:
        self.live_after = {each: books.epochs[each].accepted for each in books.current.values()}

    def open(self, lane: Lane, epoch: Epoch, books: Books) -> Iterator[SeqRange]:
        """Ranges of the epoch that the lane may still take."""
        border = self.live_after.get(epoch.id, 0) if epoch.id in books.current.values() else epoch.accepted
        first, last = (border + 1, epoch.accepted) if lane is Lane.LIVE else (1, border)
        return holes(self.taken.get(epoch.id, ()), max(first, epoch.oldest.seq), last)

    def took(self, epoch_id: int, first: int, last: int) -> None:
        self.taken[epoch_id] = joined(self.taken.get(epoch_id, ()), first, last)

    def keep(self, books: Books) -> None:
        """Of epochs that still are; what lies before the oldest row that waits is one range."""
        kept = {}
        for epoch_id, ranges in self.taken.items():
            epoch = books.epochs.get(epoch_id)
            if epoch is not None:
                below = (epoch.oldest.seq if epoch.held.rows else epoch.accepted + 1) - 1
                kept[epoch_id] = joined(ranges, 1, below) if below > 0 else ranges
        self.taken = kept


def accept(rows: Rows, books: Books, drafts: Iterable[Draft], bounds: Bounds, at_ms: int) -> None:
    """Number and keep `drafts`, then make room. `at_ms`: now, by the box's clock."""
    by_class: dict[RecordClass, list[bytes]] = {}
    for draft in drafts:
        by_class.setdefault(draft.record_class, []).append(draft.body)
    for record_class, bodies in by_class.items():
        _keep(rows, books, *books.number(record_class, len(bodies)), bodies, at_ms)
    make_room(rows, books, bounds, at_ms)


def make_room(rows: Rows, books: Books, bounds: Bounds, at_ms: int) -> None:
    """Drop what is over the bounds."""
    for cut in books.cuts(bounds):
        _cut(rows, books, cut, at_ms)


def expire(rows: Rows, books: Books, bounds: Bounds, now_ms: int, at_ms: int) -> None:
    """Drop what waited longer than its class may. `now_ms` is the time that ages are told by: see OutboxFile."""
    for record_class in DROPPABLE:
        limit_ms = now_ms - int(bounds.caps.ages.get(record_class, 1e12) * 1000)
        for epoch in books.of_class(record_class):
            if epoch.held.rows and epoch.oldest.at_ms < limit_ms:
                _drop_old(rows, books, epoch, limit_ms, at_ms)


def lose(
    rows: Rows,
    books: Books,
    record_class: RecordClass,
    count: int,
    reason: str,
    at_ms: int,
    *,
    lower_bound: bool = False,
) -> None:
    """Declare `count` records that were never written."""
    epoch_id, first = books.number(record_class, count)
    name = books.epochs[epoch_id].name
    hole = Gap(record_class, first, first + count - 1, count, reason, name, lower_bound=lower_bound)
    declare(rows, books, hole, at_ms)


def take(rows: Rows, books: Books, lanes: Lanes, lane: Lane, max_rows: int, max_bytes: int) -> Taken:
    """Rows of one epoch that the lane did not take yet, in order: of the greatest class, the oldest epoch of it."""
    for epoch in books.by_importance():
        for first, last in lanes.open(lane, epoch, books):
            found = rows.bodies(epoch.id, first, last, max(max_rows, 1))
            if not found:  # dropped, and it stays so
                lanes.took(epoch.id, first, last)
                continue
            fitting = _fitting(found, max_bytes)
            lanes.took(epoch.id, first, fitting[-1][0])
            books.sending(epoch.id, fitting[0][0], fitting[-1][0])
            waiting = tuple(Waiting(epoch.record_class, seq, body) for seq, body in fitting)
            historical = lane is Lane.HISTORICAL
            return Taken(epoch.name, epoch.record_class, waiting, historical, books.start, books.before)
    return Taken(start=books.start, before=books.before)


def forget(rows: Rows, books: Books, epoch: str, ranges: Iterable[SeqRange]) -> None:
    """What was never sent stays, whoever says that it is stored: another box tells under these names, too."""
    ids = books.named(epoch)
    for first, last in ranges:
        for epoch_id in ids:
            for sent in within(books.epochs[epoch_id].sent, first, last):
                _remove(rows, books, epoch_id, *sent)


def declare(rows: Rows, books: Books, hole: Gap, at_ms: int) -> None:
    """Keep a Gap that tells of `hole`."""
    gap, new = books.declare(hole)
    if not new:
        _remove(rows, books, gap.epoch_id, gap.seq, gap.seq)
    _keep_gap(rows, books, gap, at_ms)


def _keep_gap(rows: Rows, books: Books, gap: OpenGap, at_ms: int) -> None:
    _keep(rows, books, gap.epoch_id, gap.seq, [records.gap(gap.hole)], at_ms)


def _keep(rows: Rows, books: Books, epoch_id: int, first: int, bodies: Sequence[bytes], at_ms: int) -> None:
    rows.insert(epoch_id, first, at_ms, bodies)
    books.came(epoch_id, len(bodies), sum(map(len, bodies)), Oldest(first, at_ms))


def _fitting(found: list[tuple[int, bytes]], max_bytes: int) -> list[tuple[int, bytes]]:
    """As many from the beginning as fit, and at least one."""
    room = max_bytes
    for index, (_, body) in enumerate(found):
        room -= len(body)
        if room < 0 and index:
            return found[:index]
    return found


def _remove(rows: Rows, books: Books, epoch_id: int, first: int, last: int) -> None:
    gone, body_bytes = rows.remove(epoch_id, first, last)
    if gone:
        left = rows.sizes(epoch_id, 1, records.MAX_SEQ, 1)
        books.went(epoch_id, gone, body_bytes, Oldest(left[0].seq, left[0].at_ms) if left else None)


def _cut(rows: Rows, books: Books, cut: Cut, at_ms: int) -> None:
    """Drop the oldest rows that were never sent until enough is freed."""
    left = cut.bytes
    for epoch in books.of_class(cut.record_class):
        while left > 0 and (oldest := _oldest_unsent(rows, books, epoch)):
            before = books.epochs[epoch.id].held.bytes
            _drop(rows, books, epoch, _until_freed(oldest, left), cut.reason, at_ms)
            left -= before - books.epochs[epoch.id].held.bytes


def _drop_old(rows: Rows, books: Books, epoch: Epoch, limit_ms: int, at_ms: int) -> None:
    """The oldest that were never sent, as long as they are known to be older than `limit_ms`."""
    while oldest := _oldest_unsent(rows, books, epoch):
        doomed = _older(oldest, limit_ms)
        if not doomed:
            return
        _drop(rows, books, epoch, doomed, TOO_OLD, at_ms)


def _oldest_unsent(rows: Rows, books: Books, epoch: Epoch) -> list[Sized]:
    """Some rows of the first range that holds any."""
    found = (rows.sizes(epoch.id, first, last, _STEP) for first, last in books.unsent(epoch.id))
    return next(filter(None, found), [])


def _drop(rows: Rows, books: Books, epoch: Epoch, doomed: Sequence[Sized], reason: str, at_ms: int) -> None:
    for first, last in _runs([row.seq for row in doomed]):
        _remove(rows, books, epoch.id, first, last)
        declare(rows, books, Gap(epoch.record_class, first, last, last - first + 1, reason, epoch.name), at_ms)


def _runs(numbers: Sequence[int]) -> Ranges:
    """Ascending numbers as ranges without holes: a Gap is exact."""
    found: list[SeqRange] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def _until_freed(oldest: list[Sized], body_bytes: int) -> list[Sized]:
    """The shortest beginning with at least `body_bytes`."""
    total = 0
    for index, row in enumerate(oldest):
        total += row.bytes
        if total >= body_bytes:
            return oldest[: index + 1]
    return oldest


def _older(oldest: list[Sized], limit_ms: int) -> list[Sized]:
    """The beginning of `oldest` that is; one whose age is not known ends it."""
    for index, row in enumerate(oldest):
        if not KNOWN_SINCE_MS <= row.at_ms < limit_ms:
            return oldest[:index]
    return oldest
