"""The books of an outbox: what it holds, what it dropped, what it declared. Pure; an adapter keeps the rows.

Rules that hold here, together they make `accepted = stored + declared dropped + waiting` exact:

- every accepted record has a number, from 1, without holes; a number is given once in an epoch;
- room is made by dropping the oldest of the lowest class, and never a record that may have been sent: nobody could
  say then whether it was stored or dropped (`sent_up_to`, which is written down before anything is sent);
- every drop is declared by a Gap record, which is numbered, stored and delivered like any other; drops of one class and
  reason go into one Gap until that Gap is sent, from then on into a new one;
- what was never written (disk full, queue full) takes its numbers when writing works again, together with its Gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from agent.telemetry.records import Gap, RecordClass

ROW_OVERHEAD = 48  # bytes a row costs beside its body: keys, page share
DROPPABLE = tuple(sorted(set(RecordClass) - {RecordClass.GAP}))  # lowest first
SHARES: Mapping[RecordClass, float] = MappingProxyType(
    # of the total, at most: a flood of results can't push out the counts, nor a flapping camera the results
    {RecordClass.DETECTION: 0.7}
)


@dataclass(frozen=True)
class Bounds:
    """How much may wait. `total_bytes` counts bodies and ROW_OVERHEAD each; the file is larger."""

    total_bytes: int
    shares: Mapping[RecordClass, float] = field(default_factory=lambda: SHARES)

    def of(self, record_class: RecordClass) -> int:
        return int(self.total_bytes * self.shares.get(record_class, 1.0))


@dataclass(frozen=True)
class Held:
    """Rows of one class that wait, and their bytes."""

    rows: int = 0
    bytes: int = 0

    def plus(self, rows: int, body_bytes: int) -> Held:
        return Held(self.rows + rows, self.bytes + body_bytes + rows * ROW_OVERHEAD)

    def minus(self, rows: int, body_bytes: int) -> Held:
        return self.plus(-rows, -body_bytes)


@dataclass(frozen=True)
class Cut:
    """Drop the oldest unsent rows of `record_class` until `bytes` are freed."""

    record_class: RecordClass
    bytes: int


@dataclass(frozen=True)
class Tally:
    """The books of one epoch."""

    epoch: str
    record_class: RecordClass
    accepted: int
    waiting: int
    dropped: int
    oldest_unix_ms: int = 0

    @property
    def word(self) -> str:
        return self.record_class.word


@dataclass(frozen=True)
class Summary:
    """The books as others see them."""

    epoch: str
    accepted: int  # records numbered so far
    waiting: Mapping[RecordClass, Held]
    dropped: Mapping[RecordClass, int]
    trouble: str = ""  # why nothing can be written now, in one sentence

    @property
    def waiting_rows(self) -> int:
        return sum(held.rows for held in self.waiting.values())

    @property
    def waiting_bytes(self) -> int:
        return sum(held.bytes for held in self.waiting.values())

    @property
    def dropped_rows(self) -> int:
        return sum(self.dropped.values())


@dataclass
class Books:
    """Changed only inside a transaction of the rows; `copy` before, so that a failed one changes nothing."""

    last_seq: int = 0
    held: dict[RecordClass, Held] = field(default_factory=dict)
    dropped: dict[RecordClass, int] = field(default_factory=dict)
    sent_up_to: dict[RecordClass, int] = field(default_factory=dict)
    open_gaps: dict[tuple[RecordClass, str], tuple[int, Gap]] = field(default_factory=dict)

    def copy(self) -> Books:
        return Books(self.last_seq, dict(self.held), dict(self.dropped), dict(self.sent_up_to), dict(self.open_gaps))

    def summary(self, epoch: str, trouble: str = "") -> Summary:
        waiting = {each: held for each, held in self.held.items() if held.rows}
        return Summary(epoch, self.last_seq, waiting, dict(self.dropped), trouble)

    def number(self, count: int = 1) -> int:
        """Give out `count` numbers; the first of them."""
        first = self.last_seq + 1
        self.last_seq += count
        return first

    def came(self, record_class: RecordClass, rows: int, body_bytes: int) -> None:
        self.held[record_class] = self.held.get(record_class, Held()).plus(rows, body_bytes)

    def went(self, record_class: RecordClass, rows: int, body_bytes: int) -> None:
        self.held[record_class] = self.held.get(record_class, Held()).minus(rows, body_bytes)

    def cuts(self, bounds: Bounds) -> Iterator[Cut]:
        """What has to go, asked again after each cut was made: first classes over their share, then the total."""
        for record_class in DROPPABLE:
            over = self._bytes(record_class) - bounds.of(record_class)
            if over > 0:
                yield Cut(record_class, over)
        for record_class in DROPPABLE:
            over = sum(held.bytes for held in self.held.values()) - bounds.total_bytes
            if over > 0 and self._bytes(record_class) > 0:
                yield Cut(record_class, over)

    def declare(self, hole: Gap) -> tuple[int, Gap, bool]:
        """Note a drop: the number and content of its Gap record, and whether that record is new."""
        self.dropped[hole.record_class] = self.dropped.get(hole.record_class, 0) + hole.dropped
        key = (hole.record_class, hole.reason)
        if key in self.open_gaps:
            seq, earlier = self.open_gaps[key]
            joined = replace(
                earlier,
                first=min(earlier.first, hole.first),
                last=max(earlier.last, hole.last),
                dropped=earlier.dropped + hole.dropped,
            )
            self.open_gaps[key] = (seq, joined)
            return seq, joined, False
        seq = self.number()
        self.open_gaps[key] = (seq, hole)
        return seq, hole, True

    def sending(self, record_class: RecordClass, up_to: int) -> None:
        """Records of this class up to this number may be sent from now on; Gaps among them are closed."""
        self.sent_up_to[record_class] = max(up_to, self.sent_up_to.get(record_class, 0))
        if record_class is RecordClass.GAP:
            self.open_gaps = {key: item for key, item in self.open_gaps.items() if item[0] > up_to}

    def _bytes(self, record_class: RecordClass) -> int:
        return self.held.get(record_class, Held()).bytes
