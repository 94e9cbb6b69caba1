"""Whose turn it is to be with the worker: by priority, then in order of arrival, as many at once as `limit` says."""

from __future__ import annotations

import asyncio
import heapq
import itertools

MOST = 32  # at once
MOST_BEHIND = 24  # of short ones
AHEAD_SECONDS = 0.004  # of short requests, at most, that a camera's frame may find before it
USUAL = 100  # the priority of a request that names none: 1 to 99 go before it
LAST = 1 << 63  # behind everything that waits
Waiting = tuple[int, int, asyncio.Future[None]]  # priority, number of arrival


def limit(width: int, in_hand: int, usual_seconds: float) -> int:
    """How many requests may be with a worker that runs `width` at once and takes `usual_seconds` for one. Pure.

    As many as it runs and those `in_hand`, which frames pass, so that no core waits for a message to come and go; of
    short ones more.
    """
    return max(width + in_hand, min(MOST, int(AHEAD_SECONDS / usual_seconds))) if usual_seconds > 0 else width


def behind(usual_seconds: float) -> int:
    """How many may wait here for a turn of those that take `usual_seconds`: short ones, in whatever order. Pure."""
    return min(MOST_BEHIND, int(AHEAD_SECONDS / usual_seconds)) if usual_seconds > 0 else 0


class Turns:
    """Taken and given back; `limit` may change at any time, and holds from the next turn on."""

    def __init__(self, at_once: int = 1) -> None:
        self.limit = at_once
        self._taken = 0
        self._arrivals = itertools.count()
        self._waiting: list[Waiting] = []  # a heap

    async def take(self, priority: int = LAST) -> None:
        """Wait for a turn. A caller that is cancelled has none."""
        if self._taken < self.limit and not self._waiting:
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (priority, next(self._arrivals), turn)
        heapq.heappush(self._waiting, waiting)
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(waiting)
            raise

    def give(self) -> None:
        self._taken -= 1
        while self._waiting and self._taken < self.limit:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._taken += 1
                turn.set_result(None)

    def _leave(self, waiting: Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            heapq.heapify(self._waiting)
        elif not waiting[2].cancelled():
            self.give()  # it came in the very moment in which he left
