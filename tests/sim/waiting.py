"""Looking until something is so: real processes, threads and connections have no event that a test could wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE = 15.0  # seconds


async def until(true: Callable[[], bool]) -> None:
    """Raises TimeoutError after PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - see the module
            await asyncio.sleep(0.002)
