"""Questions about telemetry, each one read transaction."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.db import Database
from controlplane.history.service import HistoryService
from controlplane.insights import domain
from controlplane.insights.domain import Bucket, Counts, Lost, Span, Sums, Window
from controlplane.insights.matching import Boxes, Place, Wanted
from controlplane.insights.recent import RecentWindows
from controlplane.insights.repository import InsightsRepository, Only, RecordKey
from controlplane.ports import Clock
from controlplane.rollups.domain import Level
from controlplane.tables import CameraHealth, Detection, NodeStat

DAY_MS = 86_400_000
CHUNK, MOST_CHUNKS = 1_000, 20  # rows looked into at a time, and times, for one page
STALE_MS = 3_660_000  # figures older than this say nothing about now: a box tells them when they move, or once an hour


@dataclass(frozen=True)
class Outcomes:
    """How frames ended in a span of time."""

    span: Span
    total: Sums
    buckets: tuple[Bucket, ...]
    by_node: dict[str, Sums]
    by_camera: dict[str, Sums]
    by_deployment: dict[str, Sums]
    level: Level = Level.RAW


@dataclass(frozen=True)
class Found:
    """A detection, and those of its boxes that were asked for."""

    row: Detection
    boxes: Boxes


@dataclass(frozen=True)
class Page:
    items: list[Found]
    after: Place | None  # behind which the next page begins; None: this is the last


class InsightsService:
    """Blocking and thread-safe. Each method raises Retryable when the database is away."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._recent = RecentWindows(self._stored_since)
        self._history = HistoryService(database, clock)

    @property
    def now_ms(self) -> int:
        return int(self._clock.unix() * 1000)

    def outcomes(self, only: Only, span: Span) -> Outcomes:
        """Raises Rejected when that would be too much to add up, or nothing so fine is kept for so long."""
        level = self._history.level(only, span)
        if level is Level.RAW:
            windows = self._history.windows(only, span)
            parts, buckets = domain.parts(windows), domain.buckets(windows, span)
        else:
            whole = self._history.whole(only, span, level)
            parts = [domain.part(each.sums, *each.whose) for each in whole]
            buckets = self._history.buckets(only, span, level)
        return Outcomes(
            span=span,
            total=domain.sums(parts),
            buckets=tuple(buckets),
            by_node=domain.grouped(parts, lambda part: part.node),
            by_camera=domain.grouped(parts, lambda part: part.camera),
            by_deployment=domain.grouped(parts, lambda part: part.deployment),
            level=level,
        )

    def windows(self, only: Only, since_ms: int, until_ms: int) -> list[Window]:
        with self._database.read() as session:
            return InsightsRepository(session).windows(only, since_ms, until_ms)

    def recent(self, since_ms: int) -> list[Window]:
        """Of the whole fleet, at most recent.SPAN_MS back; cheap to ask again and again."""
        return self._recent.windows(self.now_ms, since_ms)

    def _stored_since(self, stored_ms: int, since_ms: int) -> dict[RecordKey, Window]:
        with self._database.read() as session:
            return InsightsRepository(session).stored_since(stored_ms, since_ms)

    def counts(self, since_ms: int, until_ms: int) -> list[Counts]:
        with self._database.read() as session:
            return InsightsRepository(session).counts(since_ms, until_ms)

    def detections(self, wanted: Wanted, limit: int, after: Place | None = None) -> Page:
        """Newest first, from behind `after` on: at most `limit`, and fewer where many had to be looked into."""
        found: list[Found] = []
        with self._database.read() as session:
            repository = InsightsRepository(session)
            for _ in range(MOST_CHUNKS):
                chunk = CHUNK if wanted.of_boxes else limit + 1
                rows = repository.detections(wanted, after, chunk)
                for row in rows:
                    boxes = wanted.chosen(row.boxes)
                    if boxes is not None and len(found) == limit:
                        return Page(found, after)
                    if boxes is not None:
                        found.append(Found(row, boxes))
                    after = Place(row.at_ms, row.node_id, row.epoch, row.seq)
                if len(rows) < chunk:
                    return Page(found, None)
        return Page(found, after)

    def node_stats(self, node: str, since_ms: int, limit: int) -> list[NodeStat]:
        with self._database.read() as session:
            return InsightsRepository(session).node_stats(node, since_ms, limit)

    def camera_history(self, camera: str, since_ms: int, limit: int) -> list[CameraHealth]:
        with self._database.read() as session:
            return InsightsRepository(session).camera_history(camera, since_ms, limit)

    def camera_changes(self, only: Only, since_ms: int, until_ms: int, limit: int) -> list[CameraHealth]:
        """How cameras fared in [since, until), newest first."""
        with self._database.read() as session:
            return InsightsRepository(session).camera_changes(only, since_ms, until_ms, limit)

    def gaps(self, only: Only, since_ms: int, until_ms: int, limit: int) -> list[Lost]:
        """What boxes declared dropped in [since, until), one by one, newest first."""
        with self._database.read() as session:
            return InsightsRepository(session).gaps(only, since_ms, until_ms, limit)

    def latest_stats(self, node: str = "") -> dict[str, NodeStat]:
        """Of boxes that told of late, or of one of them."""
        with self._database.read() as session:
            return InsightsRepository(session).latest_stats(self.now_ms - STALE_MS, node)

    def lost(self, node: str = "") -> list[Lost]:
        """What boxes, or one of them, declared dropped within the last day; newest first."""
        with self._database.read() as session:
            return InsightsRepository(session).lost(self.now_ms - DAY_MS, node)
