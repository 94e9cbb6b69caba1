"""One deployment's update, driven through its states by one task.

Order that holds here: the record is durable before its state is acted on; a newer offer cancels the step under way,
except a swap or a roll back, which are short and always end; what answers is brought back from disk before anything
else is tried. A withdrawn deployment stops answering first and is forgotten last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import Damaged, DiskFull, passing
from agent.ports import Clock, StateStore
from agent.types import Problem
from agent.update import progress, steps
from agent.update.backoff import Backoff
from agent.update.machine import Event, State
from agent.update.progress import Progress
from agent.update.verify import VerifiedRelease
from protos.errors import Fatal, LongshoreError, Rejected, Retryable
from protos.ids import DeploymentName, Digest

log = logging.getLogger(__name__)

PREFIX = "update/"


def key_of(deployment: DeploymentName) -> str:
    return PREFIX + deployment


@dataclass(frozen=True)
class Report:
    """What Sync tells of one deployment. `active` answers now, "" when nothing does."""

    deployment: DeploymentName
    state: State
    target: str
    active: str
    message: str
    refused: tuple[str, ...]
    bytes_done: int
    bytes_total: int


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


@dataclass(frozen=True)
class _Ended:
    """How a step ended."""

    event: Event
    message: str = ""
    wait: float = 0.0  # seconds before the next step


class DeploymentUpdate:
    """See the module's rules. `offer` and `withdraw` may be called at any time; `run` once."""

    def __init__(self, record: Progress, around: Surroundings) -> None:
        """`record`: as it was found on disk, in whatever state the last process left it."""
        self._record = progress.resumed(record)
        self._around = around
        self._backoff = around.backoff()
        self._offered: Digest | None = None
        self._withdrawn = False
        self._woken = asyncio.Event()
        self._step: asyncio.Task[_Ended] | None = None
        self._verified: VerifiedRelease | None = None
        self._answering: Digest | None = None
        self._bytes = (0, 0)
        self._obstacle: Retryable | None = None
        self._steps = {
            State.PULLING: self._pull,
            State.VERIFYING: self._verify,
            State.WARMING: self._warm,
            State.SWAPPING: self._swap,
            State.CONFIRMING: self._confirm,
            State.ROLLING_BACK: self._roll_back,
        }

    @property
    def record(self) -> Progress:
        return self._record

    def offer(self, digest: Digest) -> None:
        """Desired state names `digest`. The same again only ends a wait early: whoever says it has a network."""
        self._offered = digest
        self._woken.set()
        if self._step is not None and progress.decide(self._record, digest) is Event.ABORTED:
            self._step.cancel()

    def withdraw(self) -> None:
        """Desired state names this deployment no more."""
        self._withdrawn = True
        self._woken.set()
        if self._step is not None and self._record.state not in (State.SWAPPING, State.ROLLING_BACK):
            self._step.cancel()

    def report(self) -> Report:
        record = self._record
        message = record.message or (str(self._obstacle) if self._obstacle else "")
        refused = tuple(refusal.digest for refusal in record.refused)
        target, active = self._offered or record.target or "", self._answering or ""
        return Report(record.deployment, record.state, target, active, message, refused, *self._bytes)

    def problem(self) -> Problem | None:
        if isinstance(self._obstacle, DiskFull):
            return Problem("disk-full", str(self._obstacle))
        return None

    async def run(self) -> None:
        """Returns only when the deployment was withdrawn and nothing of it is left."""
        await self._restore()
        while not self._withdrawn:
            if self._record.resting:
                await self._rest()
            else:
                await self._work()
        await self._leave()

    # ---- at rest ----

    async def _rest(self) -> None:
        self._woken.clear()
        event = progress.decide(self._record, self._offered) if self._offered else None
        if event is None or self._offered is None:
            await self._woken.wait()
        else:
            await self._move(progress.offered(self._record, self._offered, event))

    async def _restore(self) -> None:
        """What was confirmed answers again, from disk; what cannot any more is taken off the record."""
        while not self._withdrawn and (digest := self._record.active or self._record.previous):
            try:
                await steps.restore(self._around.ports, self._record.deployment, digest)
            except Rejected as error:
                log.warning("%s: release %s does not come back: %s", self._record.deployment, digest[:19], error)
                await self._move(progress.lost(self._record, digest, str(error)))
            except (Retryable, Fatal) as error:
                hindrance = passing(error)
                await self._hindered(hindrance, self._backoff.next(hindrance.after_seconds))
                if self._offered not in (None, digest):
                    return  # a newer release is wanted, and this one does not come
            else:
                await self._restored(digest)
                return

    async def _restored(self, digest: Digest) -> None:
        self._answering = digest
        self._unhindered()
        if digest != self._record.active:
            await self._move(progress.fell_back(self._record, digest))
        self._around.changed()

    # ---- at work ----

    async def _work(self) -> None:
        ended = await self._attempt()
        if self._withdrawn:
            return
        if ended.event is not Event.RETRY:
            self._unhindered()
        await self._move(progress.advanced(self._record, ended.event, ended.message))
        if ended.wait:
            await self._pause(ended.wait)

    async def _attempt(self) -> _Ended:
        record = self._record
        if self._offered and progress.decide(record, self._offered) is Event.ABORTED:
            return _Ended(Event.ABORTED)
        if progress.spent(record):
            return _Ended(Event.REJECTED, f"given up after too many tries; the last: {record.message or 'a crash'}")
        self._step = asyncio.create_task(self._act(), name=f"{record.state} {record.deployment}")
        try:
            await asyncio.wait({self._step})
            return _Ended(Event.ABORTED) if self._step.cancelled() else self._step.result()
        finally:
            self._step.cancel()
            await asyncio.wait({self._step})
            self._step = None

    async def _act(self) -> _Ended:
        """Run the state's step; errors become events here and nowhere else."""
        try:
            return await self._steps[self._record.state](self._record.target or Digest(""))
        except Damaged as error:
            # Wrong bytes: fetched anew, from VERIFYING within its limit, from WARMING by way of IDLE.
            event = Event.ABORTED if self._record.state is State.WARMING else Event.RETRY
            rejected = self._record.state is State.PULLING
            return _Ended(Event.REJECTED if rejected else event, str(error))
        except (Retryable, Fatal) as error:
            # Fatal: the disk turned read-only, say. What answers goes on; somebody may mend it under us.
            self._obstacle = passing(error)
            return _Ended(Event.RETRY, str(error), self._backoff.next(self._obstacle.after_seconds))
        except Rejected as error:
            return _Ended(Event.REJECTED, str(error))

    async def _pull(self, target: Digest) -> _Ended:
        self._around.sweep()
        await steps.pull(self._around.ports, target, self._pulled)
        return _Ended(Event.OK)

    def _pulled(self, done: int, total: int) -> None:
        self._bytes = (done, total)
        self._backoff.reset()  # bytes came: the wire is good again

    async def _verify(self, target: Digest) -> _Ended:
        self._verified = await steps.verify(self._around.ports, target)
        return _Ended(Event.OK)

    async def _warm(self, target: Digest) -> _Ended:
        if self._verified is None or self._verified.digest != target:
            return _Ended(Event.ABORTED)  # unreachable by the tables: WARMING follows VERIFYING in one process
        await steps.warm(self._around.ports, self._record.deployment, self._verified)
        return _Ended(Event.OK)

    async def _swap(self, target: Digest) -> _Ended:
        await steps.swap(self._around.ports, self._record.deployment, target)
        self._answering = target
        return _Ended(Event.OK)

    async def _confirm(self, target: Digest) -> _Ended:
        seconds = self._around.confirm_seconds
        if await steps.confirm(self._around.ports, self._record.deployment, target, seconds):
            return _Ended(Event.OK)
        fate = "the release before it answers again" if self._record.active else "it was taken away again"
        return _Ended(Event.UNHEALTHY, f"did not stay healthy for {seconds:g} s; {fate}")

    async def _roll_back(self, target: Digest) -> _Ended:
        await steps.roll_back(self._around.ports, self._record.deployment, target)
        if self._answering == target:
            self._answering = self._record.active
        refused = self._record.refusal(target) is not None
        return _Ended(Event.REJECTED if refused else Event.OK, self._record.message)

    # ---- the record ----

    async def _move(self, record: Progress) -> None:
        """Persist, then go there. A full disk holds the update where it is; nothing has been acted on yet."""
        while not self._withdrawn:
            try:
                self._around.state.put(key_of(record.deployment), progress.to_bytes(record))
                break
            except Retryable as error:
                await self._hindered(error, self._backoff.next(error.after_seconds))
        self._log(record)
        self._record = record
        if record.resting:
            self._around.sweep()
        self._around.changed()

    def _log(self, record: Progress) -> None:
        if record.state is not self._record.state or record.message != self._record.message:
            level = logging.WARNING if record.message else logging.INFO
            target = (record.target or "")[:19]
            log.log(level, "%s: %s %s %s", record.deployment, record.state, target, record.message)

    async def _hindered(self, error: Retryable, seconds: float) -> None:
        self._obstacle = error
        self._around.changed()
        await self._pause(seconds)

    def _unhindered(self) -> None:
        self._obstacle = None
        self._backoff.reset()

    async def _pause(self, seconds: float) -> None:
        """Wait, or until something new is offered."""
        self._woken.clear()
        waits = {
            asyncio.ensure_future(self._around.clock.sleep(seconds)),
            asyncio.ensure_future(self._woken.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    async def _leave(self) -> None:
        await self._around.ports.serving.remove(self._record.deployment)
        self._answering = None
        try:
            self._around.state.delete(key_of(self._record.deployment))
        except LongshoreError as error:  # it is withdrawn again after the next start
            log.warning("%s: its record stays until the next start: %s", self._record.deployment, error)
