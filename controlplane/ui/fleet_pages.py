"""Pages of the fleet, over the services: reads what each view is made of. The views themselves are pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from controlplane.container import Services
from controlplane.fleet import sources
from controlplane.insights.matching import Wanted
from controlplane.insights.repository import Only
from controlplane.shape import moment
from controlplane.ui import camera, fleet, lists, node, spans, wall
from controlplane.ui.boxes import Stats
from controlplane.ui.outcomes import CHART_MS, SETTLE_MS, SHARE_MS, chart, chart_end, drawn_on
from controlplane.ui.page import Asked, Value, View
from controlplane.ui.shell import Page, each

DAY_MS = 86_400_000
MOST_STATS = 2_000


class FleetPage:
    """It needs the windows of a minute. For a new column of the chart only those are read again; all of it, five times
    as many, once in a while: a box that was away tells late.
    """

    def __init__(self, services: Services, asked: Asked) -> None:
        self._services = services
        self._asked = asked
        self._whole_ms = 0  # when all of the chart was read last
        self._drawn: Mapping[str, Any] = {"end": 0}

    def __call__(self) -> View:
        """Raises Retryable."""
        end_ms = chart_end(self._services.insights.now_ms)
        if end_ms != self._drawn["end"]:
            self._drawn = self._chart(end_ms)
        return fleet.fleet(self._input())

    def _chart(self, end_ms: int) -> Mapping[str, Any]:
        insights = self._services.insights
        if not 0 <= end_ms - self._whole_ms < SHARE_MS:
            drawn = chart(insights.counts(end_ms - CHART_MS, end_ms + SHARE_MS), end_ms)
            self._whole_ms = end_ms
            return drawn
        newest = chart(insights.counts(end_ms - SHARE_MS, end_ms + SHARE_MS), end_ms, SHARE_MS)
        return drawn_on(self._drawn, newest)

    def _input(self) -> fleet.Input:
        services, now = self._services, self._services.insights.now_ms
        return fleet.Input(
            now_ms=now,
            nodes=services.fleet.list_nodes(),
            cameras=services.fleet.list_cameras(),
            deployments=services.fleet.list_deployments(),
            windows=services.insights.windows(Only(), now - SHARE_MS - SETTLE_MS, now + SHARE_MS),
            stats=newest_stats(services),
            lost=services.insights.lost(),
            chart=self._drawn,
            trouble=services.telemetry.trouble,
            filter=lists.asked(self._asked.query, "boxes"),
            look=self._asked.query.get("boxes", ""),
        )


def newest_stats(services: Services) -> dict[str, Stats]:
    return {
        node_id: Stats(row.cpu_cores_used, row.memory_bytes, row.outbox_waiting, row.disk_free_bytes)
        for node_id, row in services.insights.latest_stats().items()
    }


def wall_page(services: Services, asked: Asked) -> View:
    now = services.insights.now_ms
    return wall.wall(
        wall.Input(
            now_ms=now,
            nodes=services.fleet.list_nodes(),
            cameras=services.fleet.list_cameras(),
            windows=services.insights.windows(Only(), now - SHARE_MS - SETTLE_MS, now + SHARE_MS),
            deployments=services.fleet.list_deployments(),
            filter=lists.asked(asked.query),
        )
    )


class Spans:
    """The charts of a span, read anew when they have a new column."""

    def __init__(self, services: Services, only: Only, query: Mapping[str, str]) -> None:
        self.key = query.get("span", "") if query.get("span", "") in spans.SPANS else spans.USUAL
        self.length_ms = spans.length_of(self.key)
        self._services = services
        self._only = only
        self._end_ms = 0
        self._drawn: dict[str, Value] = {}

    def drawn(self, deadline_ms: int, more: Callable[[int, int], dict[str, Value]]) -> dict[str, Value]:
        """`more`: what else is drawn, given since and until. Raises Retryable."""
        insights = self._services.insights
        end_ms = chart_end(insights.now_ms, spans.step_of(self.length_ms))
        if end_ms != self._end_ms:
            since = end_ms - self.length_ms
            windows = insights.windows(self._only, since, end_ms + SHARE_MS)
            self._drawn = {**spans.charts(windows, end_ms, self.length_ms, deadline_ms), **more(since, end_ms)}
            self._end_ms = end_ms
        return self._drawn


class NodePage:
    def __init__(self, services: Services, asked: Asked) -> None:
        self._services = services
        self._name = asked.name
        self._spans = Spans(services, Only(node=asked.name), asked.query)

    def __call__(self) -> View:
        """Raises NotFound, Retryable."""
        services, name = self._services, self._name
        document, deployments = services.fleet.get_node(name), services.fleet.list_deployments()
        insights, now = services.insights, services.insights.now_ms
        newest = insights.node_stats(name, now - DAY_MS, 1)
        return node.node(
            node.Input(
                now_ms=now,
                node=document,
                cameras=[each for each in services.fleet.list_cameras() if each["spec"]["node"] == name],
                deployments=deployments,
                windows=insights.windows(Only(node=name), now - SHARE_MS - SETTLE_MS, now + SHARE_MS),
                stats=newest_stats(services),
                lost=insights.lost(name),
                drawn=self._spans.drawn(node.deadline_of(name, deployments), self._resources),
                span=self._spans.key,
                dropped=newest[0].outbox_dropped if newest else 0,
                told_ms=newest[0].at_ms if newest else 0,
            )
        )

    def _resources(self, since_ms: int, until_ms: int) -> dict[str, Value]:
        rows = self._services.insights.node_stats(self._name, since_ms, MOST_STATS)
        spent = [node.Spent(row.at_ms, row.cpu_cores_used, row.memory_bytes) for row in reversed(rows)]
        return node.resources(spent, since_ms, until_ms)


class CameraPage:
    def __init__(self, services: Services, asked: Asked) -> None:
        self._services = services
        self._name = asked.name
        self._spans = Spans(services, Only(camera=asked.name), asked.query)

    def __call__(self) -> View:
        """Raises NotFound, Retryable."""
        services, name, insights = self._services, self._name, self._services.insights
        document, now = services.fleet.get_camera(name), insights.now_ms
        owner, deployments = document["spec"]["node"], services.fleet.list_deployments()
        return camera.camera(
            camera.Input(
                now_ms=now,
                camera=document,
                nodes=wall.edges(services.fleet.list_nodes()),
                windows=insights.windows(Only(camera=name), now - SHARE_MS - SETTLE_MS, now + SHARE_MS),
                deployments=deployments,
                found=self._found(now),
                fared=self._fared(now),
                drawn=self._spans.drawn(node.deadline_of(owner, deployments), lambda _since, _until: {}),
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
    Page("/", FleetPage),
    Page("/cameras", each(wall_page)),
    Page("/cameras/{name}", CameraPage),
    Page("/nodes/{name}", NodePage),
)
