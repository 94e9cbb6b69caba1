"""The board, kept fresh for all who look: one snapshot a second, however many pages are open, and none when none is.

A snapshot reads the database in a thread. One that fails is skipped: pages keep what they have and say since when.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from controlplane.fleet.service import FleetService
from controlplane.insights.repository import Only
from controlplane.insights.service import InsightsService
from controlplane.ui.board import CHART_MS, SHARE_MS, Board, Input, Stats, board
from protos.errors import Retryable

FRESH_SECONDS = 1.0

log = logging.getLogger(__name__)


def snapshot(fleet: FleetService, insights: InsightsService) -> Board:
    """Raises Retryable."""
    now = insights.now_ms
    latest = insights.latest_stats()
    stats = {
        node: Stats(row.cpu_cores_used, row.memory_bytes, row.outbox_waiting, row.outbox_dropped)
        for node, row in latest.items()
    }
    return board(
        Input(
            now_ms=now,
            nodes=fleet.list_nodes(),
            cameras=fleet.list_cameras(),
            deployments=fleet.list_deployments(),
            windows=insights.windows(Only(), now - CHART_MS - SHARE_MS, now + SHARE_MS),
            stats=stats,
        )
    )


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
