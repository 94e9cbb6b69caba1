"""An outbox in memory, for tests: the same behaviour, nothing durable. `trouble` makes writing fail."""

from __future__ import annotations

import secrets
import time
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence

from agent.telemetry import outbox
from agent.telemetry.books import Books, Bounds, Summary, Tally
from agent.telemetry.caps import Caps
from agent.telemetry.classes import RecordClass
from agent.telemetry.outbox import Lane, Lanes, Sized, Taken
from agent.telemetry.ranges import SeqRange
from agent.telemetry.records import Draft

BODY_SHARE = 0.6  # as that of a file
UNLIMITED = Bounds(1 << 40)


class MemoryRows:
    """Rows by epoch, in order of their numbers (a Gap that grows comes back at its old place)."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, tuple[int, bytes]]] = {}

    def insert(self, epoch_id: int, first: int, at_ms: int, bodies: Sequence[bytes]) -> None:
        of_epoch = self._rows.setdefault(epoch_id, {})
        of_epoch.update({first + index: (at_ms, body) for index, body in enumerate(bodies)})

    def bodies(self, epoch_id: int, first: int, last: int, limit: int) -> list[tuple[int, bytes]]:
        of_epoch = self._rows.get(epoch_id, {})
        return [(seq, of_epoch[seq][1]) for seq in self._within(epoch_id, first, last)[:limit]]

    def sizes(self, epoch_id: int, first: int, last: int, limit: int) -> list[Sized]:
        of_epoch = self._rows.get(epoch_id, {})
        found = self._within(epoch_id, first, last)[:limit]
        return [Sized(seq, of_epoch[seq][0], len(of_epoch[seq][1])) for seq in found]

    def remove(self, epoch_id: int, first: int, last: int) -> tuple[int, int]:
        of_epoch = self._rows.get(epoch_id, {})
        doomed = self._within(epoch_id, first, last)
        return len(doomed), sum(len(of_epoch.pop(seq)[1]) for seq in doomed)

    def _within(self, epoch_id: int, first: int, last: int) -> list[int]:
        numbers = sorted(self._rows.get(epoch_id, {}))
        return numbers[bisect_left(numbers, first) : bisect_right(numbers, last)]


class MemoryOutbox:
    """See agent.telemetry.outbox.Outbox. `names`: of epochs, for tests that want to know them."""

    def __init__(
        self,
        bounds: Bounds = UNLIMITED,
        names: Callable[[], str] = lambda: secrets.token_hex(8),
        unix: Callable[[], float] = time.time,
    ) -> None:
        self.trouble = ""
        self._bounds = bounds
        self._unix = unix
        self._rows = MemoryRows()
        self._books = Books(start=secrets.token_hex(8), names=names)
        self._lanes = Lanes()
        self._lost: Counter[RecordClass] = Counter()
        self._unforgotten: deque[tuple[str, Sequence[SeqRange]]] = deque()
        self._handlers: list[Callable[[], None]] = []

    def put(self, draft: Draft) -> None:
        if self.trouble:
            self._lost[draft.record_class] += 1
            return
        self._catch_up()
        outbox.accept(self._rows, self._books, [draft], self._bounds, self._now_ms())
        for handler in self._handlers:
            handler()

    async def accepted(self, *drafts: Draft) -> bool:
        for draft in drafts:
            self.put(draft)
        return not self.trouble

    def forget(self, epoch: str, ranges: Sequence[SeqRange]) -> None:
        self._unforgotten.append((epoch, ranges))
        self._catch_up()

    async def take(self, lane: Lane, max_rows: int, max_bytes: int) -> Taken:
        if self.trouble:
            return Taken()
        self._catch_up()
        return outbox.take(self._rows, self._books, self._lanes, lane, max_rows, max_bytes)

    def reconnected(self) -> None:
        self._lanes.reconnected(self._books)

    async def settle(self) -> None:
        self._catch_up()

    def bound(self, max_bytes: int) -> None:
        self._bounds = Bounds(int(max_bytes * BODY_SHARE), self._bounds.caps)
        self._catch_up()

    def cap(self, caps: Caps) -> None:
        """As a restart with other settings."""
        self._bounds = Bounds(self._bounds.total_bytes, caps)

    def summary(self) -> Summary:
        return self._books.summary(self.trouble)

    def tallies(self) -> Sequence[Tally]:
        return [tally for name, tally in self._books.tallies().items() if self._books.told.get(name) != tally]

    def told(self, tallies: Sequence[Tally]) -> None:
        self._books.hear(tallies)
        self._catch_up()

    def on_waiting(self, handler: Callable[[], None]) -> None:
        self._handlers.append(handler)

    async def close(self) -> None:
        self._catch_up()

    def restart(self) -> None:
        """As a new process would find it: another start, and what was taken is to be taken again."""
        self._books.before, self._books.start = self._books.start, secrets.token_hex(8)
        self._books.current, self._books.open_gaps = {}, {}
        self._books.told, self._lanes = {}, Lanes()

    def _catch_up(self) -> None:
        if self.trouble:
            return
        for epoch, ranges in self._unforgotten:
            outbox.forget(self._rows, self._books, epoch, ranges)
        self._unforgotten.clear()
        now_ms = self._now_ms()
        for record_class, count in self._lost.items():
            outbox.lose(self._rows, self._books, record_class, count, "writing failed", now_ms)
        self._lost.clear()
        outbox.expire(self._rows, self._books, self._bounds, now_ms, now_ms)
        outbox.accept(self._rows, self._books, [], self._bounds, now_ms)
        self._books.close()
        self._lanes.keep(self._books)

    def _now_ms(self) -> int:
        return int(self._unix() * 1000)
