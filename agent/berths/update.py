"""The agent's own update at work: one release of the agent is wanted, or none; what it came to is reported.

Rules that hold here: a record is on disk before its state is acted on; what starts next is changed by `Berths.choose`
alone; a process that is to make way asks for its end, once, and does nothing more. Files come and are proven as those
of any release (agent.update.steps). A box that no launcher started is updated by whoever runs it, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.berths import choice as choices
from agent.berths import progress
from agent.berths.choice import Choice
from agent.berths.machine import Event, State
from agent.berths.ports import Berths
from agent.berths.progress import Health, Progress, Verdict
from agent.errors import Damaged
from agent.ports import Clock, StateStore
from agent.supervise import first_of, in_thread
from agent.trust.errors import NotApproved
from agent.update import steps
from agent.update.backoff import Backoff
from agent.update.deployment import Report
from agent.update.downloads import Downloads
from agent.update.hindrance import MISTAKE, Hindrance
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.errors import Fatal, LongshoreError, Rejected, Retryable
from protos.ids import DeploymentName, Digest, Version
from protos.manifest import FileEntry

log = logging.getLogger(__name__)

KEY = "agent-update"
LOOK_SECONDS = 1.0  # between two looks at a trial


@dataclass(frozen=True)
class AgentWish:
    """A release of the agent, as desired state names it: a hint to look, as all of it."""

    deployment: DeploymentName
    version: Version
    digest: Digest


@dataclass(frozen=True)
class Around:
    """What the update touches. `restart`: end this process, for it to be started again; returns at once."""

    ports: steps.Ports
    berths: Berths
    state: StateStore
    clock: Clock
    health: Callable[[], Health]
    restart: Callable[[], None]
    version: str  # of this agent
    confirm_seconds: float
    downloads: Downloads
    changed: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class _Ended:
    event: Event
    message: str = ""
    wait: float = 0.0  # seconds before the next step
    rule: str = ""  # that refuses it only for now


class AgentUpdate:
    """`offer` may be called at any time; `run` is an eternal task."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._running = around.berths.release(around.berths.running)
        self._record = self._resumed(progress.from_bytes(around.state.get(KEY) or b""))
        self._wish: AgentWish | None = None
        self._hindrance = Hindrance(Backoff())
        self._woken = asyncio.Event()
        self._step: asyncio.Task[_Ended] | None = None
        self._verified: VerifiedRelease | None = None
        self._bytes = (0, 0)
        self._acts = {
            State.PULLING: self._pull,
            State.VERIFYING: self._verify,
            State.INSTALLING: self._install,
            State.SWITCHING: self._switch,
            State.RESTARTING: self._restart,
            State.CONFIRMING: self._confirm,
            State.REVERTING: self._revert,
        }

    @property
    def record(self) -> Progress:
        return self._record

    @property
    def releases(self) -> tuple[Digest, ...]:
        """Those whose files must stay on disk."""
        return self._record.releases

    def offer(self, wish: AgentWish | None) -> None:
        """The same again ends no wait: each failure is reported, and each report is answered by an offer."""
        if wish != self._wish:
            self._woken.set()
        self._wish = wish
        if self._step is not None and self._event() is Event.ABORTED:
            self._step.cancel()

    def wake(self) -> None:
        """Newer metadata was proven: what was not signed, or was excluded, may be approved now."""
        if self._record.state is State.FAILED:
            self._record = replace(self._record, refused=tuple(each for each in self._record.refused if not each.rule))
        self._woken.set()

    def reports(self) -> list[Report]:
        """Of the Deployment that names a release of the agent, if one does."""
        wish, record = self._wish, self._record
        if wish is None:
            return []
        hindrance = str(self._hindrance.error) if self._hindrance.error else ""
        message = "; ".join(dict.fromkeys(filter(None, (record.message, hindrance))))
        refused = tuple(refusal.digest for refusal in record.refused)
        active = self._active() or ""
        return [Report(wish.deployment, record.state, wish.digest, active, message, refused, *self._bytes)]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await (self._rest() if self._record.resting else self._work())
            except Exception:  # a supervised root: a mistake in here must not end an agent that works
                log.exception("the agent's own update failed; it goes on from its record")
                self._record = self._resumed(self._record)
                await self._pause(self._hindrance.met(MISTAKE))

    # ---- decided elsewhere ----

    def _resumed(self, record: Progress) -> Progress:
        berths = self._around.berths
        choice = berths.choice()
        return progress.resumed(record, choice, berths.running, berths.release(choice.trial) if choice.trial else None)

    def _active(self) -> Digest | None:
        """What runs: an environment from outside goes by its version, for it has no digest."""
        wish = self._wish
        same = self._running is None and wish is not None and wish.version == self._around.version
        return wish.digest if same and wish else self._running

    def _event(self) -> Event | None:
        return progress.decide(self._record, self._wish.digest if self._wish else None, self._active())

    async def _rest(self) -> None:
        self._woken.clear()
        event, wish = self._event(), self._wish
        if event is None or wish is None:
            await self._woken.wait()
        else:
            await self._moved(progress.offered(self._record, wish.deployment, wish.digest, event))

    async def _work(self) -> None:
        ended = await self._attempt()
        if ended.event is not Event.RETRY:
            self._hindrance.over()
        after = progress.advanced(self._record, ended.event, ended.message, ended.rule)
        if after.state is State.SWITCHING and self._record.state is State.INSTALLING:
            after = replace(after, answering=tuple(sorted(self._around.health().answering)))
        if await self._moved(after) and ended.wait:
            await self._pause(ended.wait)

    async def _attempt(self) -> _Ended:
        record = self._record
        if self._event() is Event.ABORTED:
            return _Ended(Event.ABORTED)
        if progress.spent(record):
            return _Ended(Event.REJECTED, f"given up after too many tries; the last: {record.message or 'a crash'}")
        self._step = asyncio.create_task(self._act(record), name=f"agent update {record.state}")
        try:
            await asyncio.wait({self._step})
            return _Ended(Event.ABORTED) if self._step.cancelled() else self._step.result()
        finally:
            self._step.cancel()
            self._step = None

    async def _act(self, record: Progress) -> _Ended:
        """Run the state's step; errors become events here and nowhere else."""
        try:
            return await self._acts[record.state](record.target or Digest(""))
        except Damaged as error:
            return _Ended(Event.REJECTED if record.state is State.PULLING else Event.DAMAGED, str(error))
        except (Retryable, Fatal) as error:
            return _Ended(Event.RETRY, str(error), self._hindrance.met(error))
        except Rejected as error:
            return _Ended(Event.REJECTED, str(error), rule=error.rule if isinstance(error, NotApproved) else "")

    # ---- steps ----

    async def _pull(self, target: Digest) -> _Ended:
        self._check_berths()
        name, ports, downloads = DeploymentName(self._record.deployment), self._around.ports, self._around.downloads
        approval = await steps.approve(ports, name, target)
        await steps.pull(downloads.of(ports, name, target), approval, self._pulled)
        return _Ended(Event.OK)

    def _check_berths(self) -> None:
        if not self._around.berths.running:
            raise NotApproved(
                "updated-outside",
                "no launcher started this agent, so it is updated by what runs it: another image, or "
                "'join --install' from a newer environment",
            )

    def _pulled(self, done: int, total: int) -> None:
        self._bytes = (done, total)
        self._hindrance.over()
        self._around.changed()

    async def _verify(self, target: Digest) -> _Ended:
        ports = self._around.ports
        approval = await steps.approve(ports, DeploymentName(self._record.deployment), target)
        self._verified = await steps.verify(ports, approval)
        return _Ended(Event.OK)

    async def _install(self, target: Digest) -> _Ended:
        release = self._verified
        if release is None or release.digest != target:
            return _Ended(Event.ABORTED)  # unreachable by the tables: INSTALLING follows VERIFYING in one process
        await in_thread(self._around.berths.install, self._free(), release, self._proven)
        return _Ended(Event.OK)

    def _proven(self, entry: FileEntry) -> VerifiedBytes:
        return steps.proven(self._around.ports.releases, entry)

    def _free(self) -> str:
        berths = self._around.berths
        free = choices.free(berths.choice(), berths.running)
        if not free:
            raise Retryable("both berths are taken; restart the agent")
        return free

    async def _switch(self, target: Digest) -> _Ended:
        berths, berth = self._around.berths, self._free()
        if berths.release(berth) != target:
            return _Ended(Event.REJECTED, "its environment went away before it was switched to")
        berths.choose(Choice(berths.choice().kept, berth))
        return _Ended(Event.OK)

    async def _restart(self, _target: Digest) -> _Ended:
        self._around.restart()
        return await self._end()

    async def _end(self) -> _Ended:
        """This process makes way."""
        await asyncio.Event().wait()
        raise AssertionError

    async def _confirm(self, _target: Digest) -> _Ended:
        around, verdict = self._around, Verdict()
        began = around.clock.monotonic()
        while verdict.event is None:
            await around.clock.sleep(LOOK_SECONDS)
            now, seconds = around.clock.monotonic(), around.confirm_seconds
            verdict = progress.judged(self._record, verdict, around.health(), began, now, seconds)
        if verdict.event is Event.OK:
            around.berths.choose(Choice(around.berths.running))
        return _Ended(verdict.event, verdict.message)

    async def _revert(self, target: Digest) -> _Ended:
        berths = self._around.berths
        choice = berths.choice()
        berths.choose(Choice(choice.kept))
        if berths.running in choices.BERTHS and berths.running != choice.kept:
            self._around.restart()
            return await self._end()
        refused = self._record.refusal(target) is not None
        return _Ended(Event.REJECTED if refused else Event.OK, self._record.message)

    # ---- the record ----

    async def _moved(self, record: Progress) -> bool:
        """Persist, then go there. False, after a wait, when the disk fails: nothing has been acted on then."""
        try:
            self._around.state.put(KEY, progress.to_bytes(record))
        except LongshoreError as error:
            await self._pause(self._hindrance.met(error))
            return False
        if (record.state, record.message) != (self._record.state, self._record.message):
            level = logging.WARNING if record.message else logging.INFO
            log.log(level, "agent update: %s %s %s", record.state, (record.target or "")[:19], record.message)
        self._record = record
        self._around.changed()
        return True

    async def _pause(self, seconds: float) -> None:
        self._woken.clear()
        await first_of(self._around.clock.sleep(seconds), self._woken.wait())
