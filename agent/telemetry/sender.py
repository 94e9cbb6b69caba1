"""Outbox → broker → control plane → acknowledgement → deleted. The loops; what to send when is `window`'s, `backfill`'s
and `told`'s to say.

Rules that hold here:

- a record is deleted only on a TelemetryAck, whatever epoch it names: the broker's word, even success, is not
  durability. Publishing that fails, an acknowledgement that gets lost and a control plane that is away all end the same
  way: the batch goes out again;
- each lane has its own loop, and waits for its own publishing only: what is live never waits for what is historical;
- a dark time ends when the connection is back, or somebody acknowledges again after a long silence. What waits then is
  historical;
- two minutes of silence are a problem of this box, until the next acknowledgement.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.ports import Clock, TelemetryOut, Undelivered
from agent.telemetry import payload, records
from agent.telemetry.backfill import Backfill
from agent.telemetry.outbox import Lane, Outbox
from agent.telemetry.payload import Sending
from agent.telemetry.settings import Form, SenderSettings
from agent.telemetry.silence import CODE, DARK_SECONDS, NO_ACK, Silence
from agent.telemetry.told import MOST, Told
from agent.telemetry.window import NO_RECORDS, PATIENT, Flight, Window, backoff
from agent.types import Problem
from protos.errors import Rejected

MOST_RECORDS = {Lane.LIVE: 100, Lane.HISTORICAL: 300}  # of one batch: what waited costs less in large ones
MOST_BYTES = 64 << 10  # of one batch; brokers on small machines refuse more than a few hundred KiB
GATHER_SECONDS = 0.2  # once all that was live is sent: what comes meanwhile goes together
BUSY_GATHER_SECONDS = 2.0  # the same, while a backlog goes out: a small batch costs the control plane as much
PUBLISH_FAILED_FIRST = 0.5  # seconds until the next try after the transport refused
PUBLISH_FAILED_LONGEST = 15.0
LOOK_SECONDS = 5.0  # until the next look for what nobody told of: a disk that works again declares what it refused
REST_SECONDS = 5.0  # after the last acknowledgement, until the books are told that nothing waits

log = logging.getLogger(__name__)


@dataclass
class SenderCounts:
    """For metrics; only ever grow."""

    published: int = 0  # batches handed to the broker
    repeated: int = 0  # batches sent more than once
    acknowledged: int = 0  # acknowledgements heard
    refusals: Counter[str] = field(default_factory=Counter)  # batches not taken or not acknowledged, by reason

    @property
    def refused(self) -> int:
        """Batches the transport refused."""
        return self.refusals.total() - self.refusals[NO_ACK]


class Sender:
    """One per agent; the way out may change under it (`attach`)."""

    def __init__(
        self, outbox: Outbox, clock: Clock, chance: Callable[[], float], settings: SenderSettings | None = None
    ) -> None:
        self.counts = SenderCounts()
        self._settings = settings or SenderSettings()
        self._outbox = outbox
        self._clock = clock
        self._chance = chance
        self._window = Window(chance)
        self._backfill = Backfill(self._settings.backfill, chance)
        self._told = Told()
        self._silence = Silence()
        self._alarmed = False
        self._on_alarm: list[Callable[[], None]] = []
        self._out: TelemetryOut | None = None
        self._modern = False  # a watermark came: whoever stores telemetry is of 0.2 at least, and reads zlib
        self._failures = 0
        self._quiet_until = float("-inf")  # monotonic
        self._rest_at = float("-inf")  # monotonic
        self._gather_until = float("-inf")  # monotonic
        self._gathering = False  # something live was sent, and there may be more
        self._changed = {lane: asyncio.Event() for lane in Lane}
        outbox.on_waiting(self._changed[Lane.LIVE].set)

    @property
    def in_air(self) -> int:
        """Records sent and not yet acknowledged."""
        return self._window.in_air()

    @property
    def silent_seconds(self) -> float:
        """How long records have been sent and nothing was acknowledged."""
        return self._silence.seconds(self._clock.monotonic())

    def problems(self) -> list[Problem]:
        alarming = self._silence.alarming(self._clock.monotonic())
        return [Problem(CODE, self._silence.sentence)] if alarming else []

    def on_alarm(self, handler: Callable[[], None]) -> None:
        """Call `handler` in the event loop when `problems` changed."""
        self._on_alarm.append(handler)

    def attach(self, out: TelemetryOut | None) -> None:
        """Send through `out` from now on; None: keep everything."""
        self._out = out
        if out is not None:
            out.on_ack(self._acknowledged)
            out.on_connection(self._connection)
        self._connection(out is not None and out.connected)

    def hurry(self) -> None:
        """Somebody who stores telemetry is there again: what waits goes out now, whatever pause was planned."""
        now = self._clock.monotonic()
        self._failures, self._quiet_until, self._rest_at = 0, float("-inf"), now + REST_SECONDS
        self._window.hurry(now)
        self._wake()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as lanes:
            for lane in Lane:
                lanes.create_task(self._serve(lane), name=f"send what is {lane}")

    async def _serve(self, lane: Lane) -> None:
        while True:
            self._changed[lane].clear()
            if not await self._step(lane):
                await self._wait(lane)

    async def _step(self, lane: Lane) -> bool:
        """Send one batch; False when there is nothing to do now."""
        now, out = self._clock.monotonic(), self._out
        self._judge(now)
        if out is None or not out.connected or now < self._quiet_until:
            return False
        flight = self._again(lane, now) or await self._next(lane, now) or self._at_rest(lane, now)
        if flight is None:
            return False
        await self._send(out, flight)
        return True

    # ---- what to send ----

    def _again(self, lane: Lane, now: float) -> Flight | None:
        """What was sent and has waited long enough for its acknowledgement."""
        if lane is Lane.HISTORICAL and now < self._backfill.next_at:
            return None
        while flight := self._window.due(lane, now):
            if flight.taken and flight.tries:
                self.counts.refusals[NO_ACK] += 1
                self._backfill.unacknowledged(flight.sent_at, now)
            if flight.records or flight.tries < PATIENT:
                return flight
            self._window.drop(flight)  # a tally is worth a few tries
        return None

    async def _next(self, lane: Lane, now: float) -> Flight | None:
        """What was not sent before."""
        most = self._room(lane, now)
        if not most:
            return None
        taken = await self._outbox.take(lane, most, MOST_BYTES)
        if lane is Lane.LIVE:
            self._gather(more=bool(taken.rows))
        if not taken.rows:
            return None
        lane = Lane.HISTORICAL if taken.historical else Lane.LIVE
        batch, missing = records.batch(taken.epoch, taken.rows), {row.seq for row in taken.rows}
        return self._window.add(Flight(taken.epoch, lane, batch, missing, len(missing), now))

    def _gather(self, *, more: bool) -> None:
        """The first record goes at once; those that follow it closely share batches."""
        if self._gathering and not more:
            busy = self._window.in_air({Lane.HISTORICAL}) > 0
            self._gather_until = self._clock.monotonic() + (BUSY_GATHER_SECONDS if busy else GATHER_SECONDS)
        self._gathering = more

    def _room(self, lane: Lane, now: float) -> int:
        """How many records the next batch of the lane may hold."""
        if lane is Lane.LIVE:
            return 0 if self._window.full or now < self._gather_until else MOST_RECORDS[lane]
        if now < self._backfill.next_at:
            return 0
        return self._backfill.room(self._window.in_air({lane}), MOST_RECORDS[lane])

    def _at_rest(self, lane: Lane, now: float) -> Flight | None:
        """Nothing is under way: a batch without records, if the control plane does not know where the books stand."""
        if lane is Lane.HISTORICAL or now < self._rest_at or self._outbox.summary().waiting_rows:
            return None
        self._rest_at = float("inf")
        changed = self._outbox.tallies()
        if not changed:
            return None
        epoch = changed[0].epoch
        return self._window.add(Flight(epoch, lane, records.batch(epoch, ()), {NO_RECORDS}, 0, now))

    # ---- sending ----

    async def _send(self, out: TelemetryOut, flight: Flight) -> None:
        self.counts.repeated += flight.tries > 0
        flight.sent_at = flight.again_at = self._clock.monotonic()
        flight.first_at = flight.first_at or flight.sent_at
        if flight.records and out.connected:
            self._silence.asked(flight.sent_at)
        message = await self._encoded(payload.told(flight.batch, self._sending(flight)))
        if flight.lane is Lane.HISTORICAL:
            self._backfill.went(flight.waiting, len(message), flight.sent_at)
        try:
            await out.publish(message)
        except Undelivered as error:
            self._refused(error)
            taken = False
        else:
            self.counts.published += 1
            self._failures, self._silence.reason, taken = 0, "", True
        self._window.sent(flight, self._clock.monotonic(), taken=taken)

    def _sending(self, flight: Flight) -> Sending:
        """What goes with it this time; once it is acknowledged, what went with it the first time is known."""
        changed, books = self._outbox.tallies(), self._outbox.summary()
        told = self._told.beside(changed, flight.epoch, flight.waiting) if flight.records else tuple(changed[:MOST])
        flight.tallies = told if flight.tallies is None else flight.tallies
        historical = flight.lane is Lane.HISTORICAL
        return Sending(int(self._clock.unix() * 1000), historical, books.start, books.before, told)

    async def _encoded(self, batch: bytes) -> bytes:
        """Beside the event loop where it takes milliseconds."""
        if self._settings.form is Form.JSON:
            return await asyncio.to_thread(payload.encoded, batch, Form.JSON, compress=self._modern)
        return payload.encoded(batch, self._settings.form, compress=self._modern)

    def _refused(self, error: Undelivered) -> None:
        self.counts.refusals[error.reason] += 1
        self._silence.reason = error.reason
        log.log(logging.WARNING if self._failures == 0 else logging.DEBUG, "telemetry waits: %s", error)
        now = self._clock.monotonic()
        if now < self._quiet_until:
            return  # the other lane was refused meanwhile
        self._quiet_until = now + backoff(self._failures, self._chance(), PUBLISH_FAILED_FIRST, PUBLISH_FAILED_LONGEST)
        self._failures += 1

    async def _wait(self, lane: Lane) -> None:
        """Until something changed, or it is time to send something."""
        now = self._clock.monotonic()
        times = [at for at in self._times(lane, now) if at is not None and now < at < float("inf")]
        changed = self._changed[lane]
        if not times:
            await changed.wait()
            return
        woken = asyncio.ensure_future(changed.wait())
        timer = asyncio.ensure_future(self._clock.sleep(min(times) - now))
        try:
            await asyncio.wait({woken, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            timer.cancel()

    def _times(self, lane: Lane, now: float) -> list[float | None]:
        again = self._window.next_at(lane)
        look = now + LOOK_SECONDS if self._out is not None and self._out.connected else None
        if lane is Lane.LIVE:
            alarm = None if self._alarmed else self._silence.alarm_at
            return [again, self._quiet_until, self._gather_until, look, self._rest_at, alarm]
        start = self._backfill.next_at
        return [start, None if again is None else max(again, start), self._quiet_until, look]

    # ---- what comes back ----

    def _acknowledged(self, message: bytes) -> None:
        try:
            ack = records.ack(message)
        except Rejected as error:
            log.warning("%s", error)
            return
        now = self._clock.monotonic()
        self.counts.acknowledged += 1
        self._outbox.forget(ack.epoch, ack.ranges)
        for flight in self._window.acknowledged(ack.epoch, ack.ranges, now):
            self._arrived(flight, now)
        if self._silence.seconds(now) >= DARK_SECONDS:
            self._after_dark(now)
        self._modern = self._modern or ack.up_to > 0
        self._window.revive(now)
        self._silence.heard(now, waits=self._window.in_air() > 0)
        self._rest_at = now + REST_SECONDS
        self._judge(now)
        self._wake()

    def _arrived(self, flight: Flight, now: float) -> None:
        """All of it is stored."""
        told = flight.tallies or ()
        self._told.heard(told)
        self._outbox.told(told)
        if flight.records and flight.tries <= 1:  # of one that was sent again nobody knows which time was answered
            self._backfill.acknowledged(flight.records, now - flight.sent_at, now)

    def _connection(self, up: bool) -> None:  # noqa: FBT001 - a callback
        if up:
            self._after_dark(self._clock.monotonic())
            self.hurry()
        else:
            self._silence.closed()
            self._judge(self._clock.monotonic())
        self._wake()

    def _after_dark(self, now: float) -> None:
        """What waits from the time in which nothing could be told goes behind what comes now. Whoever listens may be
        another than before."""
        self._modern = False
        self._outbox.reconnected()
        self._window.darken()
        self._backfill.begin(now)

    def _judge(self, now: float) -> None:
        """Tell when the alarm begins or ends."""
        alarming = self._silence.alarming(now)
        if alarming == self._alarmed:
            return
        self._alarmed = alarming
        log.warning("%s", self._silence.sentence if alarming else "telemetry is acknowledged again")
        for handler in self._on_alarm:
            handler()

    def _wake(self) -> None:
        for changed in self._changed.values():
            changed.set()
