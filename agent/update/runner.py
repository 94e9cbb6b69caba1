"""Updater: desired deployments in, one task per deployment, reports out.

Level-triggered: `offer` takes all that is wanted, as often as anybody likes; the same again changes nothing. Records
are on disk; `start` brings back what answered before, without a network.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent.ports import Clock, StateStore
from agent.supervise import Tasks
from agent.types import Problem
from agent.update import progress, steps
from agent.update.backoff import Backoff
from agent.update.deployment import PREFIX, DeploymentUpdate, Surroundings, key_of
from agent.update.downloads import Downloads
from agent.update.progress import Progress
from agent.update.walk import Report
from protos.errors import LongshoreError, Rejected
from protos.ids import DeploymentName, Digest
from protos.problems import NOTICE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpdateSettings:
    confirm_seconds: float = 10.0  # a new release must stay healthy this long
    first_retry_seconds: float = 1.0
    longest_retry_seconds: float = 60.0


class Updater:
    """The updates of a box.

    Call `start` once, then at once `offer` with the desired state from disk, before any network: what is no longer
    wanted is then removed without ever answering again.
    """

    def __init__(
        self,
        ports: steps.Ports,
        state: StateStore,
        clock: Clock,
        settings: UpdateSettings = UpdateSettings(),
        changed: Callable[[], None] = lambda: None,
        kept: Callable[[], Iterable[Digest]] = lambda: (),
        downloads: Downloads | None = None,
    ) -> None:
        """`changed`: called on the loop whenever a report or a problem may have changed; make it cheap.

        `kept`: releases whose files stay besides those of the updates. `downloads`: without them, all come at once.
        """
        self._kept = kept
        self._state = state
        self._tasks = Tasks()
        self._updates: dict[DeploymentName, DeploymentUpdate] = {}
        self._wanted: dict[DeploymentName, Digest] = {}
        self._around = Surroundings(
            ports,
            state,
            clock,
            settings.confirm_seconds,
            self._sweep,
            changed,
            lambda: _backoff(settings),
            downloads or Downloads(clock, state),
        )

    def start(self) -> None:
        """Take up every record on disk; what answered before the power went answers again."""
        records = [self._load(DeploymentName(key.removeprefix(PREFIX))) for key in self._state.keys(PREFIX)]
        self._adopt(records)
        for record in records:
            self._begin(record)

    def offer(self, wanted: Mapping[DeploymentName, Digest]) -> None:
        """All that desired state wants answered here."""
        self._wanted = dict(wanted)
        for name, update in list(self._updates.items()):
            if name not in wanted:
                update.withdraw()
        for name, digest in wanted.items():
            if name not in self._updates:
                self._begin(Progress(name))
            self._updates[name].offer(digest)

    def wake(self) -> None:
        """Newer metadata was proven: nobody waits for it any longer."""
        for update in self._updates.values():
            update.wake()

    def hurry(self, deployments: Iterable[DeploymentName]) -> None:
        """The rules of their downloads changed."""
        for name in deployments:
            if name in self._updates:
                self._updates[name].hurry()

    def afford(self, budgets: Mapping[DeploymentName, float]) -> None:
        """Seconds that an inference of each may take, 0: any."""
        for name, budget in budgets.items():
            if name in self._updates:
                self._updates[name].afford(budget)

    def refusal(self, deployment: DeploymentName, digest: Digest) -> str:
        """Why this deployment refused that release for good, or ""."""
        update = self._updates.get(deployment)
        refusal = update.record.refusal(digest) if update else None
        return refusal.reason if refusal else ""

    def reports(self) -> list[Report]:
        """One for each deployment on this box, by name."""
        return [update.report() for _, update in sorted(self._updates.items())]

    def problems(self) -> list[Problem]:
        """What an operator should see, each once: a disk is full for all of them, a notice is of one."""
        found = [problem for update in self._updates.values() if (problem := update.problem()) is not None]
        return list({each.message if each.code == NOTICE else each.code: each for each in found}.values())

    async def close(self, grace_seconds: float = 3.0) -> None:
        """Stop all updates where they are; the next start goes on from there."""
        await self._tasks.stop(grace_seconds)

    def _begin(self, record: Progress) -> None:
        update = DeploymentUpdate(record, self._around)
        self._updates[record.deployment] = update
        self._tasks.once(f"update {record.deployment}", self._own(record.deployment, update))

    async def _own(self, name: DeploymentName, update: DeploymentUpdate) -> None:
        while (seconds := await self._stumbled(update)) is not None:
            self._around.changed()
            await self._around.clock.sleep(seconds)
        del self._updates[name]
        if name in self._wanted:  # asked for again while it was leaving
            self._begin(Progress(name))
            self._updates[name].offer(self._wanted[name])
        self._sweep()
        self._around.changed()

    async def _stumbled(self, update: DeploymentUpdate) -> float | None:
        """Run it to its end; seconds to wait before it must be run again, if that was not its end."""
        try:
            await update.run()
        except Exception:  # a supervised root: a mistake of ours must not leave a deployment without an owner
            log.exception("the update of %s failed; it goes on from its record", update.record.deployment)
            return update.stumbled()
        return None

    def _adopt(self, records: Iterable[Progress]) -> None:
        try:
            self._around.ports.approvals.adopt(digest for record in records for digest in record.confirmed)
        except LongshoreError as error:  # they are adopted at the next start, or approved again
            log.warning("approvals are not kept: %s", error)

    def _load(self, name: DeploymentName) -> Progress:
        try:
            return progress.from_bytes(self._state.get(key_of(name)) or b"")
        except Rejected as error:
            # Nothing is lost that a pull by digest does not bring back.
            log.error("%s: %s; it starts anew", name, error)
            return Progress(name)

    def _sweep(self) -> None:
        kept = [digest for update in self._updates.values() for digest in update.record.releases]
        kept += self._kept()
        try:
            steps.sweep(self._around.ports.releases, kept)
            steps.forget(self._around.ports, kept)
        except LongshoreError as error:  # what stays behind costs room only; the next sweep tries again
            log.warning("old releases were not deleted: %s", error)


def _backoff(settings: UpdateSettings) -> Backoff:
    return Backoff(settings.first_retry_seconds, settings.longest_retry_seconds, random.Random())  # noqa: S311
