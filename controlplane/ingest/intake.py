"""What one transaction makes of its batches: which records are new, which come again, which clash. Pure.

Rules that hold here:

- a number is told once: what an epoch has received (stored, or declared dropped by a stored Gap) decides, before any
  table is asked. Its row is locked meanwhile, so of two replicas one sees what the other did. Of a number that may have
  been forgotten there, the tables say whether it is stored;
- a record that comes again with the digest it had is the same. With another digest it is kept aside as a conflict:
  two boxes have one identity. A record that its box can't read any more, or one whose first digest nobody noted, is
  no conflict;
- a record that was declared dropped and comes all the same, because it was under way already, is stored and no longer
  counts as dropped: so the order in which things come changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.ingest.domain import Batch, Hole, Kind, Receipt, Row, Tally
from controlplane.ingest.numbers import Numbers, SeqRange, joined, ranges
from protos.ids import NodeId

NOTHING = Numbers()
Line = tuple[NodeId, str]  # a node and one of its epochs
MOST_COUNT = 2**40  # of one line: years of records; sums over millions of lines fit the database, whatever boxes say
FEW_RANGES = 64  # said in each receipt; of more only those that matter to it


@dataclass
class Books:
    """What is known of an epoch, see controlplane.tables.Epoch. `told`: its latest tally."""

    record_class: str = ""
    start: str = ""
    first_ms: int = 0
    last_ms: int = 0
    received: Numbers = NOTHING
    stored: int = 0
    dropped: int = 0
    told: Tally | None = None

    def tell(self, tally: Tally) -> None:
        """Only ever a later state: batches overtake each other."""
        if self.told is None or tally.progress >= self.told.progress:
            self.told = tally
        self.record_class = self.record_class or tally.record_class

    def declare(self, hole: Hole) -> None:
        """Of an exact hole count those of its numbers that were not received before."""
        self.record_class = self.record_class or hole.record_class
        if hole.exact:
            before = self.received.count
            self.received = self.received.plus([(hole.first, hole.last)])
            dropped = max(0, self.received.count - before)
        else:
            dropped = hole.dropped
        self.dropped = min(self.dropped + dropped, MOST_COUNT)


@dataclass(frozen=True)
class Conflict:
    """A record that came under the name of another."""

    line: Line
    row: Row


@dataclass
class Intake:
    """`take` each batch, `judge` what came again, then `close`. `books` are changed in place."""

    books: Mapping[Line, Books]
    now_ms: int
    fresh: dict[Line, list[Row]] = field(default_factory=dict)
    again: dict[Line, list[Row]] = field(default_factory=dict)
    in_doubt: set[tuple[Line, int]] = field(default_factory=set)  # of `again`, what may be new
    conflicts: list[Conflict] = field(default_factory=list)

    def take(self, batch: Batch) -> None:
        line = (batch.node, batch.epoch)
        books = self._opened(line)
        books.start = books.start or batch.start
        before = books.received
        fresh, again = _sorted_out(batch.rows, before)
        books.received = before.plus(ranges(row.seq for row in fresh))
        self.fresh.setdefault(line, []).extend(fresh)
        if again:
            self.again.setdefault(line, []).extend(again)
            self.in_doubt.update((line, row.seq) for row in again if before.in_doubt(row.seq))
        for tally in batch.tallies:
            self._opened((batch.node, tally.epoch)).tell(tally)

    def judge(self, line: Line, digests: Mapping[int, int | None], declared: Sequence[SeqRange]) -> None:
        """What came again of `line`, by the digests of those that are stored and the ranges that Gaps declared."""
        books, fresh = self.books[line], self.fresh[line]
        known = {**digests, **{row.seq: row.digest for row in fresh}}
        for row in self.again.pop(line):
            if row.seq not in known:
                dropped = any(first <= row.seq <= last for first, last in declared)
                books.dropped = max(0, books.dropped - dropped)
                if dropped or (line, row.seq) in self.in_doubt:
                    fresh.append(row)
                    known[row.seq] = row.digest
            elif known[row.seq] not in (None, row.digest) and not row.damaged:
                self.conflicts.append(Conflict(line, row))
        books.received = books.received.plus(ranges(row.seq for row in fresh))

    def close(self) -> None:
        """Records count before what Gaps declare: one that came with the Gap that declares it was not dropped."""
        for line, rows in self.fresh.items():
            self.books[line].stored += len(rows)
        for (node, epoch), rows in self.fresh.items():
            for row in rows:
                if row.kind is Kind.GAP and row.hole.dropped:
                    self._opened((node, row.hole.epoch or epoch)).declare(row.hole)

    def receipts(self, batches: Iterable[Batch]) -> list[Receipt]:
        """One per box and epoch that sent any; what is kept aside is received as well."""
        seqs: dict[Line, set[int]] = {}
        unnumbered: dict[Line, set[int]] = {}
        tells_starts: dict[Line, bool] = {}
        for batch in batches:
            line = (batch.node, batch.epoch)
            seqs.setdefault(line, set()).update(row.seq for row in batch.rows)
            unnumbered.setdefault(line, set()).update(batch.unnumbered)
            tells_starts[line] = tells_starts.get(line, True) and bool(batch.start)
        return [self._receipt(line, seqs[line], unnumbered[line], knows) for line, knows in tells_starts.items()]

    def _receipt(self, line: Line, seqs: set[int], unnumbered: set[int], knows_up_to: bool) -> Receipt:  # noqa: FBT001 - private
        """An agent that does not tell its start reads ranges only."""
        received = self.books[line].received
        up_to = received.up_to
        beyond = [*received.around(seqs, FEW_RANGES), *ranges(seq for seq in seqs if seq > up_to)]
        said = [*ranges(unnumbered), *joined(sorted(beyond))]
        if not knows_up_to and up_to:
            return Receipt(*line, 0, tuple(sorted([(1, up_to), *said])))
        return Receipt(*line, up_to, tuple(sorted(said)))

    def _opened(self, line: Line) -> Books:
        books = self.books[line]
        books.first_ms = books.first_ms or self.now_ms
        books.last_ms = max(books.last_ms, self.now_ms)
        return books


def lines(batches: Iterable[Batch]) -> set[Line]:
    """All epochs that these speak of."""
    found: set[Line] = set()
    for batch in batches:
        found.add((batch.node, batch.epoch))
        found.update((batch.node, tally.epoch) for tally in batch.tallies)
        found.update((batch.node, row.hole.epoch or batch.epoch) for row in batch.rows if row.kind is Kind.GAP)
    return found


def _sorted_out(rows: Sequence[Row], received: Numbers) -> tuple[Sequence[Row], list[Row]]:
    """Those whose numbers come for the first time, and the others."""
    seqs = {row.seq for row in rows}
    if len(seqs) == len(rows) and not received.beyond and (not seqs or min(seqs) > received.up_to):
        return rows, []
    fresh, again = [], []
    for row in rows:
        if row.seq in seqs and row.seq not in received and not received.in_doubt(row.seq):
            seqs.discard(row.seq)
            fresh.append(row)
        else:
            again.append(row)
    return fresh, again
