"""One deployment's update, driven through its states by one task.

Order that holds here: the record is durable before its state is acted on; a newer offer cancels the step under way,
except a swap or a roll back, which are short and always end. Whenever nothing answers and something was confirmed,
bringing that back comes before all else, and is tried again between all else, until it or a newer release answers. A
withdrawn deployment stops answering first and is forgotten last.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from agent.errors import Damaged, DiskFull, Held, OverQuota, Unfit
from agent.ports import Clock, StateStore
from agent.supervise import first_of
from agent.trust.agreement import Approval
from agent.trust.errors import NotApproved
from agent.types import Problem
from agent.update import progress, steps
from agent.update.backoff import Backoff
from agent.update.comeback import Comeback
from agent.update.downloads import Downloads
from agent.update.hindrance import MISTAKE, Hindrance
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
    state: StrEnum  # of agent.update.machine, or of agent.berths.machine
    target: str
    active: str
    message: str
    refused: tuple[str, ...]
    bytes_done: int
    bytes_total: int
    variant: str = ""  # of what answers
    held: bool = False  # nothing is fetched now, by the rules of its download


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


@dataclass(frozen=True)
class _Ended:
    """How a step ended."""

    event: Event
    message: str = ""
    wait: float = 0.0  # seconds before the next step
    rule: str = ""  # of signed metadata, that excludes the release
    took: float = 0.0  # seconds of an inference, where that was too long


class DeploymentUpdate:
    """See the module's rules. `offer` and `withdraw` may be called at any time."""

    def __init__(self, record: Progress, around: Surroundings) -> None:
        """`record`: as it was found on disk, in whatever state the last process left it."""
        self._record = progress.resumed(record)
        self._around = around
        repair = around.downloads.of(around.ports, record.deployment, None)
        self._comeback = Comeback(repair, record.deployment, around.clock, Hindrance(around.backoff()))
        self._step_hindrance = Hindrance(around.backoff())
        self._record_hindrance = Hindrance(around.backoff())
        self._offered: Digest | None = None
        self._withdrawn = False
        self._woken = asyncio.Event()
        self._budget = 0.0  # seconds of an inference that what was too slow may take now
        self._eager = True  # nothing failed since a wait was ended early
        self._step: asyncio.Task[_Ended] | None = None
        self._approval: Approval | None = None
        self._verified: VerifiedRelease | None = None
        self._answering: Digest | None = None
        self._before: Digest | None = None  # answers again when what answers is abandoned
        self._unconfirmed = False  # something is loaded that must be confirmed or abandoned
        self._bytes = (0, 0)
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

    def wake(self) -> None:
        """Newer metadata was proven: what was not signed, or was excluded, may be approved now."""
        if self._record.state is State.FAILED:
            self._record = progress.reconsidered(self._record)
        self._woken.set()

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
        record = self._record
        refused = tuple(refusal.digest for refusal in record.refused)
        target, active = self._offered or record.target or "", self._answering or ""
        variant = self._around.ports.variants.get(Digest(active), "")
        held = isinstance(self._step_hindrance.error, Held)
        message = self._message()
        return Report(record.deployment, record.state, target, active, message, refused, *self._bytes, variant, held)

    def problem(self) -> Problem | None:
        known = (self._step_hindrance, self._record_hindrance, self._comeback.hindrance)
        full = next((hindrance.error for hindrance in known if isinstance(hindrance.error, DiskFull)), None)
        code = "release-quota" if isinstance(full, OverQuota) else "disk-full"
        return Problem(code, str(full)) if full else None

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

    async def _work(self) -> None:
        ended = await self._attempt()
        if self._withdrawn:
            return
        if ended.event is not Event.RETRY:
            self._went_well()
        after = progress.advanced(self._record, ended.event, ended.message, ended.rule, ended.took)
        # What is loaded waits for its record. Any other step is simply done again, and a comeback may be tried between.
        moved = await (self._move(after) if self._unconfirmed else self._moved(after))
        if moved and ended.wait:
            await self._pause(ended.wait)

    async def _attempt(self) -> _Ended:
        record = self._record
        if self._superseded:
            return _Ended(Event.ABORTED)
        if progress.spent(record):
            return _Ended(Event.REJECTED, f"given up after too many tries; the last: {record.message or 'a crash'}")
        self._step = asyncio.create_task(self._act(), name=f"{record.state} {record.deployment}")
        try:
            await first_of(self._step, *self._bounds())
            if not self._step.cancelled():
                return self._step.result()
        finally:
            self._step = None
        return _Ended(Event.ABORTED) if self._superseded else _Ended(Event.RETRY, record.message)

    @property
    def _superseded(self) -> bool:
        return self._offered is not None and progress.decide(self._record, self._offered) is Event.ABORTED

    def _bounds(self) -> list[Awaitable[None]]:
        """Pulling may take hours, and goes on where it stopped: it makes way when a comeback is due."""
        if self._record.state is State.PULLING and self._absent:
            return [self._around.clock.sleep(self._comeback.seconds_left)]
        return []

    async def _act(self) -> _Ended:
        """Run the state's step; errors become events here and nowhere else."""
        state = self._record.state
        try:
            return await self._steps[state](self._record.target or Digest(""))
        except Damaged as error:
            # In PULLING it was fetched anew already, and came wrong again.
            return _Ended(Event.REJECTED if state is State.PULLING else Event.DAMAGED, str(error))
        except Held as error:
            return _Ended(Event.RETRY, wait=self._held(error))
        except (Retryable, Fatal) as error:
            # Fatal: the disk turned read-only, say. What answers goes on; somebody may mend it under us.
            return _Ended(Event.RETRY, str(error), self._step_hindrance.met(error))
        except Rejected as error:
            rule = error.rule if isinstance(error, NotApproved) else ""
            return _Ended(
                Event.REJECTED, str(error), rule=rule, took=error.seconds if isinstance(error, Unfit) else 0.0
            )

    async def _pull(self, target: Digest) -> _Ended:
        self._around.sweep()
        self._approval = await steps.approve(self._around.ports, self._record.deployment, target)
        ports = self._around.downloads.of(self._around.ports, self._record.deployment, target)
        await steps.pull(ports, self._approval, self._pulled)
        return _Ended(Event.OK)

    def _held(self, error: Held) -> float:
        """Seconds to wait, as told: this is no failure, and grows no patience; nor does the same offer end it."""
        if str(error) != str(self._step_hindrance.error):
            log.info("%s: %s", self._record.deployment, error)
        self._step_hindrance.over()
        self._step_hindrance.error = error
        return error.after_seconds or 0.0

    def _pulled(self, done: int, total: int) -> None:
        self._bytes = (done, total)
        self._went_well()  # bytes came: the wire is good again

    async def _verify(self, target: Digest) -> _Ended:
        if self._approval is None or self._approval.digest != target:
            return _Ended(Event.ABORTED)  # unreachable by the tables: VERIFYING follows PULLING in one process
        self._verified = await steps.verify(self._around.ports, self._approval)
        return _Ended(Event.OK)

    async def _warm(self, target: Digest) -> _Ended:
        if self._verified is None or self._verified.digest != target:
            return _Ended(Event.ABORTED)  # unreachable by the tables: WARMING follows VERIFYING in one process
        self._unconfirmed = True  # a warm that is cancelled may leave something behind
        try:
            await steps.warm(self._around.ports, self._record.deployment, self._verified)
        except LongshoreError:
            self._unconfirmed = False
            raise
        return _Ended(Event.OK)

    async def _swap(self, target: Digest) -> _Ended:
        await steps.swap(self._around.ports, self._record.deployment, target)
        self._before, self._answering = self._answering, target
        self._comeback.over()
        return _Ended(Event.OK)

    async def _confirm(self, target: Digest) -> _Ended:
        seconds, took = self._around.confirm_seconds, 0.0
        try:
            if await steps.confirm(self._around.ports, self._record.deployment, target, seconds):
                self._before = None
                return _Ended(Event.OK)
            why = f"did not stay healthy for {seconds:g} s"
        except Unfit as error:
            why, took = str(error), error.seconds
        fate = "the release before it answers again" if self._before else "it was taken away again"
        return _Ended(Event.UNHEALTHY, f"{why}; {fate}", took=took)

    async def _roll_back(self, target: Digest) -> _Ended:
        await steps.roll_back(self._around.ports, self._record.deployment, target)
        if self._answering == target:
            self._answering = self._before
        self._before, self._unconfirmed = None, False
        refused = self._record.refusal(target) is not None
        return _Ended(Event.REJECTED if refused else Event.OK, self._record.message)

    # ---- the record ----

    async def _move(self, record: Progress) -> bool:
        """Persist, then go there, however long that takes. False when the deployment was withdrawn before."""
        while not self._withdrawn:
            if await self._moved(record):
                return True
        return False

    async def _moved(self, record: Progress) -> bool:
        """Persist, then go there. False, after a wait, when the disk fails: nothing has been acted on then."""
        try:
            self._around.state.put(key_of(record.deployment), progress.to_bytes(record))
        except (Retryable, Fatal) as error:
            seconds = self._record_hindrance.met(error)
            self._around.changed()
            await self._pause(seconds)
            return False
        self._record_hindrance.over()
        self._log(record)
        self._record = record
        if record.resting:
            self._unconfirmed = False
            self._around.sweep()
        self._around.changed()
        return True

    def _log(self, record: Progress) -> None:
        if record.state is not self._record.state or record.message != self._record.message:
            level = logging.WARNING if record.message else logging.INFO
            target = (record.target or "")[:19]
            log.log(level, "%s: %s %s %s", record.deployment, record.state, target, record.message)

    def _message(self) -> str:
        """Everything that is true now, each once. What a step that is tried again met before is not."""
        told = self._hindering()
        if not told or self._record.resting or self._record.state is State.ROLLING_BACK:
            told.insert(0, self._record.message)  # why it failed, or is undone
        if self._comeback.hindrance.error is not None:
            told.append(f"nothing answers: {self._comeback.hindrance.error}")
        return "; ".join(dict.fromkeys(filter(None, told)))

    def _hindering(self) -> list[str]:
        """What keeps it from going on; a full disk once, in the words that say how much is missing."""
        errors = [known.error for known in (self._step_hindrance, self._record_hindrance) if known.error]
        full = [error for error in errors if type(error) is DiskFull]
        return [str(error) for error in errors if error not in full[1:]]

    def _went_well(self) -> None:
        self._step_hindrance.over()
        self._eager = True

    async def _pause(self, seconds: float) -> None:
        """Wait, or until something new is offered; meanwhile what must come back is fetched, should it need that."""
        self._woken.clear()
        await first_of(self._around.clock.sleep(seconds), self._woken.wait(), self._comeback.fetch())
        if self._woken.is_set():
            self._eager = False

    async def _leave(self) -> None:
        await self._around.ports.serving.remove(self._record.deployment)
        self._answering = None
        try:
            self._around.state.delete(key_of(self._record.deployment))
        except LongshoreError as error:  # it is withdrawn again after the next start
            log.warning("%s: its record stays until the next start: %s", self._record.deployment, error)
