"""The books of an outbox: what it holds, what it dropped, what it declared. Pure; an adapter keeps the rows.

Rules that hold here, together they make `accepted = stored + declared dropped + waiting` exact, per epoch and class:

- an epoch is one line of numbers: the records of one class that one start of the agent accepted, from 1, without holes;
  a number is given once. Epochs of earlier starts lie beside those of this one until all of them is told and stored;
- room is made by dropping the oldest of the lowest class, and never a record that may have been sent: nobody could
  say then whether it was stored or dropped (`Epoch.sent`, which is written down before anything is sent);
- every drop is declared by a Gap record with its epoch and exact range, which is numbered, stored and delivered like
  any other; drops that follow each other go into one Gap until that Gap is sent, from then on into a new one;
- what was never written (disk full, queue full) takes its numbers when writing works again, together with its Gap.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from agent.telemetry.caps import DEFAULT_CAPS, Caps
from agent.telemetry.classes import RecordClass
from agent.telemetry.ranges import Ranges, coarser, holes, joined
from agent.telemetry.records import Gap

ROW_OVERHEAD = 48  # bytes a row costs beside its body: keys, page share
DROPPABLE = tuple(sorted(set(RecordClass) - {RecordClass.GAP}))  # lowest first
KNOWN_SINCE_MS = 1_700_000_000_000  # a clock that showed less was not set: such a record's age is not known
MOST_RANGES = 64  # of an epoch that may have been sent, as they are written down
MOST_SILENT = 256  # epochs that hold nothing and whose last tally nobody has confirmed

FULL = "the outbox was full"
OVER_SHARE = "its class filled its share of the outbox"
TOO_OLD = "it waited longer than its class may"


@dataclass(frozen=True)
class Bounds:
    """How much may wait. `total_bytes` counts bodies and ROW_OVERHEAD each; the file is larger."""

    total_bytes: int
    caps: Caps = DEFAULT_CAPS

    def of(self, record_class: RecordClass) -> int:
        return int(self.total_bytes * self.caps.shares.get(record_class, 1.0))


@dataclass(frozen=True)
class Held:
    """Rows that wait, and their bytes."""

    rows: int = 0
    bytes: int = 0

    def plus(self, rows: int, body_bytes: int) -> Held:
        return Held(self.rows + rows, self.bytes + body_bytes + rows * ROW_OVERHEAD)

    def minus(self, rows: int, body_bytes: int) -> Held:
        return self.plus(-rows, -body_bytes)

    def __add__(self, other: Held) -> Held:
        return Held(self.rows + other.rows, self.bytes + other.bytes)


@dataclass(frozen=True)
class Oldest:
    """Of the rows of an epoch that wait."""

    seq: int = 0
    at_ms: int = 0  # when it was accepted, by the box's clock; 0: not known


@dataclass(frozen=True)
class Epoch:
    """The books of one line of numbers.

    An agent before 0.2 numbered all classes in one line: its epoch is here once per class (`start` is ""), each with
    the numbers given out in all, and only its oldest rows and drops are those of the class.
    """

    id: int  # ascending with time
    name: str
    record_class: RecordClass
    start: str  # of the agent that accepted them
    accepted: int = 0  # numbers given out
    dropped: int = 0
    sent: Ranges = ()  # may have been, or nothing of them waits
    held: Held = Held()
    oldest: Oldest = Oldest()


@dataclass(frozen=True)
class Tally:
    """Where the books of an epoch stand: accepted = stored + dropped + waiting."""

    epoch: str
    record_class: RecordClass | None  # None: an epoch of an agent before 0.2 holds all of them
    accepted: int
    waiting: int
    dropped: int
    oldest_unix_ms: int  # 0: none waits

    @property
    def word(self) -> str:
        """As the class stands in the wire's Tally."""
        return self.record_class.word if self.record_class else ""


@dataclass(frozen=True)
class Cut:
    """Drop the oldest unsent rows of `record_class` until `bytes` are freed."""

    record_class: RecordClass
    bytes: int
    reason: str


@dataclass(frozen=True)
class Summary:
    """The books as others see them: counts since the outbox was made."""

    start: str  # of this agent; "": the outbox could not be opened yet
    before: str  # the start that stood in the outbox before; "": it was new
    accepted: int  # records numbered
    waiting: Mapping[RecordClass, Held]
    dropped: Mapping[RecordClass, int]
    oldest_unix_ms: int = 0  # when the oldest that waits was accepted, of those that tell; 0: none does
    trouble: str = ""  # why nothing can be written now, in one sentence
    damaged: str = ""  # what was found damaged since this start, in one sentence

    @property
    def waiting_rows(self) -> int:
        return sum(held.rows for held in self.waiting.values())

    @property
    def waiting_bytes(self) -> int:
        return sum(held.bytes for held in self.waiting.values())

    @property
    def dropped_rows(self) -> int:
        return sum(self.dropped.values())


@dataclass(frozen=True)
class OpenGap:
    """A Gap record that was not sent yet."""

    epoch_id: int
    seq: int
    hole: Gap


@dataclass
class Books:
    """Changed only inside a transaction of the rows; `copy` before, so that a failed one changes nothing."""

    start: str = ""
    before: str = ""
    epochs: dict[int, Epoch] = field(default_factory=dict)
    closed_accepted: int = 0  # of epochs that are no more
    closed_dropped: dict[RecordClass, int] = field(default_factory=dict)
    refused: dict[RecordClass, int] = field(default_factory=dict)  # declared of those counted beside the rows, ever
    aside: str = ""  # the damaged outbox that was declared last
    open_gaps: dict[tuple[str, RecordClass, str], OpenGap] = field(default_factory=dict)
    current: dict[RecordClass, int] = field(default_factory=dict)  # epochs of this start, by id
    told: dict[str, Tally] = field(default_factory=dict)  # last tallies that the control plane has, by epoch
    names: Callable[[], str] = lambda: secrets.token_hex(8)

    def copy(self) -> Books:
        return replace(
            self,
            epochs=dict(self.epochs),
            closed_dropped=dict(self.closed_dropped),
            refused=dict(self.refused),
            open_gaps=dict(self.open_gaps),
            current=dict(self.current),
            told=dict(self.told),
        )

    # ---- what others see ----

    def summary(self, trouble: str = "", damaged: str = "") -> Summary:
        waiting = {each: held for each in RecordClass if (held := self.held(each)).rows}
        dropped = dict(self.closed_dropped)
        for epoch in self.epochs.values():
            dropped[epoch.record_class] = dropped.get(epoch.record_class, 0) + epoch.dropped
        dropped = {each: count for each, count in dropped.items() if count}
        oldest = min(filter(None, (each.oldest.at_ms for each in self.epochs.values() if each.held.rows)), default=0)
        accepted = self.closed_accepted + sum(self._accepted().values())
        return Summary(self.start, self.before, accepted, waiting, dropped, oldest, trouble, damaged)

    def tallies(self) -> dict[str, Tally]:
        """By the name of the epoch."""
        found: dict[str, Tally] = {}
        for epoch in self.epochs.values():
            tally = _tally(epoch)
            found[epoch.name] = _together(found[epoch.name], tally) if epoch.name in found else tally
        return found

    @property
    def accepted_here(self) -> int:
        """Numbers that this start gave out: grows with each transaction that keeps or declares something."""
        return sum(self.epochs[each].accepted for each in self.current.values())

    @property
    def held_bytes(self) -> int:
        return sum(epoch.held.bytes for epoch in self.epochs.values())

    def held(self, record_class: RecordClass) -> Held:
        return sum((each.held for each in self.epochs.values() if each.record_class is record_class), Held())

    def by_importance(self) -> list[Epoch]:
        """Epochs that hold something: the greatest class first, in it the oldest first."""
        holding = (epoch for epoch in self.epochs.values() if epoch.held.rows)
        return sorted(holding, key=lambda epoch: (-epoch.record_class, epoch.id))

    def of_class(self, record_class: RecordClass) -> list[Epoch]:
        """The oldest first."""
        found = (epoch for epoch in self.epochs.values() if epoch.record_class is record_class)
        return sorted(found, key=lambda epoch: epoch.id)

    def named(self, name: str) -> list[int]:
        return [epoch.id for epoch in self.epochs.values() if epoch.name == name]

    # ---- what happens ----

    def number(self, record_class: RecordClass, count: int = 1) -> tuple[int, int]:
        """Give out `count` numbers of this start's epoch of the class: the epoch's id, and the first of them."""
        if record_class not in self.current:
            fresh = max([0, *self.epochs]) + 1
            self.epochs[fresh] = Epoch(fresh, self.names(), record_class, self.start)
            self.current[record_class] = fresh
        epoch = self.epochs[self.current[record_class]]
        self.epochs[epoch.id] = replace(epoch, accepted=epoch.accepted + count)
        return epoch.id, epoch.accepted + 1

    def came(self, epoch_id: int, rows: int, body_bytes: int, oldest: Oldest) -> None:
        """`oldest`: of these rows."""
        epoch = self.epochs[epoch_id]
        if epoch.held.rows and epoch.oldest.seq <= oldest.seq:
            oldest = epoch.oldest
        self.epochs[epoch_id] = replace(epoch, held=epoch.held.plus(rows, body_bytes), oldest=oldest)

    def went(self, epoch_id: int, rows: int, body_bytes: int, oldest: Oldest | None) -> None:
        """`oldest`: of those that are left; None: none is."""
        epoch = self.epochs[epoch_id]
        below = (oldest.seq if oldest else epoch.accepted + 1) - 1
        sent = joined(epoch.sent, 1, below) if epoch.sent and below > 0 else epoch.sent
        held = epoch.held.minus(rows, body_bytes)
        self.epochs[epoch_id] = replace(epoch, held=held, oldest=oldest or Oldest(), sent=sent)

    def sending(self, epoch_id: int, first: int, last: int) -> None:
        """Records of this range may be sent from now on; Gaps among them are closed."""
        epoch = self.epochs[epoch_id]
        sent = coarser(joined(epoch.sent, first, last), MOST_RANGES)
        self.epochs[epoch_id] = replace(epoch, sent=sent)
        if epoch.record_class is RecordClass.GAP:
            gone = {key for key, gap in self.open_gaps.items() if gap.epoch_id == epoch_id and gap.seq <= last}
            self.open_gaps = {key: gap for key, gap in self.open_gaps.items() if key not in gone}

    def unsent(self, epoch_id: int) -> Iterator[tuple[int, int]]:
        """Ranges of numbers that were certainly never sent, ascending."""
        epoch = self.epochs[epoch_id]
        return holes(epoch.sent, 1, epoch.accepted)

    def cuts(self, bounds: Bounds) -> Iterator[Cut]:
        """What has to go, asked again after each cut was made: first classes over their share, then the total."""
        for record_class in DROPPABLE:
            over = self.held(record_class).bytes - bounds.of(record_class)
            if over > 0 and bounds.of(record_class) < bounds.total_bytes:
                yield Cut(record_class, over, OVER_SHARE)
        for record_class in DROPPABLE:
            over = self.held_bytes - bounds.total_bytes
            if over > 0 and self.held(record_class).bytes > 0:
                yield Cut(record_class, over, FULL)

    def declare(self, hole: Gap) -> tuple[OpenGap, bool]:
        """Note a drop: the Gap record that tells it, and whether that record is new."""
        self._count(hole)
        key = (hole.epoch, hole.record_class, hole.reason)
        earlier = self.open_gaps.get(key)
        if earlier is not None and earlier.hole.last + 1 == hole.first and earlier.hole.lower_bound == hole.lower_bound:
            whole = replace(earlier.hole, last=hole.last, dropped=earlier.hole.dropped + hole.dropped)
            self.open_gaps[key] = replace(earlier, hole=whole)
            return self.open_gaps[key], False
        self.open_gaps[key] = OpenGap(*self.number(RecordClass.GAP), hole)
        return self.open_gaps[key], True

    def hear(self, told: Iterable[Tally]) -> None:
        """The control plane has these."""
        self.told.update({tally.epoch: tally for tally in told})

    def close(self) -> None:
        """Epochs of earlier starts that hold nothing end once their last tally was told."""
        here = {self.epochs[each].name for each in self.current.values()}
        silent = {name: tally for name, tally in self.tallies().items() if not tally.waiting and name not in here}
        unheard = [name for name, tally in silent.items() if self.told.get(name) != tally]
        for name in (*(silent.keys() - unheard), *unheard[: max(0, len(unheard) - MOST_SILENT)]):
            self._end(name)

    def _end(self, name: str) -> None:
        self.closed_accepted += self._accepted()[name]
        self.told.pop(name, None)
        for each in self.named(name):
            gone = self.epochs.pop(each)
            self.closed_dropped[gone.record_class] = self.closed_dropped.get(gone.record_class, 0) + gone.dropped

    def _accepted(self) -> dict[str, int]:
        return {epoch.name: epoch.accepted for epoch in self.epochs.values()}

    def _count(self, hole: Gap) -> None:
        for each in self.named(hole.epoch):
            epoch = self.epochs[each]
            if epoch.record_class is hole.record_class:
                self.epochs[each] = replace(epoch, dropped=epoch.dropped + hole.dropped)
                return


def _tally(epoch: Epoch) -> Tally:
    record_class = epoch.record_class if epoch.start else None
    oldest = epoch.oldest.at_ms if epoch.held.rows else 0
    return Tally(epoch.name, record_class, epoch.accepted, epoch.held.rows, epoch.dropped, oldest)


def _together(one: Tally, other: Tally) -> Tally:
    """Of two classes that share an epoch: of an agent before 0.2, which did not note when it accepted a record."""
    return replace(
        one,
        accepted=max(one.accepted, other.accepted),
        waiting=one.waiting + other.waiting,
        dropped=one.dropped + other.dropped,
    )
