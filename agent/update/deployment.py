"""One deployment's update, driven through its states by one task.

Order that holds here: the record is durable before its state is acted on; a newer offer cancels the step under way,
except a swap or a roll back, which are short and always end. Whenever nothing answers and something was confirmed,
bringing that back comes before all else, and is tried again between all else, until it or a newer release answers. A
withdrawn deployment stops answering first and is forgotten last.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.errors import DiskFull, OverQuota, Unfit
from agent.ports import Clock, StateStore
from agent.types import Problem
from agent.update import progress, sizes, steps
from agent.update.backoff import Backoff
from agent.update.comeback import Comeback
from agent.update.downloads import Downloads
from agent.update.hindrance import MISTAKE, Hindrance
from agent.update.machine import MACHINE, State
from agent.update.progress import Progress
from agent.update.record import Event
from agent.update.walk import Ended, Report, Walk
from protos.errors import LongshoreError
from protos.ids import DeploymentName, Digest
from protos.problems import NOTICE

log = logging.getLogger(__name__)

PREFIX = "update/"


def key_of(deployment: DeploymentName) -> str:
    return PREFIX + deployment


@dataclass(frozen=True)
class Surroundings:
    """What every deployment's update shares. `sweep` and `changed` are called after a record changed."""

    ports: steps.Ports
    state: StateStore
    clock: Clock
    confirm_seconds: float
    sweep: Callable[[], None]
    changed: Callable[[], None]
    backoff: Callable[[], Backoff]
    downloads: Downloads


class DeploymentUpdate(Walk[Progress]):
    """See the module's rules. `offer` and `withdraw` may be called at any time."""

    machine = MACHINE

    def __init__(self, record: Progress, around: Surroundings) -> None:
        """`record`: as it was found on disk, in whatever state the last process left it."""
        steps_of = {
            State.PULLING: self._pull,
            State.VERIFYING: self._verify,
            State.WARMING: self._warm,
            State.SWAPPING: self._swap,
            State.CONFIRMING: self._confirm,
            State.ROLLING_BACK: self._roll_back,
        }
        super().__init__(progress.resumed(record), around, steps_of)
        self._around = around
        repair = around.downloads.of(around.ports, record.deployment, None)
        self._comeback = Comeback(repair, record.deployment, around.clock, Hindrance(around.backoff()))
        self._offered: Digest | None = None
        self._withdrawn = False
        self._budget = 0.0  # seconds of an inference that what was too slow may take now
        self._eager = True  # nothing failed since a wait was ended early
        self._answering: Digest | None = None
        self._before: Digest | None = None  # answers again when what answers is abandoned
        self._unconfirmed = False  # something is loaded that must be confirmed or abandoned

    def offer(self, digest: Digest) -> None:
        """Desired state names `digest`. The same again may end a wait early: whoever says it has a network. It ends one
        only, or the answer to the report of a failure would bring about the next failure.
        """
        if digest != self._offered or self._eager:
            self._woken.set()
        self._offered = digest
        if self._step is not None and progress.decide(self._record, digest) is Event.ABORTED:
            self._step.cancel()

    def withdraw(self) -> None:
        """Desired state names this deployment no more."""
        self._withdrawn = True
        self._woken.set()
        if self._step is not None and self._record.state not in (State.SWAPPING, State.ROLLING_BACK):
            self._step.cancel()

    def afford(self, budget: float) -> None:
        """Desired state allows an inference so many seconds, 0: any. What was refused for less is tried again."""
        allowed = budget or math.inf
        if allowed != self._budget and self._record.resting:
            self._woken.set()
        self._budget = allowed

    def hurry(self) -> None:
        """The rules of its download changed: what they held may go on."""
        self._woken.set()

    def report(self) -> Report:
        target, active = self._offered or self._record.target or "", self._answering or ""
        told = self._told()
        if self._comeback.hindrance.error is not None:
            told.append(f"nothing answers: {self._comeback.hindrance.error}")
        variant = self._around.ports.variants.get(Digest(active), "")
        return self._report(self._record.deployment, target, active, told, variant)

    def problem(self) -> Problem | None:
        known = (self._step_hindrance, self._record_hindrance, self._comeback.hindrance)
        full = next((hindrance.error for hindrance in known if isinstance(hindrance.error, DiskFull)), None)
        if full:
            return Problem("release-quota" if isinstance(full, OverQuota) else "disk-full", str(full))
        told = sizes.sentence(self._around.ports.left_out.get(self._answering or Digest(""), {}))
        return Problem(NOTICE, f"{self._record.deployment}: {told}") if told else None

    async def run(self) -> None:
        """Returns only when the deployment was withdrawn and nothing of it is left. If it raises, see `stumbled`."""
        while not self._withdrawn:
            if self._absent and self._comeback.due:
                await self._come_back()
            elif self._record.resting:
                await self._rest()
            else:
                await self._work()
        await self._leave()

    def stumbled(self) -> float:
        """`run` raised what nobody thought of; seconds to wait before it is called again.

        It then goes on from its record as after a start, with what is loaded still there.
        """
        self._record = progress.resumed(self._record)
        return self._step_hindrance.met(MISTAKE)

    # ---- at rest ----

    async def _rest(self) -> None:
        self._woken.clear()
        self._record = progress.afforded(self._record, self._budget)
        event = progress.decide(self._record, self._offered) if self._offered else None
        if event is not None and self._offered is not None:
            await self._moved(progress.offered(self._record, self._offered, event))
        elif self._absent:
            await self._pause(self._comeback.seconds_left)
        else:
            await self._woken.wait()

    @property
    def _absent(self) -> bool:
        """Nothing answers, something could, and it would get in nobody's way."""
        return self._answering is None and not self._unconfirmed and bool(self._record.confirmed)

    async def _come_back(self) -> None:
        self._answering = await self._comeback.round(self._record.confirmed)
        if self._answering is not None:
            self._comeback.over()
            self._step_hindrance.over()
            if self._answering != self._record.active:
                await self._move(progress.fell_back(self._record))
        self._around.changed()

    # ---- at work ----

    @property
    def _superseded(self) -> bool:
        return self._offered is not None and progress.decide(self._record, self._offered) is Event.ABORTED

    def _advanced(self, ended: Ended) -> Progress:
        return progress.advanced(self._record, ended.event, ended.message, ended.rule, ended.took)

    async def _go(self, record: Progress) -> bool:
        """What is loaded waits for its record. Any other step is done again, and a comeback may be tried between."""
        if self._withdrawn:
            return False
        return await (self._move(record) if self._unconfirmed else self._moved(record))

    def _bounds(self) -> list[Awaitable[None]]:
        """Pulling may take hours, and goes on where it stopped: it makes way when a comeback is due."""
        if self._record.state is State.PULLING and self._absent:
            return [self._around.clock.sleep(self._comeback.seconds_left)]
        return []

    async def _pull(self, target: Digest) -> Ended:
        self._around.sweep()
        return await super()._pull(target)

    async def _warm(self, target: Digest) -> Ended:
        if self._verified is None or self._verified.digest != target:
            return Ended(Event.ABORTED)  # unreachable by the tables: WARMING follows VERIFYING in one process
        self._unconfirmed = True  # a warm that is cancelled may leave something behind
        try:
            await steps.warm(self._around.ports, self._record.deployment, self._verified)
        except LongshoreError:
            self._unconfirmed = False
            raise
        return Ended(Event.OK)

    async def _swap(self, target: Digest) -> Ended:
        await steps.swap(self._around.ports, self._record.deployment, target)
        self._before, self._answering = self._answering, target
        self._comeback.over()
        return Ended(Event.OK)

    async def _confirm(self, target: Digest) -> Ended:
        seconds, took = self._around.confirm_seconds, 0.0
        try:
            if await steps.confirm(self._around.ports, self._record.deployment, target, seconds):
                self._before = None
                return Ended(Event.OK)
            why = f"did not stay healthy for {seconds:g} s"
        except Unfit as error:
            why, took = str(error), error.seconds
        fate = "the release before it answers again" if self._before else "it was taken away again"
        return Ended(Event.UNHEALTHY, f"{why}; {fate}", took=took)

    async def _roll_back(self, target: Digest) -> Ended:
        await steps.roll_back(self._around.ports, self._record.deployment, target)
        if self._answering == target:
            self._answering = self._before
        self._before, self._unconfirmed = None, False
        return self._undone(target)

    # ---- the record ----

    async def _move(self, record: Progress) -> bool:
        """Persist, then go there, however long that takes. False when the deployment was withdrawn before."""
        while not self._withdrawn:
            if await self._moved(record):
                return True
        return False

    def _persist(self, record: Progress) -> None:
        self._around.state.put(key_of(record.deployment), progress.to_bytes(record))

    def _entered(self, record: Progress) -> None:
        if record.resting:
            self._unconfirmed = False
            self._around.sweep()

    def _went_well(self) -> None:
        super()._went_well()
        self._eager = True

    def _meanwhile(self) -> list[Awaitable[None]]:
        """What must come back is fetched, should it need that."""
        return [self._comeback.fetch()]

    async def _pause(self, seconds: float) -> None:
        await super()._pause(seconds)
        if self._woken.is_set():
            self._eager = False

    async def _leave(self) -> None:
        await self._around.ports.serving.remove(self._record.deployment)
        self._answering = None
        try:
            self._around.state.delete(key_of(self._record.deployment))
        except LongshoreError as error:  # it is withdrawn again after the next start
            log.warning("%s: its record stays until the next start: %s", self._record.deployment, error)
