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
from agent.berths.machine import MACHINE, State
from agent.berths.ports import Berths
from agent.berths.progress import Health, Progress, Verdict
from agent.ports import Clock, StateStore
from agent.supervise import in_thread
from agent.trust.errors import NotApproved
from agent.update import steps
from agent.update.backoff import Backoff
from agent.update.downloads import Downloads
from agent.update.hindrance import MISTAKE
from agent.update.record import Event
from agent.update.verify import VerifiedBytes
from agent.update.walk import Ended, Report, Walk
from protos.errors import Fatal, Retryable
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
    """What the update touches.

    `restart`: end this process, for it to be started again; returns at once. `by_hand`: the newest word on what is
    wanted here was carried, see agent.carried.uptake.
    """

    ports: steps.Ports
    berths: Berths
    state: StateStore
    clock: Clock
    downloads: Downloads
    health: Callable[[], Health]
    by_hand: Callable[[], bool]
    restart: Callable[[], None]
    version: str  # of this agent
    confirm_seconds: float
    changed: Callable[[], None] = lambda: None
    backoff: Callable[[], Backoff] = Backoff


class AgentUpdate(Walk[Progress]):
    """`offer` may be called at any time; `run` is an eternal task."""

    machine = MACHINE

    def __init__(self, around: Around) -> None:
        self._around = around
        self._running = around.berths.release(around.berths.running)
        self._wish: AgentWish | None = None
        steps_of = {
            State.PULLING: self._pull,
            State.VERIFYING: self._verify,
            State.INSTALLING: self._install,
            State.SWITCHING: self._switch,
            State.RESTARTING: self._restart,
            State.CONFIRMING: self._confirm,
            State.REVERTING: self._revert,
        }
        super().__init__(self._resumed(progress.from_bytes(around.state.get(KEY) or b"")), around, steps_of)

    @property
    def releases(self) -> tuple[Digest, ...]:
        """Those whose files must stay on disk."""
        return self._record.releases

    def offer(self, wish: AgentWish | None) -> None:
        """The same again ends no wait: each failure is reported, and each report is answered by an offer."""
        if wish != self._wish:
            self._woken.set()
        self._wish = wish
        if self._step is not None and self._superseded:
            self._step.cancel()

    def reports(self) -> list[Report]:
        """Of the Deployment that names a release of the agent, if one does."""
        wish = self._wish
        return [self._report(wish.deployment, wish.digest, self._active() or "", self._told())] if wish else []

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await (self._rest() if self._record.resting else self._work())
            except Exception:  # a supervised root: a mistake in here must not end an agent that works
                log.exception("the agent's own update failed; it goes on from its record")
                self._record = self._resumed(self._record)
                await self._pause(self._step_hindrance.met(MISTAKE))

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

    @property
    def _superseded(self) -> bool:
        return self._event() is Event.ABORTED

    def _advanced(self, ended: Ended) -> Progress:
        """What this agent can do is on disk before another one is to do the same."""
        after = progress.advanced(self._record, ended.event, ended.message, ended.rule)
        if (self._record.state, after.state) != (State.INSTALLING, State.SWITCHING):
            return after
        answering = tuple(sorted(self._around.health().answering))
        return replace(after, answering=answering, carried=self._around.by_hand())

    @property
    def _last(self) -> str:
        return self._record.message or self._record.doubt

    def _persist(self, record: Progress) -> None:
        self._around.state.put(KEY, progress.to_bytes(record))

    # ---- steps ----

    async def _pull(self, target: Digest) -> Ended:
        self._check_berths()
        return await super()._pull(target)

    def _check_berths(self) -> None:
        if not self._around.berths.running:
            raise NotApproved(
                "updated-outside",
                "no launcher started this agent, so it is updated by what runs it: another image, or "
                "'join --install' from a newer environment",
            )

    def _pulled(self, done: int, total: int) -> None:
        super()._pulled(done, total)
        self._around.changed()

    async def _install(self, target: Digest) -> Ended:
        release = self._verified
        if release is None or release.digest != target:
            return Ended(Event.ABORTED)  # unreachable by the tables: INSTALLING follows VERIFYING in one process
        await in_thread(self._around.berths.install, self._free(), release, self._proven)
        return Ended(Event.OK)

    def _proven(self, entry: FileEntry) -> VerifiedBytes:
        return steps.proven(self._around.ports.releases, entry)

    def _free(self) -> str:
        berths = self._around.berths
        free = choices.free(berths.choice(), berths.running)
        if not free:
            raise Retryable("both berths are taken; restart the agent")
        return free

    async def _switch(self, target: Digest) -> Ended:
        berths, berth = self._around.berths, self._free()
        if berths.release(berth) != target:
            return Ended(Event.REJECTED, "its environment went away before it was switched to")
        berths.choose(Choice(berths.choice().kept, berth))
        return Ended(Event.OK)

    async def _restart(self, _target: Digest) -> Ended:
        self._around.restart()
        return await self._end()

    async def _end(self) -> Ended:
        """This process makes way."""
        await asyncio.Event().wait()
        raise AssertionError

    async def _confirm(self, _target: Digest) -> Ended:
        around, verdict = self._around, Verdict()
        began, kept = around.clock.monotonic(), around.berths.choice() == Choice(around.berths.running)
        while not kept:
            await around.clock.sleep(LOOK_SECONDS)
            now, seconds = around.clock.monotonic(), around.confirm_seconds
            verdict = progress.judged(self._record, verdict, around.health(), began, now, seconds)
            if verdict.event is Event.OK and verdict.since is not None:
                kept = self._kept(may_wait=not progress.overdue(verdict.since, now))
            elif verdict.event is not None:
                return Ended(verdict.event, verdict.message)
        return Ended(Event.OK)

    def _kept(self, *, may_wait: bool) -> bool:
        """This berth starts from now on. False: the disk failed, which is no fault of a trial that is good.

        Raises Retryable, Fatal: it has failed for too long.
        """
        try:
            self._around.berths.choose(Choice(self._around.berths.running))
        except (Retryable, Fatal) as error:
            self._step_hindrance.met(error)
            if not may_wait:
                raise
            return False
        return True

    async def _revert(self, target: Digest) -> Ended:
        berths = self._around.berths
        choice = berths.choice()
        berths.choose(Choice(choice.kept))
        if berths.running in choices.BERTHS and berths.running != choice.kept:
            self._around.restart()
            return await self._end()
        return self._undone(target)
