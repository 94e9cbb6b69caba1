"""An outbox in memory, for tests: the same behaviour, nothing durable. `trouble` makes writing fail."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence

from agent.telemetry import outbox
from agent.telemetry.books import Books, Bounds, Summary
from agent.telemetry.outbox import Taken
from agent.telemetry.records import Draft, RecordClass, SeqRange, Waiting

BODY_SHARE = 0.6  # as that of a file
UNLIMITED = Bounds(1 << 40)


class MemoryRows:
    """Rows in lists, by class, in order of their numbers (a Gap that grows comes back at its old place)."""

    def __init__(self) -> None:
        self._rows: dict[RecordClass, dict[int, bytes]] = {each: {} for each in RecordClass}

    def insert(self, record_class: RecordClass, seq: int, body: bytes) -> None:
        self._rows[record_class][seq] = body

    def after(self, record_class: RecordClass, seq: int, limit: int) -> list[Waiting]:
        of_class = self._rows[record_class]
        numbers = sorted(of_class)
        beyond = numbers[bisect_right(numbers, seq) :][: max(limit, 0)]
        return [Waiting(record_class, number, of_class[number]) for number in beyond]

    def remove(self, record_class: RecordClass, first: int, last: int) -> tuple[int, int]:
        of_class = self._rows[record_class]
        doomed = [number for number in of_class if first <= number <= last]
        freed = sum(len(of_class.pop(number)) for number in doomed)
        return len(doomed), freed


class MemoryOutbox:
    """See agent.telemetry.outbox.Outbox."""

    def __init__(self, bounds: Bounds = UNLIMITED, epoch: str = "") -> None:
        self.trouble = ""
        self._bounds = bounds
        self._epoch = epoch or secrets.token_hex(8)
        self._rows = MemoryRows()
        self._books = Books()
        self._cursor: dict[RecordClass, int] = {}
        self._lost: Counter[RecordClass] = Counter()
        self._unforgotten: deque[SeqRange] = deque()
        self._handlers: list[Callable[[], None]] = []

    def put(self, draft: Draft) -> None:
        if self.trouble:
            self._lost[draft.record_class] += 1
            return
        self._catch_up()
        outbox.accept(self._rows, self._books, [draft], self._bounds)
        for handler in self._handlers:
            handler()

    def forget(self, ranges: Sequence[SeqRange]) -> None:
        self._unforgotten.extend(ranges)
        self._catch_up()

    async def take(self, max_rows: int, max_bytes: int) -> Taken:
        if self.trouble:
            return Taken(self._epoch, ())
        self._catch_up()
        taken = outbox.take(self._rows, self._books, self._cursor, max_rows, max_bytes)
        return Taken(self._epoch, tuple(taken))

    async def settle(self) -> None:
        self._catch_up()

    def bound(self, max_bytes: int) -> None:
        self._bounds = Bounds(int(max_bytes * BODY_SHARE))
        if not self.trouble:
            outbox.accept(self._rows, self._books, [], self._bounds)

    def summary(self) -> Summary:
        return self._books.summary(self._epoch, self.trouble)

    def on_waiting(self, handler: Callable[[], None]) -> None:
        self._handlers.append(handler)

    async def close(self) -> None:
        self._catch_up()

    def restart(self) -> None:
        """As a new process would find it: what was taken is to be taken again."""
        self._cursor = {}
        self._books.open_gaps = {}

    def _catch_up(self) -> None:
        if self.trouble:
            return
        outbox.forget(self._rows, self._books, self._unforgotten)
        self._unforgotten.clear()
        for record_class, count in self._lost.items():
            outbox.lose(self._rows, self._books, record_class, count, "writing failed")
        self._lost.clear()
