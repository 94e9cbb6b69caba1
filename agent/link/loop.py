"""SyncLoop: says what is, hears what should be, keeps it, acts on it; as often as needed and as rarely as possible.

A Sync that is due and would say nothing new is left out where agent.link.silence allows it, and nobody looks.

Rules that hold here: desired state is kept as the very bytes that came, before it is acted on; at the start what was
kept is acted on before any network is tried; acting is idempotent, so every answer is handed on; a lost control plane,
a deleted node or an unreadable answer stops nothing that runs. The file grant is never stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from agent.identity.decisions import clock_problem
from agent.link import silence
from agent.link.schedule import Schedule
from agent.ports import Clock, FleetLink, Grant, StateStore, SyncReply
from agent.types import Problem
from protos import fleet_pb2, telemetry_pb2
from protos.errors import Fatal, Rejected, Retryable

log = logging.getLogger(__name__)

KEY = "desired"
WATCHED_SECONDS = 5.0  # between two Syncs while somebody looks


@dataclass(frozen=True)
class Handlers:
    """What a node does with an answer; all are called on the loop, in this order, and must be idempotent."""

    grant: Callable[[Grant], None]  # fresh at every Sync
    desired: Callable[[fleet_pb2.DesiredState], None]
    watch: Callable[[float], None] = lambda _: None  # somebody looks until then, unix seconds of this box's clock


class SyncLoop:
    """Call `restore` once, then `run` until cancelled."""

    def __init__(
        self,
        link: FleetLink,
        state: StateStore,
        clock: Clock,
        report: Callable[[], fleet_pb2.SyncRequest],
        handlers: Handlers,
        schedule: Schedule | None = None,
        silent_seconds: Callable[[], int] = lambda: 0,
    ) -> None:
        """`report`: what is, now; generation, clock and silence are filled in here.

        `silent_seconds`: for how long this box may say nothing and be well; 0: it has to call in.
        """
        self._link = link
        self._state = state
        self._clock = clock
        self._report = report
        self._handlers = handlers
        self._schedule = schedule or Schedule()
        self._silent_seconds = silent_seconds
        self._told = fleet_pb2.SyncRequest()  # the last report that was answered
        self._woken = asyncio.Event()
        self._kept = b""  # what of it outlasts a power cut, for comparing
        self._desired = fleet_pb2.DesiredState()
        self._obstacle: Problem | None = None
        self._watched_until = 0.0  # monotonic
        self.connected = False  # the last Sync was answered
        self._ahead: float | None = None  # seconds to add to this box's monotonic clock to get the control plane's

    @property
    def clock_offset(self) -> float:
        """Seconds to add to this box's clock, as it is set now, to get the control plane's."""
        return 0.0 if self._ahead is None else self._ahead + self._clock.monotonic() - self._clock.unix()

    @property
    def desired(self) -> fleet_pb2.DesiredState:
        """What the box acts on; generation 0 when nothing has ever come."""
        return self._desired

    def restore(self) -> bool:
        """Act on what was kept, without a network. False when there is nothing."""
        found = kept(self._state)
        if found is None:
            return False
        self._desired = found
        self._kept = _lasting(self._desired)
        self._handlers.desired(self._desired)
        return True

    def carried(self, desired: fleet_pb2.DesiredState) -> bool:
        """Act on what was carried here by hand, and proven; False: the control plane answers, or this is older."""
        if self.connected or desired.generation < self._desired.generation:
            return False
        self._keep(desired.SerializeToString(deterministic=True), desired)
        self._desired = desired
        self._handlers.desired(desired)
        return True

    def report(self) -> fleet_pb2.SyncRequest:
        """What is, with what the box acts on and its idea of now."""
        request = self._report()
        request.observed_generation = self._desired.generation
        request.clock_unix_ms = int(self._clock.unix() * 1000)
        request.silent_seconds = self._silent_seconds()
        return request

    def on_hint(self, payload: bytes) -> None:
        """A DesiredHint came over MQTT. Retained, so the same comes again at every reconnect: then nothing happens."""
        try:
            hint = _hint(payload)
        except Rejected as error:
            log.warning("hint: %s", error)
            return
        watch_until = hint.watch_until_unix_ms / 1000 - self.clock_offset
        if watch_until > self._clock.unix():
            self._watch(watch_until)
        if hint.generation != self._desired.generation:
            self._schedule.hinted(self._clock.monotonic())
            self._woken.set()

    def changed(self) -> None:
        """Something in the report changed: tell it soon."""
        self._schedule.changed(self._clock.monotonic())
        self._woken.set()

    def problems(self) -> list[Problem]:
        found = [self._obstacle, clock_problem(self.clock_offset)]
        return [problem for problem in found if problem is not None]

    async def run(self) -> None:
        """Sync until cancelled."""
        while True:
            await self._wait()
            now, report = self._clock.monotonic(), self.report()
            if self._passable(now, report):
                self._schedule.passed(now)
                continue
            self._schedule.started()
            await self._sync(report)

    def _passable(self, now: float, report: fleet_pb2.SyncRequest) -> bool:
        if now < self._watched_until:  # what moves is looked at
            return False
        quiet = silence.longest(report, self._desired.quiet_sync_seconds)
        if not (self.connected and self._schedule.passable(now, quiet)):
            return False
        return silence.may_stay_silent(self._told, report)

    async def _wait(self) -> None:
        while (left := self._schedule.due - self._clock.monotonic()) > 0:
            self._woken.clear()
            waits = {
                asyncio.ensure_future(self._clock.sleep(left)),
                asyncio.ensure_future(self._woken.wait()),
            }
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.wait(waits)

    async def _sync(self, report: fleet_pb2.SyncRequest) -> None:
        try:
            self._take(await self._link.sync(report.SerializeToString()))
        except Retryable as error:
            self._lost(Problem("control-plane-away", str(error)))
            self._schedule.failed(self._clock.monotonic(), error.after_seconds or 0.0)
        except Rejected as error:
            self._lost(Problem("sync-refused", str(error)))
            self._schedule.refused(self._clock.monotonic())
        else:
            self._told = report
            now, interval = self._clock.monotonic(), float(self._desired.sync_interval_seconds)
            self._schedule.succeeded(now, min(interval, WATCHED_SECONDS) if now < self._watched_until else interval)

    def _take(self, reply: SyncReply) -> None:
        desired = _parsed(reply.desired)
        if not self.connected:
            log.info("the control plane answers; desired state is generation %d", desired.generation)
        self.connected = True
        self._obstacle = None
        self._ahead = reply.clock_unix - self._clock.monotonic()
        self._keep(reply.desired, desired)
        if desired.generation != self._desired.generation:
            self.changed()  # told soon, so that nobody sees this box behind for a whole interval
        self._desired = desired
        self._handlers.grant(reply.grant)
        self._handlers.desired(desired)
        self._watch(desired.watch_until_unix_ms / 1000 - self.clock_offset)

    def _watch(self, until: float) -> None:
        """Who begins to look sees at once what is."""
        now, before = self._clock.monotonic(), self._watched_until
        self._watched_until = now + until - self._clock.unix()
        if before <= now < self._watched_until:
            self._schedule.changed(now)
            self._woken.set()
        self._handlers.watch(until)

    def _keep(self, content: bytes, desired: fleet_pb2.DesiredState) -> None:
        """A full disk does not keep the box from doing what is wanted; only a power cut would forget it.

        That somebody looks is for now: it alone is not worth a write to disk.
        """
        lasting = _lasting(desired)
        if lasting == self._kept:
            return
        try:
            self._state.put(KEY, content)
            self._kept = lasting
        except (Retryable, Fatal) as error:
            self._obstacle = Problem("desired-not-kept", str(error))

    def _lost(self, problem: Problem) -> None:
        if self.connected or self._obstacle is None or self._obstacle.message != problem.message:
            log.warning("sync: %s", problem.message)
        self.connected = False
        self._obstacle = problem


def _hint(payload: bytes) -> telemetry_pb2.DesiredHint:
    try:
        return telemetry_pb2.DesiredHint.FromString(payload)
    except DecodeError as error:
        raise Rejected("not readable; a newer control plane needs a newer agent") from error


def _lasting(desired: fleet_pb2.DesiredState) -> bytes:
    without = fleet_pb2.DesiredState()
    without.CopyFrom(desired)
    without.ClearField("watch_until_unix_ms")
    return without.SerializeToString(deterministic=True)


def kept(state: StateStore) -> fleet_pb2.DesiredState | None:
    """What the box was told before it was started; None when nothing that can be read is kept."""
    content = state.get(KEY)
    try:
        return None if content is None else _parsed(content)
    except Rejected as error:
        log.error("kept desired state: %s; waiting for the control plane", error)
        return None


def _parsed(content: bytes) -> fleet_pb2.DesiredState:
    try:
        return fleet_pb2.DesiredState.FromString(content)
    except DecodeError as error:
        raise Rejected("desired state is not readable; a newer control plane needs a newer agent") from error
