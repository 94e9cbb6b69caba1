"""All SQL of the books. Reads only.

Rows are recounted by the key (node, epoch, seq), an index of every table of records: counting touches no row, and what
numbers two tables share is found by walking one index beside the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, intersect, or_, select, tuple_, union_all
from sqlalchemy.orm import Session, aliased

from controlplane.books.checking import Declared, Recount
from controlplane.books.domain import CLASSES, UNTOLD, Clash, Dropped, Line, Range, Start, Sums
from controlplane.db import added
from controlplane.insights.matching import Place
from controlplane.tables import (
    AgentStart,
    CameraHealth,
    Detection,
    Epoch,
    Gap,
    Node,
    NodeStat,
    OutcomeCount,
    RecordConflict,
)

RECORDS = (Detection, OutcomeCount, CameraHealth, NodeStat, Gap)
Records = Detection | OutcomeCount | CameraHealth | NodeStat | Gap
HOLES_TOLD = 3
RANGES_AT_ONCE = 200  # in one question
LINES_AT_ONCE = 500  # the same
_STANDS_IN = (Gap.dropped == 0) & (
    Gap.first_seq == Gap.last_seq
)  # for a record that was refused (ingest.domain.refusal)
_DECLARED = case((_STANDS_IN, 1), else_=Gap.dropped)
_LINE = (
    Epoch.node_id, Epoch.epoch, Epoch.record_class, Epoch.start, Epoch.first_ms, Epoch.last_ms, Epoch.up_to,
    Epoch.beyond, Epoch.stored, Epoch.dropped, Epoch.told_accepted, Epoch.told_waiting, Epoch.told_dropped,
    Epoch.told_oldest_ms, Epoch.told_ms,
)  # fmt: skip
_START: Any = (AgentStart.node_id, AgentStart.start, AgentStart.before, AgentStart.first_ms, AgentStart.last_ms)
# A line of which something may wait or be missing. Agents before 0.2 tell nothing; their numbers have holes then.
_OPEN = or_(
    and_(Epoch.told_ms > 0, or_(Epoch.told_waiting > 0, Epoch.told_accepted > Epoch.stored + Epoch.dropped)),
    and_(Epoch.told_ms == 0, Epoch.up_to < Epoch.stored + Epoch.dropped),
)


@dataclass(frozen=True)
class Wanted:
    """Which gaps; an empty name leaves all in. Moments are those of their arrival, by our clock."""

    since_ms: int
    until_ms: int
    node: str = ""
    record_class: str = ""
    reason: str = ""


class BooksRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def snapshot(self) -> None:
        """See one moment of the database from here on, before anything else was asked. SQLite always does."""
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.connection(execution_options={"isolation_level": "REPEATABLE READ"})

    # ---- books ----

    def lines(self, node: str) -> list[Line]:
        """Of one box, by name of their epoch; in the order of these letters, whatever the database's own is."""
        rows = self._session.execute(select(*_LINE).where(Epoch.node_id == node))
        return sorted(map(_line, rows), key=lambda line: line.epoch)

    def open_lines(self) -> list[Line]:
        """Of every box of the fleet, those of which something may wait."""
        return [_line(row) for row in self._session.execute(_of_fleet(select(*_LINE).where(_OPEN), Epoch.node_id))]

    def settled(self) -> dict[str, Sums]:
        """Of the other lines of the fleet, sums by class."""
        seen = Epoch.stored + Epoch.dropped
        accepted = added(case((Epoch.told_accepted > seen, Epoch.told_accepted), else_=seen))
        query = select(Epoch.record_class, accepted, added(Epoch.stored), added(Epoch.dropped)).where(~_OPEN)
        rows = self._session.execute(_of_fleet(query, Epoch.node_id).group_by(Epoch.record_class))
        found: dict[str, Sums] = {}
        for name, *figures in rows:
            of = name if name in CLASSES else UNTOLD
            found[of] = found.get(of, Sums()).plus(Sums(*map(int, figures)))
        return found

    def starts(self, nodes: Iterable[str]) -> list[Start]:
        """Of these boxes, by their names."""
        query = select(*_START).where(AgentStart.node_id.in_(sorted(nodes))).order_by(AgentStart.node_id)
        return [Start(*row) for row in self._session.execute(query)]

    def doubtful_starts(self) -> list[Start]:
        """Of the boxes of the fleet that may be two: a start has two after it, or more than one follows none that is
        known.
        """
        node, earlier = AgentStart.node_id, aliased(AgentStart)
        follows = exists().where(earlier.node_id == node, earlier.start == AgentStart.before)
        twice = select(node).group_by(node, AgentStart.before).having(func.count() > 1)
        first = select(node).where(~follows).group_by(node).having(func.count() > 1)
        rows = self._session.execute(_of_fleet(select(*_START), node).where(or_(node.in_(twice), node.in_(first))))
        return [Start(*row) for row in rows]

    def clashes(self, node: str = "") -> list[Clash]:
        """By box and epoch."""
        table = RecordConflict
        query: Any = select(table.node_id, table.epoch, func.count(), func.min(table.seq))
        query = query.add_columns(func.min(table.first_ms), func.max(table.last_ms))
        query = _narrowed(query, table.node_id, node)
        rows = self._session.execute(query.group_by(table.node_id, table.epoch))
        return [Clash(box, epoch, *map(int, rest)) for box, epoch, *rest in rows]

    # ---- gaps ----

    def dropped(self, node: str) -> list[Dropped]:
        """What this box declared dropped, ever, by class and reason; a refused record counts as one."""
        newest, least = func.max(Gap.at_ms), func.max(case((Gap.lower_bound, 1), else_=0))
        key = (Gap.node_id, Gap.record_class, Gap.reason)
        query = select(*key, added(_DECLARED), func.count(), func.min(Gap.at_ms), newest, least)
        rows = self._session.execute(query.where(Gap.node_id == node).group_by(*key).order_by(newest.desc()))
        return [
            Dropped(box, name, why, int(records), count, first, last, bool(most))
            for box, name, why, records, count, first, last, most in rows
        ]

    def gaps(self, wanted: Wanted, after: Place | None, limit: int) -> list[Gap]:
        """Newest first, from behind `after` on."""
        order = (Gap.at_ms, Gap.node_id, Gap.epoch, Gap.seq)
        query = select(Gap).where(*_chosen(wanted))
        if after is not None:
            behind = tuple_(*order) < tuple_(after.at_ms, after.node, after.epoch, after.seq)
            query = query.where(Gap.at_ms <= after.at_ms, behind)
        return list(self._session.scalars(query.order_by(*(column.desc() for column in order)).limit(limit)))

    def gap_sums(self, wanted: Wanted, step_ms: int) -> list[tuple[int, str, int]]:
        """Records declared dropped, by step of time (its number since 1970) and class."""
        step = Gap.at_ms // step_ms
        query = (
            select(step, Gap.record_class, added(_DECLARED)).where(*_chosen(wanted)).group_by(step, Gap.record_class)
        )
        return [(int(number), name, int(count)) for number, name, count in self._session.execute(query)]

    # ---- recounting ----

    def recounted(self, lines: Sequence[Line], swept_before_ms: int) -> list[Recount]:
        """The rows of these lines of one box. `swept_before_ms`: what was stored before, retention may have taken."""
        counts = {table: self._counted(table, lines) for table in RECORDS}
        declared = self._declared(lines)
        return [
            self._recount(
                line,
                {table: found[line.epoch] for table, found in counts.items() if found[line.epoch].rows},
                declared.get(line.epoch, ()),
                swept_before_ms,
            )
            for line in lines
        ]

    def _recount(
        self, line: Line, there: Mapping[type[Records], _Count], declared: tuple[Declared, ...], swept_before_ms: int
    ) -> Recount:
        exact = [(each.first, each.last) for each in declared if each.exact]
        rows = sum(each.rows for each in there.values())
        return Recount(
            rows=rows,
            below=sum(each.below for each in there.values()),
            within=sum(self._inside(table, line, line.beyond) for table in there),
            least=min((each.least for each in there.values()), default=0),
            twice=sum(self._shared(line, *pair) for pair in combinations(there, 2)),
            both=sum(self._inside(table, line, exact) for table in there),
            declared=declared,
            swept=line.first_ms < swept_before_ms and line.of != "gap",
            unbooked=sum(self._unbooked(table, line) for table in there) if rows > line.stored else 0,
        )

    def holes(self, line: Line, declared: Sequence[Declared]) -> tuple[Range, ...]:
        """The first numbers up to the watermark that no row has and no Gap declares."""
        numbers = union_all(*(select(table.seq).where(*_of(table, line)) for table in RECORDS)).subquery()
        walked = numbers.select().order_by(numbers.c.seq)
        gaps = sorted((each.first, each.last) for each in declared)
        found: list[Range] = []
        for first, last in _between(map(int, self._session.scalars(walked)), line.up_to):
            found += _without(first, last, gaps)
            if len(found) >= HOLES_TOLD:
                break
        return tuple(found[:HOLES_TOLD])

    def unbooked(self, node: str, known: frozenset[str]) -> list[tuple[str, int]]:
        """Epochs of stored records that have no line, and how many records that are: only those stored since books are
        kept, which have a digest.
        """
        found: dict[str, int] = {}
        for table in RECORDS:
            for epoch in self._epochs(table, node):
                if epoch not in known:
                    booked = (table.node_id == node, table.epoch == epoch, table.digest.is_not(None))
                    rows = self._session.scalar(select(func.count()).select_from(table).where(*booked))
                    found[epoch] = found.get(epoch, 0) + (rows or 0)
        return [(epoch, rows) for epoch, rows in sorted(found.items()) if rows]

    def _unbooked(self, table: type[Records], line: Line) -> int:
        """Rows of before there were books, which have no digest."""
        rows = select(func.count()).select_from(table).where(*_of(table, line), table.digest.is_(None))
        return self._session.scalar(rows) or 0

    def _epochs(self, table: type[Records], node: str) -> Iterator[str]:
        """From one to the next by the key, without a look at the rows between."""
        epoch: str | None = ""
        while (epoch := self._session.scalar(_next(table, node, epoch or ""))) is not None:
            yield epoch

    def _counted(self, table: type[Records], lines: Sequence[Line]) -> dict[str, _Count]:
        """By epoch. One question for many lines, each counted along the key."""
        its = (table.node_id == Epoch.node_id, table.epoch == Epoch.epoch)
        rows = select(func.count()).select_from(table).where(*its).correlate(Epoch).scalar_subquery()
        below = select(func.count()).select_from(table).where(*its, table.seq <= Epoch.up_to).correlate(Epoch)
        least = select(func.min(table.seq)).where(*its).correlate(Epoch).scalar_subquery()
        wanted = select(Epoch.epoch, rows, below.scalar_subquery(), func.coalesce(least, 0))
        found = (self._session.execute(wanted.where(*named)) for named in _parts(lines))
        return {epoch: _Count(*map(int, figures)) for part in found for epoch, *figures in part}

    def _inside(self, table: type[Records], line: Line, spans: Sequence[Range]) -> int:
        """Rows whose number lies in one of these ranges."""
        count = 0
        for at in range(0, len(spans), RANGES_AT_ONCE):
            within = or_(*(table.seq.between(first, last) for first, last in spans[at : at + RANGES_AT_ONCE]))
            count += self._session.scalar(select(func.count()).where(*_of(table, line), within)) or 0
        return count

    def _shared(self, line: Line, one: type[Records], other: type[Records]) -> int:
        """Numbers that rows of both tables have."""
        both = intersect(*(select(table.seq).where(*_of(table, line)) for table in (one, other))).subquery()
        return self._session.scalar(select(func.count()).select_from(both)) or 0

    def _declared(self, lines: Sequence[Line]) -> dict[str, tuple[Declared, ...]]:
        """By epoch, of all Gaps of the box: they are few."""
        of = case((Gap.gap_epoch == "", Gap.epoch), else_=Gap.gap_epoch)
        query = select(of, Gap.first_seq, Gap.last_seq, Gap.dropped)
        found: dict[str, list[Declared]] = {}
        for node in {line.node for line in lines}:
            for epoch, *span in self._session.execute(query.where(Gap.node_id == node, Gap.dropped > 0)):
                found.setdefault(epoch, []).append(Declared(*map(int, span)))
        return {epoch: tuple(those) for epoch, those in found.items()}


@dataclass(frozen=True)
class _Count:
    """Of the rows of one line in one table: all, those up to the watermark, and the smallest number."""

    rows: int
    below: int
    least: int


def _parts(lines: Sequence[Line]) -> Iterator[tuple[ColumnElement[bool], ...]]:
    for at in range(0, len(lines), LINES_AT_ONCE):
        part = lines[at : at + LINES_AT_ONCE]
        yield Epoch.node_id == part[0].node, Epoch.epoch.in_([line.epoch for line in part])


def _line(row: Iterable[Any]) -> Line:
    node, epoch, record_class, start, first, last, up_to, beyond, *rest = row
    return Line(node, epoch, record_class, start, first, last, up_to, tuple((a, b) for a, b in beyond), *rest)


def _of_fleet(query: Any, node_id: Any) -> Any:
    """What is left of a box that was deleted is no part of the fleet."""
    return query.join(Node, (Node.id == node_id) & Node.deleted_ms.is_(None))


def _narrowed(query: Any, node_id: Any, node: str) -> Any:
    return query.where(node_id == node) if node else _of_fleet(query, node_id)


def _of(table: type[Records], line: Line) -> tuple[ColumnElement[bool], ...]:
    return table.node_id == line.node, table.epoch == line.epoch


def _next(table: type[Records], node: str, epoch: str) -> Any:
    return select(func.min(table.epoch)).where(table.node_id == node, table.epoch > epoch)


def _chosen(wanted: Wanted) -> list[ColumnElement[bool]]:
    named = ((Gap.node_id, wanted.node), (Gap.record_class, wanted.record_class))
    found = [column == name for column, name in named if name]
    if wanted.reason:
        found.append(Gap.reason.contains(wanted.reason, autoescape=True))
    return [Gap.at_ms >= wanted.since_ms, Gap.at_ms < wanted.until_ms, *found]


def _between(numbers: Iterable[int], up_to: int) -> Iterator[Range]:
    """Closed ranges of those up to `up_to` that are not among `numbers`, which ascend."""
    reached = 0
    for number in numbers:
        if number > up_to:
            break
        if number > reached + 1:
            yield reached + 1, number - 1
        reached = max(reached, number)
    if reached < up_to:
        yield reached + 1, up_to


def _without(first: int, last: int, gaps: Iterable[Range]) -> list[Range]:
    """The parts of a range that none of `gaps`, which are in order, covers."""
    left: list[Range] = []
    for low, high in gaps:
        if first < low <= last:
            left.append((first, low - 1))
        if low <= last:
            first = max(first, high + 1)
    return [*left, (first, last)] if first <= last else left
