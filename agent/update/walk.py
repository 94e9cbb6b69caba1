"""One record walked through the states of its machine by one task: what all updates do alike.

Rules that hold here: the record is durable before its state is acted on; how a step failed becomes an event here and
nowhere else; a newer offer cancels the step under way where the machine allows it. What an update is of, when it rests
and what its steps do is said by whoever inherits.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol

from agent.errors import Damaged, DiskFull, Held, Unfit
from agent.ports import Clock
from agent.supervise import first_of
from agent.trust.agreement import Approval
from agent.trust.errors import NotApproved
from agent.update import record as records
from agent.update import steps
from agent.update.backoff import Backoff
from agent.update.downloads import Downloads
from agent.update.hindrance import Hindrance
from agent.update.record import Event, Machine, R
from agent.update.verify import VerifiedRelease
from protos.errors import Fatal, Rejected, Retryable
from protos.ids import DeploymentName, Digest

log = logging.getLogger(__name__)


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
class Ended:
    """How a step ended."""

    event: Event
    message: str = ""
    wait: float = 0.0  # seconds before the next step
    rule: str = ""  # of signed metadata, that excludes the release
    took: float = 0.0  # seconds of an inference, where that was too long


class Shared(Protocol):
    """What every update touches. `changed`: the report may have."""

    @property
    def ports(self) -> steps.Ports: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def changed(self) -> Callable[[], None]: ...
    @property
    def backoff(self) -> Callable[[], Backoff]: ...
    @property
    def downloads(self) -> Downloads: ...


Step = Callable[[Digest], Awaitable[Ended]]


class Walk(ABC, Generic[R]):
    """See the module's rules. `wake` may be called at any time."""

    machine: ClassVar[Machine[Any]]

    def __init__(self, record: R, shared: Shared, steps_of: Mapping[Any, Step]) -> None:
        """`steps_of`: what each busy state does."""
        self._record = record
        self._shared = shared
        self._step_hindrance = Hindrance(shared.backoff())
        self._record_hindrance = Hindrance(shared.backoff())
        self._woken = asyncio.Event()
        self._step: asyncio.Task[Ended] | None = None
        self._approval: Approval | None = None
        self._verified: VerifiedRelease | None = None
        self._bytes = (0, 0)
        self._steps = steps_of

    @property
    def record(self) -> R:
        return self._record

    def wake(self) -> None:
        """Newer metadata was proven: what was not signed, or was excluded, may be approved now."""
        if self._record.state is self.machine.failed:
            self._record = records.reconsidered(self._record)
        self._woken.set()

    # ---- what differs ----

    @property
    @abstractmethod
    def _superseded(self) -> bool:
        """The target is wanted no more, and may be given up."""

    @abstractmethod
    def _persist(self, record: R) -> None:
        """Durable when it returns. Raises Retryable, Fatal."""

    @abstractmethod
    def _advanced(self, ended: Ended) -> R:
        """The record after the step."""

    async def _go(self, record: R) -> bool:
        """To where the step led. False: not yet."""
        return await self._moved(record)

    @property
    def _last(self) -> str:
        """What the last try came to."""
        return self._record.message

    def _bounds(self) -> list[Awaitable[None]]:
        """What else ends a step."""
        return []

    def _meanwhile(self) -> list[Awaitable[None]]:
        """What else goes on, or ends, while it waits."""
        return []

    def _entered(self, record: R) -> None:
        """It is on disk, and is acted on from now on."""

    # ---- at work ----

    async def _work(self) -> None:
        ended = await self._attempt()
        if ended.event is not Event.RETRY:
            self._went_well()
        if await self._go(self._advanced(ended)) and ended.wait:
            await self._pause(ended.wait)

    async def _attempt(self) -> Ended:
        record = self._record
        if self._superseded:
            return Ended(Event.ABORTED)
        if records.spent(self.machine, record):
            return Ended(Event.REJECTED, f"given up after too many tries; the last: {self._last or 'a crash'}")
        self._step = asyncio.create_task(self._act(), name=f"{record.state} {self._record.deployment}")
        try:
            await first_of(self._step, *self._bounds())
            if not self._step.cancelled():
                return self._step.result()
        finally:
            self._step = None
        return Ended(Event.ABORTED) if self._superseded else Ended(Event.RETRY, record.message)

    async def _act(self) -> Ended:
        """Run the state's step; errors become events here and nowhere else."""
        state = self._record.state
        try:
            return await self._steps[state](self._record.target or Digest(""))
        except Damaged as error:
            # Where no DAMAGED follows, it was fetched anew already, and came wrong again.
            anew = (state, Event.DAMAGED) in self.machine.transitions
            return Ended(Event.DAMAGED if anew else Event.REJECTED, str(error))
        except Held as error:
            return Ended(Event.RETRY, wait=self._held(error))
        except (Retryable, Fatal) as error:
            # Fatal: the disk turned read-only, say. What answers goes on; somebody may mend it under us.
            return Ended(Event.RETRY, str(error), self._step_hindrance.met(error))
        except Rejected as error:
            rule = error.rule if isinstance(error, NotApproved) else ""
            took = error.seconds if isinstance(error, Unfit) else 0.0
            return Ended(Event.REJECTED, str(error), rule=rule, took=took)

    async def _pull(self, target: Digest) -> Ended:
        ports, downloads, name = self._shared.ports, self._shared.downloads, self._record.deployment
        self._approval = await steps.approve(ports, name, target)
        await steps.pull(downloads.of(ports, name, target), self._approval, self._pulled)
        return Ended(Event.OK)

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

    async def _verify(self, target: Digest) -> Ended:
        if self._approval is None or self._approval.digest != target:
            return Ended(Event.ABORTED)  # unreachable by the tables: VERIFYING follows PULLING in one process
        self._verified = await steps.verify(self._shared.ports, self._approval)
        return Ended(Event.OK)

    def _undone(self, target: Digest) -> Ended:
        """What was tried is taken back: a release that was refused by that stays so."""
        refused = self._record.refusal(target) is not None
        return Ended(Event.REJECTED if refused else Event.OK, self._record.message)

    # ---- the record ----

    async def _moved(self, record: R) -> bool:
        """Persist, then go there. False, after a wait, when the disk fails: nothing has been acted on then."""
        try:
            self._persist(record)
        except (Retryable, Fatal) as error:
            seconds = self._record_hindrance.met(error)
            self._shared.changed()
            await self._pause(seconds)
            return False
        self._record_hindrance.over()
        self._log(record)
        self._record = record
        self._entered(record)
        self._shared.changed()
        return True

    def _log(self, record: R) -> None:
        if (record.state, record.message) != (self._record.state, self._record.message):
            level = logging.WARNING if record.message else logging.INFO
            target = (record.target or "")[:19]
            log.log(level, "%s: %s %s %s", record.deployment, record.state, target, record.message)

    def _told(self) -> list[str]:
        """Everything that is true now. What a step that is tried again met before is not."""
        told = self._hindering()
        if not told or self._record.state in (*self.machine.resting, self.machine.undoing):
            told.insert(0, self._record.message)  # why it failed, or is undone
        return told

    def _hindering(self) -> list[str]:
        """What keeps it from going on; a full disk once, in the words that say how much is missing."""
        errors = [known.error for known in (self._step_hindrance, self._record_hindrance) if known.error]
        full = [error for error in errors if type(error) is DiskFull]
        return [str(error) for error in errors if error not in full[1:]]

    def _report(self, name: DeploymentName, target: str, active: str, told: list[str], variant: str = "") -> Report:
        """`told`: sentences, the same ones once."""
        record = self._record
        refused = tuple(refusal.digest for refusal in record.refused)
        held = isinstance(self._step_hindrance.error, Held)
        message = "; ".join(dict.fromkeys(filter(None, told)))
        return Report(name, record.state, target, active, message, refused, *self._bytes, variant, held)

    def _went_well(self) -> None:
        self._step_hindrance.over()

    async def _pause(self, seconds: float) -> None:
        """Wait, or until something new is offered."""
        self._woken.clear()
        await first_of(self._shared.clock.sleep(seconds), self._woken.wait(), *self._meanwhile())
