"""Pages of the fleet, over the services: reads what each view is made of. The views themselves are pure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from controlplane.books.domain import contact, linked
from controlplane.container import Services
from controlplane.fleet import sources
from controlplane.insights.domain import Span
from controlplane.insights.matching import Wanted
from controlplane.insights.repository import Only
from controlplane.insights.service import InsightsService
from controlplane.rollups.domain import Level
from controlplane.shape import moment
from controlplane.ui import camera, decided, deciding, fleet, lists, node, spans, wall
from controlplane.ui.boxes import Stats
from controlplane.ui.live import Maker
from controlplane.ui.outcomes import CHART_MS, SETTLE_MS, SHARE_MS, chart, chart_end, drawn_on
from controlplane.ui.page import Asked, Document, Value, View
from controlplane.ui.shell import Page, each
from protos.errors import Rejected

DAY_MS = 86_400_000
MOST_STATS = 2_000
ROLLED_MS = 15_000  # by then what was stored stands in its minutes, see controlplane.main.ROLL_SECONDS
NEWEST_MS = 20_000  # of the chart that a new column draws again, for boxes that tell a little late


More = Callable[[Span, Level], dict[str, Value]]


class FleetChart:
    """The chart of the whole fleet, one for all who look. For a new column its end is drawn again, and all of it once
    in a while: a box that was away tells late.
    """

    def __init__(self, insights: InsightsService) -> None:
        self._insights = insights
        self._lock = threading.Lock()
        self._whole_ms = 0  # when all of it was read last
        self._drawn: Mapping[str, Any] = {"end": 0}

    def drawn(self) -> Mapping[str, Any]:
        """Raises Retryable."""
        with self._lock:
            end_ms = chart_end(self._insights.now_ms)
            if end_ms != self._drawn["end"]:
                self._drawn = self._until(end_ms)
            return self._drawn

    def _until(self, end_ms: int) -> Mapping[str, Any]:
        if not 0 <= end_ms - self._whole_ms < SHARE_MS:
            whole = chart(self._insights.counts(end_ms - CHART_MS, end_ms + SHARE_MS), end_ms)
            self._whole_ms = end_ms
            return whole
        newest = chart(self._insights.recent(end_ms - NEWEST_MS), end_ms, NEWEST_MS)
        return drawn_on(self._drawn, newest)


class FleetPages:
    """Makes the page of each address, with whatever filter, around one chart of each control plane."""

    def __init__(self) -> None:
        self._charts: WeakKeyDictionary[InsightsService, FleetChart] = WeakKeyDictionary()

    def __call__(self, services: Services, asked: Asked) -> Maker:
        found = self._charts.setdefault(services.insights, FleetChart(services.insights))
        return partial(fleet_page, services, asked, found)


def fleet_page(services: Services, asked: Asked, drawn: FleetChart) -> View:
    """Raises Retryable."""
    insights, now = services.insights, services.insights.now_ms
    seen = services.fleet.overview()
    return fleet.fleet(
        fleet.Input(
            now_ms=now,
            nodes=seen.nodes,
            cameras=seen.cameras,
            deployments=seen.deployments,
            windows=insights.recent(now - SHARE_MS - SETTLE_MS),
            stats=newest_stats(services),
            lost=insights.lost(),
            books=services.books.fleet(),
            chart=drawn.drawn(),
            trouble=services.telemetry.trouble,
            filter=lists.asked(asked.query, "boxes"),
            unsigned=services.proposals.waiting(),
            look=asked.query.get("boxes", ""),
        )
    )


def newest_stats(services: Services, name: str = "") -> dict[str, Stats]:
    return {
        node_id: Stats(row.cpu_cores_used, row.memory_bytes, row.outbox_waiting, row.disk_free_bytes)
        for node_id, row in services.insights.latest_stats(name).items()
    }


def wall_page(services: Services, asked: Asked) -> View:
    now, seen = services.insights.now_ms, services.fleet.overview()
    windows = services.insights.recent(now - SHARE_MS - SETTLE_MS)
    return wall.wall(wall.Input(now, seen.nodes, seen.cameras, windows, seen.deployments, lists.asked(asked.query)))


class Spans:
    """The charts of a span, read anew when they have a new column."""

    def __init__(self, services: Services, only: Only, query: Mapping[str, str]) -> None:
        self.key = query.get("span", "") if query.get("span", "") in spans.SPANS else spans.USUAL
        self._services = services
        self._only = only
        self._end_ms = 0
        self._drawn: dict[str, Value] = {}

    def drawn(self, deadline_ms: int, more: More) -> dict[str, Value]:
        """`more`: what else is drawn. Raises Retryable."""
        step_ms = spans.step_of(self.key)
        late_ms = ROLLED_MS if step_ms >= Level.MINUTE.ms else 0
        end_ms = chart_end(self._services.insights.now_ms - late_ms, min(step_ms, Level.HOUR.ms))
        if end_ms != self._end_ms:
            span = Span(end_ms - spans.length_of(self.key), end_ms, step_ms)
            level = self._level(span)
            self._drawn = {**self._charts(span, level, deadline_ms), **more(span, level)}
            self._end_ms = end_ms
        return self._drawn

    def _charts(self, span: Span, level: Level, deadline_ms: int) -> dict[str, Value]:
        if level is Level.RAW:
            windows = self._services.insights.windows(self._only, span.since_ms, span.until_ms + SHARE_MS)
            return spans.charts(windows, span, deadline_ms)
        return spans.long_charts(self._services.history.buckets(self._only, span, level), span, deadline_ms)

    def _level(self, span: Span) -> Level:
        """Where nothing is kept for so long in steps so fine, what there is is shown."""
        try:
            return self._services.history.level(self._only, span, cameras=bool(self._only.camera))
        except Rejected:
            return Level.RAW


class NodePage:
    def __init__(self, services: Services, asked: Asked) -> None:
        self._services = services
        self._name = asked.name
        self._spans = Spans(services, Only(node=asked.name), asked.query)

    def __call__(self) -> View:
        """Raises NotFound, Retryable."""
        services, name = self._services, self._name
        seen = services.fleet.around_node(name)
        (document,), deployments = seen.nodes, seen.deployments
        insights, now = services.insights, services.insights.now_ms
        newest, kept = insights.node_stats(name, now - DAY_MS, 1), services.books.node(name)
        return node.node(
            node.Input(
                now_ms=now,
                node=document,
                cameras=seen.cameras,
                deployments=deployments,
                windows=insights.windows(Only(node=name), now - SHARE_MS - SETTLE_MS, now + SHARE_MS),
                stats=newest_stats(services, name),
                lost=insights.lost(name),
                drawn=self._spans.drawn(node.deadline_of(name, deployments), partial(self._beside, document)),
                span=self._spans.key,
                dropped=newest[0].outbox_dropped if newest else 0,
                told_ms=newest[0].at_ms if newest else 0,
                kept=kept,
                linked=linked(contact(document["status"]), kept),
            )
        )

    def _beside(self, document: Document, span: Span, level: Level) -> dict[str, Value]:
        """What the box spent, and how it decided for each deployment that it tells of."""
        found = self._steps(span, level)
        drawn = self._resources(span, level)
        for deployment in deciding.shown(document):
            drawn |= decided.charts(deployment, found.get(deployment, ()), span)
        return drawn

    def _steps(self, span: Span, level: Level) -> dict[str, list[decided.Step]]:
        only = Only(node=self._name)
        if level is Level.RAW:
            windows = self._services.insights.windows(only, span.since_ms, span.until_ms + SHARE_MS)
            return decided.of_windows(windows, span)
        summed = self._services.history.summed(only, span, level, ("deployment",))
        return decided.of_sums([("".join(each.whose), each.start_ms, each.sums) for each in summed], span)

    def _resources(self, span: Span, level: Level) -> dict[str, Value]:
        if level is Level.RAW:
            rows = self._services.insights.node_stats(self._name, span.since_ms, MOST_STATS)
            spent = [node.Spent(row.at_ms, row.cpu_cores_used, row.memory_bytes) for row in reversed(rows)]
        else:
            steps = self._services.history.stats(Only(node=self._name), span, level).get(self._name, {})
            spent = [node.meant(at + span.step_ms // 2, steps[at]) for at in sorted(steps)]
        return node.resources(spent, span.since_ms, span.until_ms)


class CameraPage:
    def __init__(self, services: Services, asked: Asked) -> None:
        self._services = services
        self._name = asked.name
        self._spans = Spans(services, Only(camera=asked.name), asked.query)

    def __call__(self) -> View:
        """Raises NotFound, Retryable."""
        services, name, insights = self._services, self._name, self._services.insights
        seen, now = services.fleet.around_camera(name), insights.now_ms
        (document,), deployments = seen.cameras, seen.deployments
        windows = insights.windows(Only(camera=name), now - SHARE_MS - SETTLE_MS, now + SHARE_MS)
        return camera.camera(
            camera.Input(
                now_ms=now,
                camera=document,
                nodes=services.fleet.edge_names(),
                windows=windows,
                deployments=deployments,
                found=self._found(now),
                fared=self._fared(now),
                drawn=self._spans.drawn(camera.deadline_of(windows, deployments), lambda _span, _level: {}),
                span=self._spans.key,
            )
        )

    def _found(self, now_ms: int) -> list[camera.Found]:
        wanted = Wanted(now_ms - DAY_MS, now_ms + SHARE_MS, camera=self._name)
        rows = [each.row for each in self._services.insights.detections(wanted, camera.NEWEST).items]
        return [
            camera.Found(moment(row.at_ms), row.outcome, row.ran_on, row.latency_seconds, row.boxes) for row in rows
        ]

    def _fared(self, now_ms: int) -> list[camera.Fared]:
        rows = self._services.insights.camera_history(self._name, now_ms - DAY_MS, camera.NEWEST)
        return [camera.Fared(moment(row.at_ms), row.state, sources.scrubbed(row.reason)) for row in rows]


PAGES = (
    Page("/", FleetPages()),
    Page("/cameras", each(wall_page)),
    Page("/cameras/{name}", CameraPage),
    Page("/nodes/{name}", NodePage),
)
