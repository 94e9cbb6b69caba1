"""Questions about telemetry over any span: each answered by the finest level that is few rows and still kept.

What minutes and hours say lags behind what is stored by the ten seconds in which it is rolled up. A question that would
add up too much is refused with what to ask instead. Each method raises Retryable when the database is away.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controlplane.db import Database, Session
from controlplane.history import exporting
from controlplane.history.domain import MOST_POINTS, MOST_ROWS, By, Metric
from controlplane.history.exporting import What
from controlplane.history.repository import HistoryRepository, Row, Summed
from controlplane.insights.domain import Bucket, Span, Sums, Window, gathered, sums
from controlplane.insights.repository import InsightsRepository, Only
from controlplane.partitions.domain import slack_ms
from controlplane.ports import Clock
from controlplane.rollups import domain as rollups
from controlplane.rollups.domain import SUMS, Level, Stat
from controlplane.rollups.service import kept_of
from controlplane.settings.repository import SettingsRepository
from controlplane.tables import CameraHealth, Detection, Gap, NodeStat, OutcomeCount
from protos.errors import Rejected

MAX_WINDOWS = 200_000  # raw records one answer may add up
PAGE_ROWS = 5_000  # of a file, read at a time
EXPORTS_AT_ONCE = 2
_RECORDS = {
    What.OUTCOMES: OutcomeCount,
    What.NODES: NodeStat,
    What.DETECTIONS: Detection,
    What.CAMERAS: CameraHealth,
    What.GAPS: Gap,
}


@dataclass(frozen=True)
class Question:
    metric: Metric
    aggregate: str
    by: By
    only: Only
    span: Span


@dataclass(frozen=True)
class Series:
    whose: str  # "": of all
    points: Sequence[tuple[int, float | None]]  # start of the step; None: nothing was there


@dataclass(frozen=True)
class Answer:
    level: Level
    series: Sequence[Series]


@dataclass(frozen=True)
class Wish:
    """A file of telemetry, of [since, until)."""

    what: What
    level: Level
    only: Only
    since_ms: int
    until_ms: int


class HistoryService:
    """Blocking and thread-safe."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._reading = threading.BoundedSemaphore(EXPORTS_AT_ONCE)

    @property
    def now_ms(self) -> int:
        return int(self._clock.unix() * 1000)

    def level(self, only: Only, span: Span, *, cameras: bool = True) -> Level:
        """What answers it: a coarser one than usual where that would be too much to add up.

        `cameras`: one by one, else all of a box together. Raises Rejected: nothing so fine is kept for so long.
        """
        with self._database.read() as session:
            kept = kept_of(SettingsRepository(session).spec())
            levels = rollups.levels_of(span.since_ms, span.until_ms, span.step_ms, self.now_ms, kept)
            return next((each for each in levels[:-1] if _fits(session, each, only, span, cameras)), levels[-1])

    def ask(self, question: Question) -> Answer:
        """Raises Rejected: too much, or nothing that is kept."""
        one_by_one = question.by is By.CAMERA or bool(question.only.camera)
        level = self.level(question.only, question.span, cameras=one_by_one)
        if question.metric.boxes is not None:
            return Answer(level, self._of_boxes(question, level))
        by = () if question.by is By.ALL else (question.by.value,)
        steps = self.summed(question.only, question.span, level, by, question.metric.columns)
        found = gathered(steps, lambda each: each.whose)
        _bounded(len(found) * len(question.span.starts))
        return Answer(level, [Series("".join(whose), _points(question, told)) for whose, told in found.items()])

    def buckets(self, only: Only, span: Span, level: Level) -> list[Bucket]:
        """One per step, those without a frame included."""
        found = {each.start_ms: each.sums for each in self.summed(only, span, level)}
        return [Bucket(start, found.get(start, Sums())) for start in span.starts]

    def summed(
        self, only: Only, span: Span, level: Level, by: Sequence[str] = (), columns: Sequence[str] = SUMS
    ) -> list[Summed]:
        """How frames ended in each step; more than `columns` may be told. Raises Rejected: too much to add up."""
        with self._database.read() as session:
            if level is Level.RAW:
                return _of_windows(_windows(InsightsRepository(session), only, span), span, by)
            repository = HistoryRepository(session)
            _few(repository.series(only, cameras="camera" in by or bool(only.camera)), span, level)
            return repository.summed(level, only, span, by, columns=columns)

    def windows(self, only: Only, span: Span) -> list[Window]:
        """As they came. Raises Rejected when they are too many to add up."""
        with self._database.read() as session:
            return _windows(InsightsRepository(session), only, span)

    def whole(self, only: Only, span: Span, level: Level) -> list[Summed]:
        """Of the whole span, by box, camera and deployment. Raises Rejected."""
        by = ("node", "camera", "deployment")
        with self._database.read() as session:
            repository = HistoryRepository(session)
            _few(repository.series(only, cameras=True), span, level)
            return repository.summed(level, only, span, by, stepped=False)

    def stats(self, only: Only, span: Span, level: Level) -> dict[str, dict[int, Stat]]:
        """What boxes spent, by box and step. Raises Rejected."""
        with self._database.read() as session:
            repository = HistoryRepository(session)
            if level is Level.RAW:
                rows = repository.raw_stats(only, span.since_ms, span.until_ms, MAX_WINDOWS + 1)
                told = [(row["node_id"], row["at_ms"], rollups.stat(row)) for row in rows]
            else:
                told = repository.stats(level, only, span.since_ms, span.until_ms, MAX_WINDOWS + 1)
        if len(told) > MAX_WINDOWS:
            raise Rejected(f"that is more than {MAX_WINDOWS} figures of boxes; ask for a shorter span, or for one node")
        found: dict[str, dict[int, Stat]] = {}
        for node, at_ms, stat in told:
            steps, start = found.setdefault(node, {}), at_ms - (at_ms - span.since_ms) % span.step_ms
            steps[start] = steps[start].plus(stat) if start in steps else stat
        return found

    # ---- files ----

    def export(self, wish: Wish) -> Iterator[list[Row]]:
        """Pages of rows that are ready for `exporting.columns`, oldest first. Each may raise Retryable.

        At most EXPORTS_AT_ONCE are read at a time, a page in turn: pages of the browser want the processor, too.
        """
        pages = self._pages(wish)
        while True:
            with self._reading:
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _pages(self, wish: Wish) -> Iterator[list[Row]]:
        for since_ms, until_ms in self._slices(wish):
            after: Row | None = None
            while page := self._page(replace(wish, since_ms=since_ms, until_ms=until_ms), after):
                yield [exporting.ready(wish.what, wish.level, row) for row in page]
                after = page[-1]
                if len(page) < PAGE_ROWS:
                    break

    def _slices(self, wish: Wish) -> Iterator[tuple[int, int]]:
        """Steps are found by their series: so many at a time that about a page comes of it, whatever is chosen. Only
        where there may be any: who asks for all of time keeps nobody waiting.
        """
        if wish.level is Level.RAW:
            yield wish.since_ms, wish.until_ms
            return
        with self._database.read() as session:
            series = max(1, HistoryRepository(session).series(wish.only, cameras=wish.what is What.OUTCOMES))
            kept_ms = kept_of(SettingsRepository(session).spec()).of(wish.level)
        length = max(1, PAGE_ROWS // series) * wish.level.ms
        oldest = self.now_ms - kept_ms - slack_ms(kept_ms)
        since_ms, until_ms = max(wish.since_ms, oldest - oldest % wish.level.ms), min(wish.until_ms, self.now_ms + 1)
        for start in range(since_ms, until_ms, length):
            yield start, min(start + length, until_ms)

    def _page(self, wish: Wish, after: Row | None) -> list[Row]:
        with self._database.read() as session:
            repository = HistoryRepository(session)
            span: Any = (wish.only, wish.since_ms, wish.until_ms, after, PAGE_ROWS)
            if wish.level is Level.RAW:
                return repository.records(_RECORDS[wish.what], *span)
            of_frames = wish.what is What.OUTCOMES
            return (repository.outcome_steps if of_frames else repository.stat_steps)(wish.level, *span)

    def _of_boxes(self, question: Question, level: Level) -> list[Series]:
        if question.by not in (By.NODE, By.ALL) or question.only.camera or question.only.deployment:
            raise Rejected(f"{question.metric.name} is of boxes: ask for it by node, of no camera or deployment")
        found = self.stats(question.only, question.span, level)
        _bounded(len(found) * len(question.span.starts))
        value = question.metric.boxes
        assert value is not None
        return [
            Series(
                node,
                [(at, value(steps[at], question.aggregate) if at in steps else None) for at in question.span.starts],
            )
            for node, steps in sorted(found.items())
        ]


def _fits(session: Session, level: Level, only: Only, span: Span, cameras: bool) -> bool:  # noqa: FBT001 - as `level`
    if level is Level.RAW:
        return not InsightsRepository(session).more_windows_than(MAX_WINDOWS, only, span.since_ms, span.until_ms)
    return _rows(HistoryRepository(session).series(only, cameras=cameras), span, level) <= MOST_ROWS


def _rows(series: int, span: Span, level: Level) -> int:
    return series * -(-(span.until_ms - span.since_ms) // level.ms)


def _windows(repository: InsightsRepository, only: Only, span: Span) -> list[Window]:
    if repository.more_windows_than(MAX_WINDOWS, only, span.since_ms, span.until_ms):
        raise Rejected(
            f"that is more than the {MAX_WINDOWS} windows of telemetry one answer may sum up; ask for a shorter span, a"
            " step of whole minutes, or for one node, camera or deployment"
        )
    return repository.windows(only, span.since_ms, span.until_ms)


def _of_windows(windows: Sequence[Window], span: Span, by: Sequence[str]) -> list[Summed]:
    """In order of time, as the database does it with steps."""
    found: dict[tuple[int, tuple[str, ...]], list[Window]] = {}
    for window in windows:
        start = window.end_ms - (window.end_ms - span.since_ms) % span.step_ms
        found.setdefault((start, tuple(getattr(window, word) for word in by)), []).append(window)
    return [Summed(whose, start, sums(found[start, whose])) for start, whose in sorted(found)]


def _few(series: int, span: Span, level: Level) -> None:
    rows = _rows(series, span, level)
    if rows > MOST_ROWS:
        raise Rejected(
            f"that is up to {rows} {level}s of {series} series, more than the {MOST_ROWS} one answer may add up; ask"
            " for a shorter span, or for one node, camera or deployment, or save them with 'longshore download'"
        )


def _bounded(points: int) -> None:
    if points > MOST_POINTS:
        raise Rejected(f"that makes more than {MOST_POINTS} points; take a longer step, or fewer nodes or cameras")


def _points(question: Question, told: Sequence[Summed]) -> list[tuple[int, float | None]]:
    value = question.metric.frames
    assert value is not None
    found = {each.start_ms: each.sums for each in told}
    seconds = question.span.step_ms / 1000
    return [(at, value(found.get(at, Sums()), question.aggregate, seconds)) for at in question.span.starts]
