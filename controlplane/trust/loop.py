"""Signed metadata never gets old: what is due is signed, once a minute, whatever happens or does not. Never ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from controlplane.trust.proposals import ProposalService
from controlplane.trust.service import TrustService
from protos.errors import LongshoreError

TICK_SECONDS = 60.0  # against twelve hours, half the life of what is shortest-lived

Sleep = Callable[[float], Awaitable[object]]
log = logging.getLogger(__name__)


async def run(service: TrustService, proposals: ProposalService, sleep: Sleep = asyncio.sleep) -> None:
    """Until cancelled."""
    while True:
        try:
            await asyncio.to_thread(tick, service)
            await asyncio.to_thread(proposals.sweep)
        except LongshoreError as error:
            log.warning("trust loop: %s", error)
        await sleep(TICK_SECONDS)


def tick(service: TrustService) -> None:
    service.keep_fresh()
    service.forget_unused_keys()
