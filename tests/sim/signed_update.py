"""A box that updates from signed metadata: real updater, floors and files; simulated network and engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.adapters.release_store import DiskReleaseStore
from agent.update.machine import State
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from agent.update.walk import Report
from protos.ids import Digest
from tests.sim.blobs import SimBlobs
from tests.sim.release_serving import SimServing
from tests.sim.releases import MadeRelease
from tests.sim.signed_box import SignedBox
from tests.sim.signed_repository import QUAY, SignedRepository


class UpdatedBox(SignedBox):
    """`offer` names what desired state hints at."""

    def __init__(self, folder: Path, repository: SignedRepository, *known: MadeRelease) -> None:
        self.blobs = SimBlobs()
        self.blobs.add(*known)
        super().__init__(folder, repository)

    def start(self) -> None:
        super().start()
        self.releases = DiskReleaseStore(self.folder)
        self.serving = SimServing(self.clock)
        ports = Ports(self.blobs, self.releases, self.serving, self.trust, self.approvals)
        self.updater = Updater(ports, self.state, self.clock, UpdateSettings(confirm_seconds=0.0))
        self.updater.start()

    async def close(self) -> None:
        await self.updater.close()
        await super().close()

    @property
    def answers(self) -> Digest | None:
        return self.serving.answers(QUAY)

    @property
    def report(self) -> Report:
        return self.updater.reports()[0]

    def offer(self, release: MadeRelease) -> None:
        self.updater.offer({QUAY: release.digest})

    async def until(self, true: Callable[[], bool]) -> None:
        await self.clock.until(true)

    async def settles(self, release: MadeRelease) -> Report:
        """Until the machine rests with what was offered answering or refused, or says why it waits."""
        self.offer(release)

        def settled() -> bool:
            waits = self.report.state is State.PULLING and bool(self.report.message)
            return waits or self.report.state is State.FAILED or self.runs(release)

        await self.until(settled)
        return self.report

    def runs(self, release: MadeRelease) -> bool:
        known = self.updater.reports()
        return bool(known) and (known[0].state, known[0].active) == (State.IDLE, release.digest)

    def _changed(self) -> None:
        super()._changed()
        self.updater.wake()
