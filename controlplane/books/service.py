"""Questions about the books, each one read transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from controlplane.books import checking, domain
from controlplane.books.checking import Deviation, Recount
from controlplane.books.domain import Conflict, FleetBooks, Line, NodeBooks
from controlplane.books.repository import BooksRepository, Wanted
from controlplane.db import Database
from controlplane.insights.matching import Place
from controlplane.ports import Clock
from controlplane.settings.repository import SettingsRepository
from controlplane.tables import Gap

FLEET_MS = 5_000  # the books of the whole fleet are read anew so often at most
ROWS_AT_ONCE = 1_000_000  # recounted for one answer, unless one line alone has more: seconds


Judged = Sequence[tuple[Line, domain.Sums]]


@dataclass(frozen=True)
class Page:
    gaps: Sequence[Gap]
    after: Place | None  # behind which the next page begins; None: this is the last


@dataclass(frozen=True)
class Verified:
    """A part of the lines of one box, recounted. `after`: the epoch behind which the next part begins; empty: all done.

    `kept`: of the whole box, with the first part; `swept`: records that were counted and that retention has taken.
    """

    kept: NodeBooks
    lines: int
    rows: int
    swept: int
    deviations: Sequence[Deviation]
    after: str = ""


class BooksService:
    """Blocking and thread-safe. Each method raises Retryable when the database is away."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._fleet: FleetBooks | None = None

    @property
    def now_ms(self) -> int:
        return int(self._clock.unix() * 1000)

    def node(self, name: str) -> NodeBooks:
        """All of one box; of one that nobody knows, empty books."""
        with self._database.read() as session:
            return self._of(BooksRepository(session), name)

    def fleet(self) -> FleetBooks:
        """Cheap to ask again and again: at most FLEET_MS old."""
        with self._lock:
            now = self.now_ms
            if self._fleet is None or not 0 <= now - self._fleet.now_ms < FLEET_MS:
                self._fleet = self._read_fleet(now)
            return self._fleet

    def conflicts(self, node: str = "") -> list[Conflict]:
        """Of one box, or of all; the newest first."""
        with self._database.read() as session:
            return _conflicts(BooksRepository(session), node)

    def gaps(self, wanted: Wanted, limit: int, after: Place | None = None) -> Page:
        """What boxes declared dropped, one Gap after another, newest first."""
        with self._database.read() as session:
            rows = BooksRepository(session).gaps(wanted, after, limit + 1)
        if len(rows) <= limit:
            return Page(rows, None)
        last = rows[limit - 1]
        return Page(rows[:limit], Place(last.at_ms, last.node_id, last.epoch, last.seq))

    def gap_sums(self, wanted: Wanted, step_ms: int) -> list[tuple[int, str, int]]:
        """Records declared dropped, by start of a step (Unix ms) and class."""
        with self._database.read() as session:
            found = BooksRepository(session).gap_sums(wanted, step_ms)
        return [(number * step_ms, record_class, count) for number, record_class, count in found]

    def verify(self, name: str, after: str = "") -> Verified:
        """Recount the rows of a box's lines behind the epoch `after`: as many as make ROWS_AT_ONCE."""
        with self._database.read() as session:
            repository = BooksRepository(session)
            repository.snapshot()
            kept, lines = self._of(repository, name), repository.lines(name)
            judged = domain.judged(lines, repository.starts([name]), self.now_ms)
            left = [each for each in judged if each[0].epoch > after]
            part = _part(left)
            recounts = _recounted(repository, part, SettingsRepository(session).swept_before_ms())
            unbooked = [] if after else repository.unbooked(name, frozenset(line.epoch for line in lines))
        found = [
            each
            for (line, sums), recount in zip(part, recounts, strict=True)
            for each in checking.deviations(line, recount, sums)
        ]
        if not after:
            found += [checking.unbooked(name, *each) for each in unbooked]
            found += checking.of_conflicts(each for each in kept.conflicts if each.recent(self.now_ms))
        rows = sum(recount.rows for recount in recounts)
        swept = sum(
            max(0, line.stored - recount.rows)
            for (line, _), recount in zip(part, recounts, strict=True)
            if recount.swept
        )
        return Verified(kept, len(part), rows, swept, found, part[-1][0].epoch if len(part) < len(left) else "")

    def _of(self, repository: BooksRepository, name: str) -> NodeBooks:
        lines, starts = repository.lines(name), repository.starts([name])
        return domain.books(name, lines, self.now_ms, starts, repository.dropped(name), repository.clashes(name))

    def _read_fleet(self, now_ms: int) -> FleetBooks:
        with self._database.read() as session:
            repository = BooksRepository(session)
            lines, settled = repository.open_lines(), repository.settled()
            starts = _by_node(repository.starts({line.node for line in lines if _stuck(line, now_ms)}))
            told = [each for each in _conflicts(repository, "") if each.recent(now_ms)]
        opened = {
            name: domain.books(name, those, now_ms, starts.get(name, ())) for name, those in _by_node(lines).items()
        }
        return domain.fleet(now_ms, settled, opened, told)


def _conflicts(repository: BooksRepository, node: str) -> list[Conflict]:
    starts = _by_node(repository.starts([node]) if node else repository.doubtful_starts())
    clashes = _by_node(repository.clashes(node))
    names = starts.keys() | clashes.keys()
    found = [told for name in names for told in domain.conflicts(starts.get(name, ()), clashes.get(name, ()))]
    return sorted(found, key=lambda each: (-each.at_ms, each.node))


class _OfNode(Protocol):
    @property
    def node(self) -> str: ...


Each = TypeVar("Each", bound=_OfNode)


def _by_node(items: Iterable[Each]) -> dict[str, list[Each]]:
    found: dict[str, list[Each]] = {}
    for each in items:
        found.setdefault(each.node, []).append(each)
    return found


def _stuck(line: Line, now_ms: int) -> bool:
    """Told too long ago for what waits to be just under way: its outbox may be gone."""
    return now_ms - line.told_ms > domain.SETTLE_MS


def _recounted(repository: BooksRepository, part: Judged, swept_before_ms: int) -> list[Recount]:
    """With the numbers that are missing, where some are."""
    lines = [line for line, _ in part]
    found = repository.recounted(lines, swept_before_ms)
    return [
        checking.with_holes(each, repository.holes(line, each.declared)) if checking.suspicious(line, each) else each
        for line, each in zip(lines, found, strict=True)
    ]


def _part(judged: Judged) -> Judged:
    """The first ones, of which no more rows than ROWS_AT_ONCE are to be counted; one at least."""
    rows = 0
    for index, (line, _) in enumerate(judged):
        rows += line.stored
        if index and rows > ROWS_AT_ONCE:
            return judged[:index]
    return judged
