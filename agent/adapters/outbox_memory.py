"""An outbox in memory, for tests: the same behaviour, nothing durable. `trouble` makes writing fail."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.telemetry.books import Held, Summary, Tally
from agent.telemetry.outbox import Lane, Taken
from agent.telemetry.records import Draft, RecordClass, SeqRange, Waiting


@dataclass
class _Line:
    record_class: RecordClass
    accepted: int = 0
    rows: dict[int, bytes] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    dark_up_to: int = 0


class MemoryOutbox:
    """See agent.telemetry.outbox.Outbox."""

    def __init__(self) -> None:
        self.trouble = ""
        self.start, self.before = secrets.token_hex(8), ""
        self._lines: dict[str, _Line] = {}
        self._current: dict[RecordClass, str] = {}
        self._handlers: list[Callable[[], None]] = []

    def put(self, draft: Draft) -> None:
        epoch = self._current.setdefault(draft.record_class, secrets.token_hex(8))
        line = self._lines.setdefault(epoch, _Line(draft.record_class))
        line.accepted += 1
        line.rows[line.accepted] = draft.body
        for handler in self._handlers:
            handler()

    def forget(self, epoch: str, ranges: Sequence[SeqRange]) -> None:
        line = self._lines.get(epoch)
        if line is not None:
            line.rows = {s: b for s, b in line.rows.items() if not any(f <= s <= l for f, l in ranges)}

    async def take(self, lane: Lane, max_rows: int, max_bytes: int) -> Taken:
        historical = lane is Lane.HISTORICAL
        for epoch, line in sorted(self._lines.items(), key=lambda each: -each[1].record_class):
            fresh = [s for s in sorted(line.rows) if s not in line.taken]
            numbers = [s for s in fresh if (s <= line.dark_up_to) == historical]
            taken: list[Waiting] = []
            room = max_bytes
            for s in numbers[:max_rows]:
                room -= len(line.rows[s])
                if taken and room < 0:
                    break
                taken.append(Waiting(line.record_class, s, line.rows[s]))
            if taken:
                line.taken |= {row.seq for row in taken}
                return Taken(epoch, line.record_class, tuple(taken), historical, self.start, self.before)
        return Taken("", RecordClass.GAP, (), historical, self.start, self.before)

    def reconnected(self) -> None:
        for line in self._lines.values():
            line.dark_up_to = line.accepted

    def tallies(self) -> Sequence[Tally]:
        return [
            Tally(epoch, line.record_class, line.accepted, len(line.rows), 0, 0) for epoch, line in self._lines.items()
        ]

    async def settle(self) -> None:
        return

    def bound(self, max_bytes: int) -> None:
        return

    def summary(self) -> Summary:
        held = {line.record_class: Held(len(line.rows)) for line in self._lines.values() if line.rows}
        return Summary("", 0, held, {})

    def on_waiting(self, handler: Callable[[], None]) -> None:
        self._handlers.append(handler)

    async def close(self) -> None:
        return

    def restart(self) -> None:
        """As a new process would find it."""
        self.before, self.start = self.start, secrets.token_hex(8)
        self._current = {}
        for line in self._lines.values():
            line.taken = set()
            line.dark_up_to = line.accepted
