"""Whether the books are true: what a recount of the rows says against what was counted as they came. Pure.

Rules that hold here:

- everything is compared within one snapshot of the database, so a fleet that goes on telling changes nothing;
- numbers from 1 to the watermark, and those in the ranges behind it, are each stored once or declared dropped once, and
  no other number is either. That is proven by counting: numbers are unique within a table, so as many different ones
  as there is room for leave no hole;
- rows that retention has swept are not missed: of a line that began before the newest moment up to which it ever took
  any (settings.repository), whatever it is now, only what is there is judged. Nor is a line that began before there
  were books;
- a line that numbers all classes together (an agent before 0.2) has inexact gaps: its rows are counted, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controlplane.books.domain import UNTOLD, Conflict, Line, Range, Sums

MOST_RANGES = 5_000  # of a line that has more beyond its watermark, ingest forgets some (ingest.numbers)


class Code(StrEnum):
    """What is not as it should be; the meaning of each is in docs/telemetry.md."""

    MISSING = "missing"  # counted as stored, and not there
    UNCOUNTED = "uncounted"  # there, and never counted
    HOLE = "hole"  # acknowledged, and neither stored nor declared
    BEYOND = "beyond"  # stored or declared, and never acknowledged as such
    TWICE = "twice"  # one number stored as two records
    GAPS = "gaps"  # what Gaps declare is not what was counted as dropped
    GAP_TWICE = "gap-twice"  # one number declared dropped twice
    UNACCOUNTED = "unaccounted"  # accepted by the box, and nowhere
    CONFLICT = "conflict"  # more than one box under one name


@dataclass(frozen=True)
class Declared:
    """One stored Gap of a line. `exact`: its range holds nothing but what it declares."""

    first: int
    last: int
    dropped: int

    @property
    def exact(self) -> bool:
        return self.last - self.first + 1 == self.dropped


@dataclass(frozen=True)
class Recount:
    """What the rows of one line say. `rows`: all, however often a number; `least`: the smallest number, or 0."""

    rows: int = 0
    below: int = 0  # of them, those up to the watermark
    within: int = 0  # of them, those in the ranges behind it
    least: int = 0
    twice: int = 0  # numbers that stand in two tables
    both: int = 0  # rows whose number an exact Gap declares dropped, which was under way already
    declared: tuple[Declared, ...] = ()
    swept: bool = False  # retention may have taken some
    unbooked: int = 0  # of the rows, those of before there were books
    holes: tuple[Range, ...] = ()  # the first ones, where they were looked for


@dataclass(frozen=True)
class Deviation:
    node: str
    record_class: str
    epoch: str
    code: Code
    sentence: str


def deviations(line: Line, found: Recount, sums: Sums) -> Iterator[Deviation]:
    """What is wrong with one line; `sums` are those of domain.judged. Nothing: it is as it was told."""
    for code, sentence in (*_rows(line, found), *_numbers(line, found), *_gaps(line, found), *_at_rest(sums)):
        yield Deviation(line.node, line.of, line.epoch, code, sentence)


def of_conflicts(told: Iterable[Conflict]) -> list[Deviation]:
    return [Deviation(each.node, "", "", Code.CONFLICT, each.sentence) for each in told]


def unbooked(node: str, epoch: str, rows: int) -> Deviation:
    sentence = f"{rows} stored records stand in no book: the line of their epoch is gone from the database"
    return Deviation(node, UNTOLD, epoch, Code.UNCOUNTED, sentence)


def suspicious(line: Line, found: Recount) -> bool:
    """Numbers do not add up, so it is worth looking where the holes are."""
    return any(code in (Code.HOLE, Code.BEYOND) for code, _ in _numbers(line, found))


def with_holes(found: Recount, holes: tuple[Range, ...]) -> Recount:
    return replace(found, holes=holes)


def covered(spans: Iterable[Range]) -> int:
    """How many numbers lie in at least one of these closed ranges."""
    reached, count = 0, 0
    for first, last in sorted(spans):
        count += max(0, last - max(first - 1, reached))
        reached = max(reached, last)
    return count


def clipped(spans: Iterable[Range], wanted: Sequence[Range]) -> list[Range]:
    """The parts of `spans` that lie in `wanted`, whose ranges do not touch each other."""
    return [
        (max(first, low), min(last, high))
        for first, last in spans
        for low, high in wanted
        if max(first, low) <= min(last, high)
    ]


Said = Iterator[tuple[Code, str]]


def _rows(line: Line, found: Recount) -> Said:
    if found.unbooked:
        return
    counted = f"{line.stored} records were counted as they came and {found.rows} are here"
    if found.rows > line.stored:
        yield Code.UNCOUNTED, f"{counted}: {found.rows - line.stored} too many"
    elif found.rows < line.stored and not found.swept:
        gone = f"{line.stored - found.rows} were taken out of the database, and not by retention"
        yield Code.MISSING, f"{counted}: {gone}; compare with a backup"
    if found.twice:
        yield Code.TWICE, f"{found.twice} numbers are stored as two records each"


def _numbers(line: Line, found: Recount) -> Said:
    """Only where every number is accounted for by a row or an exact Gap."""
    if line.of == UNTOLD or not _exact(line, found):
        return
    spans, known = [(each.first, each.last) for each in found.declared], [(1, line.up_to), *line.beyond]
    below = found.below + covered(clipped(spans, known[:1])) - found.twice - found.both
    if below < line.up_to:
        where = f" (the first: {_ranges(found.holes)})" if found.holes else ""
        missing = f"{line.up_to - below} numbers up to {line.up_to} were acknowledged"
        yield Code.HOLE, f"{missing}, and are neither stored nor declared dropped{where}"
    behind, room = found.within + covered(clipped(spans, line.beyond)), sum(b - a + 1 for a, b in line.beyond)
    if behind < room:
        yield Code.HOLE, f"{room - behind} numbers behind {line.up_to} were acknowledged, and are not here"
    outside = found.rows - found.below - found.within + covered(spans) - covered(clipped(spans, known))
    if outside or (found.rows and found.least < 1):
        yield Code.BEYOND, f"{outside} numbers are stored or declared that the watermark {line.up_to} does not know"


def _exact(line: Line, found: Recount) -> bool:
    """Every number is known to be stored, declared or neither."""
    whole = not found.swept and not found.unbooked and len(line.beyond) < MOST_RANGES
    return whole and all(each.exact for each in found.declared)


def _gaps(line: Line, found: Recount) -> Said:
    inexact = sum(each.dropped for each in found.declared if not each.exact)
    spans = [(each.first, each.last) for each in found.declared if each.exact]
    declared = covered(spans) - found.both + inexact
    if declared != line.dropped and not (found.swept or found.unbooked):
        yield Code.GAPS, f"its Gaps declare {declared} records dropped, and {line.dropped} were counted as they came"
    twice = sum(last - first + 1 for first, last in spans) - covered(spans)
    if twice:
        yield Code.GAP_TWICE, f"{twice} numbers are declared dropped by two Gaps"


def _at_rest(sums: Sums) -> Said:
    if sums.unaccounted:
        told = f"{sums.stored} are stored, {sums.dropped} declared dropped, {sums.waiting} wait"
        nowhere = f"the box accepted {sums.accepted}; {told}: {sums.unaccounted} are nowhere"
        yield Code.UNACCOUNTED, f"{nowhere}. If its outbox was set aside or its disk replaced, they are there"


def _ranges(spans: Iterable[Range]) -> str:
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in spans)
