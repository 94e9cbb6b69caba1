"""What became of telemetry, against what may become of it. Pure.

The producer has a ledger of its own: behind each commit of the outbox it writes down how many records of each class it
has handed over so far in this run. What stands there was accepted, whatever happened next. Rules:

- accepted is stored or declared dropped: nothing is lost;
- one thing that happened stands under one name: nothing is stored twice;
- nothing is stored that was not handed over;
- within an epoch, by number, the records are in the order in which they were handed over, and all of one run and class;
- an epoch's numbers have no holes: each is stored, or lies in exactly one declared range, and never both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

CLASSES = ("alarm", "detection", "metric", "debug")
MOST = 5  # sentences of one kind: more say nothing more


@dataclass(frozen=True, order=True)
class Made:
    """A record as its producer knows it: the run of the box, and the how-manieth of its class there, from 1."""

    run: str
    record_class: str
    number: int


@dataclass(frozen=True)
class Found:
    """A record as it is stored. `made` None: a Gap, which the outbox makes itself."""

    epoch: str
    seq: int
    made: Made | None


@dataclass(frozen=True)
class Hole:
    """A stored Gap: these numbers of that epoch were dropped."""

    epoch: str
    record_class: str
    first: int
    last: int
    dropped: int
    lower_bound: bool = False


@dataclass(frozen=True)
class Books:
    """What an outbox that is at rest says of itself, of all epochs together."""

    accepted: int
    waiting: int
    dropped: int


@dataclass(frozen=True)
class Tally:
    """The outbox's books of an epoch as the control plane was told them last, which was with the last batch."""

    epoch: str
    record_class: str
    accepted: int
    waiting: int
    dropped: int


@dataclass(frozen=True)
class Counted:
    """What ingest itself counted of an epoch; `up_to`: every number from 1 to it is stored or declared dropped."""

    epoch: str
    stored: int
    dropped: int
    up_to: int


@dataclass
class History:
    """Of one box. `accepted`: (run, class) → how many its ledger has; `burst`: at most so many are not in it yet."""

    node: str
    accepted: Mapping[tuple[str, str], int]
    found: Sequence[Found]
    holes: Sequence[Hole]
    tallies: Sequence[Tally] = ()
    counted: Sequence[Counted] = ()
    books: Books | None = None
    burst: int = 0
    epochs: dict[tuple[str, str], str] = field(init=False)  # (run, class) → epoch, as far as anything of it is stored

    def __post_init__(self) -> None:
        made = ((each.made, each.epoch) for each in self.found if each.made is not None)
        self.epochs = {(record.run, record.record_class): epoch for record, epoch in made}

    def counts(self) -> Counter[str]:
        return Counter(
            accepted=sum(self.accepted.values()),
            stored=sum(each.made is not None for each in self.found),
            dropped=sum(hole.dropped for hole in self.holes),
            gaps=sum(each.made is None for each in self.found),
        )

    def complaints(self) -> list[str]:
        """What should not be; empty: the invariant holds."""
        handed_over = (self._lost(), self._twice(), self._invented(), self._order())
        kept = (self._holes(), self._books(), self._told(), self._counted())
        return [f"{self.node}: {sentence}" for rule in (*handed_over, *kept) for sentence in _some(rule)]

    def _lost(self) -> Iterator[str]:
        stored: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for each in self.found:
            if each.made is not None:
                stored[each.made.run, each.made.record_class].add(each.made.number)
        for (run, record_class), last in self.accepted.items():
            missing = set(range(1, last + 1)) - stored[run, record_class]
            if not missing:
                continue
            declared = self._declared(self.epochs.get((run, record_class)), record_class)
            if lost := sorted(missing - declared):
                yield f"{len(lost)} {record_class}s of run {run} are lost, the first number {lost[0]} of {last}"

    def _declared(self, epoch: str | None, record_class: str) -> set[int]:
        """Numbers that Gaps name; of a run of which nothing was stored, those of epochs that are nobody else's."""
        named = set(self.epochs.values())
        mine = [
            hole
            for hole in self.holes
            if hole.record_class == record_class
            and (hole.epoch == epoch if epoch is not None else hole.epoch not in named)
        ]
        return {number for hole in mine for number in range(hole.first, hole.last + 1)}

    def _twice(self) -> Iterator[str]:
        times = Counter(each.made for each in self.found if each.made is not None)
        for made, count in times.items():
            if count > 1:
                yield f"{made.record_class} {made.number} of run {made.run} is stored {count} times"

    def _invented(self) -> Iterator[str]:
        for each in self.found:
            if each.made is not None:
                last = self.accepted.get((each.made.run, each.made.record_class), 0)
                if not 1 <= each.made.number <= last + self.burst:
                    yield f"{each.made.record_class} {each.made.number} of run {each.made.run} was never handed over"

    def _order(self) -> Iterator[str]:
        for epoch, records in self._by_epoch().items():
            runs = {(record.run, record.record_class) for _, record in records}
            if len(runs) > 1:
                yield f"epoch {epoch} holds records of {len(runs)} runs and classes"
            for (seq, before), (_, after) in pairwise(records):
                if before >= after:
                    yield f"epoch {epoch} is out of order behind number {seq}"

    def _by_epoch(self) -> Mapping[str, list[tuple[int, Made]]]:
        """In the order in which they are read: by number."""
        found: defaultdict[str, list[tuple[int, Made]]] = defaultdict(list)
        for each in self.found:
            if each.made is not None:
                found[each.epoch].append((each.seq, each.made))
        return {epoch: sorted(records) for epoch, records in found.items()}

    def _holes(self) -> Iterator[str]:
        """Numbers of each epoch, 1 to the greatest that is known of."""
        covered: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for each in self.found:
            covered[each.epoch][each.seq] += 1
        for hole in self.holes:
            if hole.dropped != hole.last - hole.first + 1 and hole.dropped:
                yield f"a Gap of epoch {hole.epoch} says {hole.dropped} of {hole.first} to {hole.last}"
            if hole.dropped:
                covered[hole.epoch].update(range(hole.first, hole.last + 1))
        known = {each.epoch: each.accepted for each in self.tallies}
        for epoch, numbers in covered.items():
            top = max(*numbers, known.get(epoch, 0))
            if missing := top - len(numbers):
                yield f"epoch {epoch} misses {missing} of its {top} numbers"
            if both := [number for number, times in numbers.items() if times > 1]:
                yield f"number {both[0]} of epoch {epoch} is stored and declared dropped, or declared twice"

    def _books(self) -> Iterator[str]:
        """Accepted = stored + declared dropped + waiting, as the outbox has it; at rest nothing waits."""
        dropped = sum(hole.dropped for hole in self.holes)
        known = Books(len(self.found) + dropped, 0, dropped)
        if self.books is not None and self.books != known:
            yield f"the outbox says {self.books}; by what is stored it is {known}"

    def _told(self) -> Iterator[str]:
        """The box told of nothing that never came."""
        stored, dropped = self._by_rows()
        for of in self.tallies:
            known = stored[of.epoch] + dropped[of.epoch]
            if of.accepted > known or of.dropped > dropped[of.epoch] or of.waiting > of.accepted:
                yield f"the box told {of}; stored are {stored[of.epoch]}, declared {dropped[of.epoch]}"

    def _counted(self) -> Iterator[str]:
        """The count of ingest, which outlives the rows, is theirs."""
        stored, dropped = self._by_rows()
        for of in self.counted:
            rows = Counted(of.epoch, stored[of.epoch], dropped[of.epoch], stored[of.epoch] + dropped[of.epoch])
            if of != rows:
                yield f"ingest counted {of}; by its rows it is {rows}"

    def _by_rows(self) -> tuple[Counter[str], Counter[str]]:
        """Stored and declared dropped, by epoch."""
        stored, dropped = Counter(each.epoch for each in self.found), Counter[str]()
        for hole in self.holes:
            dropped[hole.epoch] += hole.dropped
        return stored, dropped


def _some(sentences: Iterator[str]) -> Iterator[str]:
    found = list(sentences)
    yield from found[:MOST]
    if len(found) > MOST:
        yield f"and {len(found) - MOST} more like it"


def ledger(lines: Iterable[str], classes: Sequence[str] = CLASSES) -> dict[tuple[str, str], int]:
    """(run, class) → how many were accepted. A line: the run, then how many of each class; the last of a run counts."""
    accepted: dict[tuple[str, str], int] = {}
    for line in lines:
        run, *counts = line.split()
        if len(counts) == len(classes):  # else the run was killed while it wrote
            accepted.update({(run, each): int(count) for each, count in zip(classes, counts, strict=True)})
    return accepted
