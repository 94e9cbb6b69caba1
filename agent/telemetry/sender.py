"""Outbox → broker → control plane → acknowledgement → deleted. The loop; what to send when is `window`'s to say.

A record is deleted only on a TelemetryAck: the broker's word (PUBACK) is not durability. Publishing that fails, an
acknowledgement that gets lost and a control plane that is away all end the same way: the batch goes out again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.ports import Clock, TelemetryOut
from agent.telemetry import records
from agent.telemetry.outbox import Lane, Outbox
from agent.telemetry.window import Flight, Window, backoff
from protos.errors import LongshoreError, Rejected

MOST_RECORDS = 100  # of one batch
MOST_BYTES = 64 << 10  # of one batch; brokers on small machines refuse more than a few hundred KiB
MOST_TALLIES = 16  # of one batch
PUBLISH_FAILED_FIRST = 0.5  # seconds until the next try after the transport refused
PUBLISH_FAILED_LONGEST = 15.0

log = logging.getLogger(__name__)


@dataclass
class SenderCounts:
    """For metrics; only ever grow."""

    published: int = 0  # batches handed to the broker
    refused: int = 0  # batches the transport refused
    repeated: int = 0  # batches sent more than once
    acknowledged: int = 0  # acknowledgements heard


class Sender:
    """One per agent; the way out may change under it (`attach`)."""

    def __init__(self, outbox: Outbox, clock: Clock, chance: Callable[[], float]) -> None:
        self.counts = SenderCounts()
        self._outbox = outbox
        self._clock = clock
        self._chance = chance
        self._window = Window(chance)
        self._out: TelemetryOut | None = None
        self._failures = 0
        self._quiet_until = float("-inf")  # monotonic
        self._changed = asyncio.Event()
        outbox.on_waiting(self._changed.set)

    @property
    def in_air(self) -> int:
        """Records sent and not yet acknowledged."""
        return self._window.in_air

    def attach(self, out: TelemetryOut | None) -> None:
        """Send through `out` from now on; None: keep everything."""
        self._out = out
        if out is not None:
            out.on_ack(self._acknowledged)
            out.on_connection(self._connection)
        self._connection(out is not None and out.connected)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            if not await self._step():
                await self._wait()

    async def _step(self) -> bool:
        """Send one batch; False when there is nothing to do now."""
        now = self._clock.monotonic()
        if self._out is None or not self._out.connected or now < self._quiet_until:
            return False
        flight = self._window.due(now)
        if flight is None and not self._window.full:
            flight = await self._next()
        if flight is None:
            return False
        await self._send(self._out, flight)
        return True

    async def _next(self) -> Flight | None:
        for lane in Lane:
            taken = await self._outbox.take(lane, MOST_RECORDS, MOST_BYTES)
            if taken.rows:
                tallies = tuple(self._outbox.tallies()[:MOST_TALLIES])
                payload = records.batch(
                    taken.epoch,
                    taken.rows,
                    historical=taken.historical,
                    start=taken.start,
                    before=taken.before,
                    tallies=tallies,
                )
                seqs = (row.seq for row in taken.rows)
                return self._window.add(taken.epoch, payload, seqs, self._clock.monotonic(), tallies)
        return None

    async def _send(self, out: TelemetryOut, flight: Flight) -> None:
        self.counts.repeated += flight.tries > 0
        try:
            await out.publish(records.stamped(flight.payload, int(self._clock.unix() * 1000)))
        except LongshoreError as error:
            self._refused(error)
        else:
            self.counts.published += 1
            self._failures = 0
        self._window.sent(flight, self._clock.monotonic())

    def _refused(self, error: LongshoreError) -> None:
        self.counts.refused += 1
        log.log(logging.WARNING if self._failures == 0 else logging.DEBUG, "telemetry waits: %s", error)
        pause = backoff(self._failures, self._chance(), PUBLISH_FAILED_FIRST, PUBLISH_FAILED_LONGEST)
        self._quiet_until = self._clock.monotonic() + pause
        self._failures += 1

    async def _wait(self) -> None:
        """Until something changed, or it is time to send something again."""
        now = self._clock.monotonic()
        times = [at for at in (self._window.next_at, self._quiet_until) if at is not None and at > now]
        if not times:
            await self._changed.wait()
            return
        woken = asyncio.ensure_future(self._changed.wait())
        timer = asyncio.ensure_future(self._clock.sleep(min(times) - now))
        try:
            await asyncio.wait({woken, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            timer.cancel()

    def _acknowledged(self, payload: bytes) -> None:
        try:
            ack = records.ack(payload)
        except Rejected as error:
            log.warning("%s", error)
            return
        self.counts.acknowledged += 1
        for flight in self._window.acknowledged(ack.epoch, ack.ranges):
            self._outbox.told(flight.tallies)
        self._window.revive(self._clock.monotonic())
        self._outbox.forget(ack.epoch, ack.ranges)
        self._changed.set()

    def hurry(self) -> None:
        """Somebody who stores telemetry is there again: what waits goes out now, whatever pause was planned."""
        self._failures, self._quiet_until = 0, float("-inf")
        self._window.hurry(self._clock.monotonic())
        self._changed.set()

    def _connection(self, up: bool) -> None:  # noqa: FBT001 - a callback
        if up:
            self._outbox.reconnected()
            self.hurry()
        self._changed.set()
