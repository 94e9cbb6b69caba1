"""What producers were told and what the control plane got, and whether both can be true. Pure.

Each record carries a number of its own, which no life uses twice. `offered` was handed to the outbox, `accepted` was
said to be durable; of `doubted` it was said that they are counted and declared if they are not. Rows that the control
plane has stored stand by their key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.telemetry.books import FULL, OVER_SHARE, TOO_OLD, Tally
from agent.telemetry.classes import RecordClass
from agent.telemetry.records import Draft, Waiting
from protos import telemetry_pb2 as wire

Key = tuple[str, int]
NUMBER_BYTES = 8
MADE_ROOM = (FULL, OVER_SHARE, TOO_OLD)  # why accepted records may be dropped


def draft(record_class: RecordClass, number: int, size: int) -> Draft:
    return Draft(record_class, number.to_bytes(NUMBER_BYTES, "big") + bytes(size))


@dataclass(frozen=True)
class Hole:
    """A Gap as it was stored: numbers `first` to `last` of `epoch` are not to come."""

    epoch: str
    record_class: RecordClass
    first: int
    last: int
    dropped: int
    reason: str
    lower_bound: bool = False


@dataclass
class Ledger:
    offered: dict[int, RecordClass] = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)
    doubted: set[int] = field(default_factory=set)
    stored: dict[Key, tuple[RecordClass, int]] = field(default_factory=dict)  # class, number of the record
    holes: dict[Key, Hole] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    tell: Callable[[Any], None] = lambda _: None

    def say(self, word: str, *values: Any) -> None:
        """Note a fact, here and where it outlives this process."""
        getattr(self, f"_{word}")(*values)
        self.tell([word, *values])

    def heard(self, notes: Iterable[Any]) -> None:
        for word, *values in notes:
            getattr(self, f"_{word}")(*values)

    def store(self, epoch: str, rows: Sequence[Waiting]) -> None:
        """As ingest does: insert or ignore, and a second content under one key is a conflict."""
        if rows:
            self.say("stored", epoch, [[row.record_class.value, row.seq, _content(row)] for row in rows])

    def _offered(self, record_class: int, numbers: list[int]) -> None:
        self.offered.update(dict.fromkeys(numbers, RecordClass(record_class)))

    def _accepted(self, numbers: list[int]) -> None:
        self.accepted.update(numbers)

    def _doubted(self, numbers: list[int]) -> None:
        self.doubted.update(numbers)

    def _stored(self, epoch: str, rows: list[tuple[int, int, str]]) -> None:
        for number, seq, content in rows:
            record_class = RecordClass(number)
            if record_class is RecordClass.GAP:
                self._keep(self.holes, (epoch, seq), _hole(epoch, bytes.fromhex(content)))
            else:
                self._keep(self.stored, (epoch, seq), (record_class, int(content)))

    def _keep(self, where: dict[Key, Any], key: Key, what: Any) -> None:
        if where.setdefault(key, what) != what:
            self.conflicts.append(f"{key} is {where[key]} and {what}")

    # ---- what can't be ----

    def wrong(self) -> list[str]:
        """Once nothing waits any more."""
        return [*self.conflicts, *self._twice(), *self._lost(), *self.uneven()]

    def unsettled(self) -> list[str]:
        """What was offered and neither stored nor declared: nothing, where no power was cut."""
        missing = Counter(self.offered.values()) - self._ends()
        return [f"{count} of {word.word} are neither stored nor declared" for word, count in missing.items()]

    def unsaid(self) -> list[str]:
        """Answered, and neither stored nor declared: nothing, as long as the machine stayed up."""
        known = self.accepted | self.doubted | {number for _, number in self.stored.values()}
        missing = Counter(self.offered[number] for number in known) - self._ends()
        return [f"{count} refused of {word.word} are not declared" for word, count in missing.items()]

    def unlike(self, tallies: Sequence[Tally]) -> list[str]:
        """Tallies of an outbox in which nothing waits, against what the control plane has."""
        found = []
        for tally in tallies:
            stored = sum(epoch == tally.epoch for epoch, _ in [*self.stored, *self.holes])
            dropped = sum(hole.dropped for hole in self.holes.values() if hole.epoch == tally.epoch)
            if (tally.accepted, tally.waiting, tally.dropped) != (stored + dropped, 0, dropped):
                found.append(f"{tally} but {stored} are stored and {dropped} declared dropped")
        return found

    def _ends(self) -> Counter[RecordClass]:
        ends = Counter(record_class for record_class, _ in self.stored.values())
        ends.update(self.dropped())
        return ends

    def dropped(self, of: Callable[[str], bool] = lambda _: True) -> Counter[RecordClass]:
        """Declared, by class; `of` takes a reason."""
        found: Counter[RecordClass] = Counter()
        for hole in self.holes.values():
            if of(hole.reason):
                found[hole.record_class] += hole.dropped
        return found

    def _twice(self) -> list[str]:
        seen = Counter(number for _, number in self.stored.values())
        return [f"record {number} is stored {times} times" for number, times in seen.items() if times > 1]

    def _lost(self) -> list[str]:
        """Accepted is stored, or was dropped to make room and declared so; no more is declared than there was."""
        stored = {number for _, number in self.stored.values()}
        gone = Counter(self.offered[number] for number in self.accepted - stored)
        lost = gone - self.dropped(lambda reason: reason in MADE_ROOM)
        found = [f"{count} accepted of {word.word} are lost" for word, count in lost.items()]
        found += [f"record {number} was never offered" for number in stored - set(self.offered)]
        excess = self._ends() - Counter(self.offered.values())
        return found + [f"{count} too many of {word.word} are declared" for word, count in excess.items()]

    def uneven(self) -> list[str]:
        """The numbers of an epoch, without holes: each is stored or declared, and none is both."""
        lines: dict[str, list[tuple[int, int]]] = {}
        for epoch, seq in [*self.stored, *self.holes]:
            lines.setdefault(epoch, []).append((seq, seq))
        for hole in self.holes.values():
            lines.setdefault(hole.epoch, []).append((hole.first, hole.last))
        return [sentence for epoch, ranges in lines.items() for sentence in _line(epoch, sorted(ranges))]


def _line(epoch: str, ranges: list[tuple[int, int]]) -> list[str]:
    """The first place where it is uneven."""
    upto = 0
    for first, last in ranges:
        if first != upto + 1:
            return [f"epoch {epoch}: {first}-{last} follows {upto}"]
        upto = last
    return []


def _content(row: Waiting) -> str:
    if row.record_class is RecordClass.GAP:
        return row.body.hex()
    return str(int.from_bytes(row.body[:NUMBER_BYTES], "big"))


def _hole(epoch: str, body: bytes) -> Hole:
    gap = wire.Record.FromString(body).gap
    record_class = RecordClass[gap.record_class.upper()]
    numbers = (gap.first_seq, gap.last_seq, gap.dropped)
    return Hole(gap.epoch or epoch, record_class, *numbers, gap.reason, gap.lower_bound)
