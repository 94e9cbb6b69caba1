"""The fleet's own clockwork, beside requests: notice silent boxes, nudge late ones, date conditions.

One tick is one pass over all three and does nothing when nothing changed; several control-plane replicas may tick. A
database that is away is waited for; the loop itself never ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from controlplane.fleet.boxes import BoxService
from protos.errors import Retryable

TICK_SECONDS = 1.0
NUDGE_EVERY = 5  # ticks: a hint may be lost with a broker; a box that is late is told again
DATE_EVERY = 3  # ticks: it looks at the whole fleet, 0.2 s for 500 boxes on a busy machine

Sleep = Callable[[float], Awaitable[object]]

log = logging.getLogger(__name__)


async def run(boxes: BoxService, sleep: Sleep = asyncio.sleep) -> None:
    """Until cancelled."""
    number = 0
    while True:
        number += 1
        try:
            await asyncio.to_thread(tick, boxes, number)
        except Retryable as error:
            log.warning("fleet loop: %s", error)
        await sleep(TICK_SECONDS)


def tick(boxes: BoxService, number: int) -> None:
    if number == 1:
        boxes.forget_deleted()
    for node in boxes.notice_silence():
        log.info("node %s is offline: not heard for longer than it may be silent", node)
    if number % NUDGE_EVERY == 0:
        boxes.nudge_late()
    if number % DATE_EVERY == 0:
        boxes.keep_transitions()
