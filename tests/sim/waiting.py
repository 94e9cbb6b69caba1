"""Looking until something is so: real processes, threads and connections have no event that a test could wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 15.0  # seconds


async def until(true: Callable[[], bool]) -> None:
    """Raises TimeoutError after PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - see the module
            await asyncio.sleep(0.002)


async def seconds_until(true: Callable[[], bool], most: float, pause: float = 0.05) -> float:
    """How long it took; `most` or more where it was not so by then."""
    began = time.monotonic()
    while not true() and time.monotonic() - began < most:  # noqa: ASYNC110 - see the module
        await asyncio.sleep(pause)
    return round(time.monotonic() - began, 2)
