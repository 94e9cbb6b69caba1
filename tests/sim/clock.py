"""A clock that moves only when told; implements agent.ports.Clock.

`advance` wakes sleepers one due time after the other and lets the tasks they wake run to their next wait, so that a
loop which sleeps again inside the advanced span is woken again, as it would be in real time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

PATIENCE = 30.0  # seconds


class FakeClock:
    """Monotonic seconds and unix seconds under the test's hand."""

    def __init__(self, monotonic: float = 1_000.0, unix: float = 1_795_000_000.0) -> None:
        self._monotonic = monotonic
        self._unix = unix
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._monotonic

    def unix(self) -> float:
        return self._unix

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), woken))
        await woken

    @property
    def sleeping(self) -> int:
        """How many tasks wait for this clock."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def tick(self, seconds: float) -> None:
        """Move on without waking anybody: for code that only reads the clock."""
        self._monotonic += seconds
        self._unix += seconds

    def jump(self, seconds: float) -> None:
        """The box's wall clock is set: unix time moves, monotonic time does not."""
        self._unix += seconds

    async def advance(self, seconds: float) -> None:
        """Move on, waking every sleeper at its own time."""
        target = self._monotonic + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            self.tick(max(0.0, due - self._monotonic))
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.tick(target - self._monotonic)
        await settle()

    async def look(self, step: float) -> None:
        """Let things happen, and so many seconds pass if anybody waits for them."""
        if step and self.sleeping:
            await self.advance(step)
        await asyncio.sleep(0.001)  # disk threads take real time

    async def until(self, true: Callable[[], bool], step: float = 1.0) -> None:
        """`look` until it is; raises TimeoutError after PATIENCE of real time."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                await self.look(step)


async def settle(turns: int = 20) -> None:
    """Let every ready task run to its next wait."""
    for _ in range(turns):
        await asyncio.sleep(0)
