"""The clockwork of training, beside requests. A database that is away is waited for; the loop itself never ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from controlplane.training.driver import Publish, RunDriver
from protos.errors import Retryable

TICK_SECONDS = 1.0
SWEEP_EVERY = 600  # ticks

Sleep = Callable[[float], Awaitable[object]]

log = logging.getLogger(__name__)


async def run(driver: RunDriver, publish: Publish, sleep: Sleep = asyncio.sleep) -> None:
    """Until cancelled."""
    number = 0
    while True:
        try:
            await asyncio.to_thread(driver.tick, publish)
            if number % SWEEP_EVERY == 0:
                await asyncio.to_thread(driver.sweep)
        except Retryable as error:
            log.warning("training loop: %s", error)
        number += 1
        await sleep(TICK_SECONDS)
