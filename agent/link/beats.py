"""Signs of life over MQTT: as long as they arrive, a box may leave out Syncs that would say nothing new.

Rules that hold here: a beat arrived when the broker answered it and somebody listens; one that did not makes the box
call in by Sync from the next interval on, as it would without a broker, and is tried again soon. A box never stays
silent on the strength of a connection that merely looks open.
"""

from __future__ import annotations

import asyncio
import logging

from agent.ports import Clock, TelemetryOut
from agent.supervise import first_of
from protos.errors import LongshoreError

AGAIN_SECONDS = 15.0  # after a beat that did not arrive
SPARE_SECONDS = 90  # to find a way that works, after the first beat that did not arrive
_LONG_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Beats:
    """One per agent; the way out may change under it (`attach`)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._out: TelemetryOut | None = None
        self._every = 0
        self._arrived = False
        self._changed = asyncio.Event()

    @property
    def silent_seconds(self) -> int:
        """For how long this box may be well from now on and say nothing; 0 while its beats do not arrive."""
        return self._every + SPARE_SECONDS if self._arrived else 0

    def attach(self, out: TelemetryOut | None, every: int) -> None:
        """Beat through `out` every so many seconds from now on; never where that is 0, or nobody is there."""
        self._out, self._every, self._arrived = out, every, False
        if out is not None:
            out.on_connection(self._connection)
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            pause = await self._beat()
            await first_of(self._clock.sleep(pause), self._changed.wait())

    async def _beat(self) -> float:
        """Seconds until the next."""
        out, every = self._out, self._every
        if out is None or not every or not out.connected:
            self._arrived = False
            return _LONG_SECONDS
        try:
            await out.beat()
        except LongshoreError as error:
            log.info("nobody hears that this box is there: %s", error)
            self._arrived = False
            return AGAIN_SECONDS
        self._arrived = out is self._out and out.connected
        return float(every)

    def _connection(self, up: bool) -> None:  # noqa: FBT001 - a callback
        self._arrived = self._arrived and up
        self._changed.set()
