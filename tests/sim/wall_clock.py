"""The system's time as agent.ports.Clock, for processes that live in it."""

from __future__ import annotations

import asyncio
import time


class WallClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def unix(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
