"""Pages of the fleet, over the services: reads what each view is made of. The views themselves are pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.container import Services
from controlplane.insights.repository import Only
from controlplane.ui import fleet
from controlplane.ui.boxes import Stats
from controlplane.ui.outcomes import CHART_MS, SETTLE_MS, SHARE_MS, chart, chart_end
from controlplane.ui.page import Asked, View
from controlplane.ui.shell import Page


class FleetPage:
    """It needs the windows of a minute; those of the chart, five times as many, are read only for a new column."""

    def __init__(self, services: Services, _asked: Asked) -> None:
        self._services = services
        self._end_ms = 0
        self._drawn: Mapping[str, Any] = {}

    def __call__(self) -> View:
        """Raises Retryable."""
        insights = self._services.insights
        end_ms = chart_end(insights.now_ms)
        if end_ms != self._end_ms:
            self._drawn = chart(insights.counts(end_ms - CHART_MS, end_ms + SHARE_MS), end_ms)
            self._end_ms = end_ms
        return fleet.fleet(self._input())

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
        )


def newest_stats(services: Services) -> dict[str, Stats]:
    return {
        node: Stats(row.cpu_cores_used, row.memory_bytes, row.outbox_waiting, row.disk_free_bytes)
        for node, row in services.insights.latest_stats().items()
    }


PAGES = (Page("/", FleetPage),)
