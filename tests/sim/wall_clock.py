"""The system's time as agent.ports.Clock, for boxes that live in it, some of them in another day."""

from __future__ import annotations

import asyncio
import time


class WallClock:
    """`wrong`: seconds that its wall time is off by."""

    def __init__(self, wrong: float = 0.0) -> None:
        self._wrong = wrong

    def monotonic(self) -> float:
        return time.monotonic()

    def unix(self) -> float:
        return time.time() + self._wrong

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
