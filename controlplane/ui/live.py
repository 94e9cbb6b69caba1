"""The board, kept fresh for all who look: one snapshot a second, however many pages are open, and none when none is.

A snapshot reads the database in a thread. One that fails is skipped: pages keep what they have. It needs the windows of
a minute; those of the chart, five times as many, are read only when the chart has a new column.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from controlplane.container import Services
from controlplane.insights.repository import Only
from controlplane.ui.board import CHART_MS, SETTLE_MS, SHARE_MS, Board, Input, Stats, board, chart, chart_end
from protos.errors import Retryable

FRESH_SECONDS = 1.0

log = logging.getLogger(__name__)


def snapshot(services: Services, drawn: Sequence[Any] = ()) -> Board:
    """`drawn`: the chart. Raises Retryable."""
    fleet, insights = services.fleet, services.insights
    now = insights.now_ms
    stats = {
        node: Stats(row.cpu_cores_used, row.memory_bytes, row.outbox_waiting)
        for node, row in insights.latest_stats().items()
    }
    return board(
        Input(
            now_ms=now,
            nodes=fleet.list_nodes(),
            cameras=fleet.list_cameras(),
            deployments=fleet.list_deployments(),
            windows=insights.windows(Only(), now - SHARE_MS - SETTLE_MS, now + SHARE_MS),
            stats=stats,
            lost=insights.lost(),
            chart=drawn,
            trouble=services.telemetry.trouble,
        )
    )


class Snapshots:
    """Takes them one after the other, with a chart."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._end_ms = 0
        self._drawn: Sequence[Any] = ()

    def take(self) -> Board:
        """Raises Retryable."""
        insights = self._services.insights
        end_ms = chart_end(insights.now_ms)
        if end_ms != self._end_ms:
            self._drawn = chart(insights.counts(end_ms - CHART_MS, end_ms + SHARE_MS), end_ms)
            self._end_ms = end_ms
        return snapshot(self._services, self._drawn)


class Live:
    """Shares snapshots among event streams. Lives in one event loop."""

    def __init__(self, take: Callable[[], Board], clock: Callable[[], float] = time.monotonic) -> None:
        self._take = take
        self._clock = clock
        self._lock = asyncio.Lock()
        self._board: Board | None = None
        self._taken_at = float("-inf")

    async def board(self) -> Board | None:
        """The newest, at most FRESH_SECONDS old; the one before when a new one can't be had; None before the first."""
        async with self._lock:
            if self._clock() - self._taken_at >= FRESH_SECONDS:
                await self._refresh()
        return self._board

    async def _refresh(self) -> None:
        self._taken_at = self._clock()
        try:
            self._board = await asyncio.to_thread(self._take)
        except Retryable as error:
            log.debug("the page keeps what it has: %s", error)
