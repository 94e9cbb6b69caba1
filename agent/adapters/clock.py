"""The system's clocks: the only place in the agent's main process that reads them."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """See agent.ports.Clock."""

    monotonic = staticmethod(time.monotonic)  # asked several times in each request
    unix = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
