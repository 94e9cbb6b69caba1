"""A simulated box: the real updater on a real state directory, with a simulated network and simulated engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.ports import BlobSource
from agent.site.first import SiteFirst
from agent.site.standing import Standing
from agent.trust.kept import Approvals
from agent.update.download import Download
from agent.update.downloads import Downloads
from agent.update.machine import State
from agent.update.measured import Measured
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from agent.update.walk import Report
from protos.ids import DeploymentName, Digest
from tests.sim.blobs import SimBlobs
from tests.sim.clock import FakeClock
from tests.sim.release_serving import SimServing
from tests.sim.releases import MadeRelease
from tests.sim.trust import SimTrust

QUAY = DeploymentName("quay")


class Box:
    """One box. `power_cut` ends the process without a goodbye; `start` is the next boot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.blobs = SimBlobs()
        self.cache: BlobSource = SimBlobs()  # of the site; asked once `standing` has its place
        self.standing = Standing("", self.clock.monotonic)
        self.trust = SimTrust()
        self.changes = 0
        self.quota = 0  # of releases; 0: none
        self.free_memory = 1 << 62  # bytes
        self.rules: dict[DeploymentName, Download] = {}
        self.answers_reports = False  # a Sync follows each change, and its answer offers the same again
        self._offered: dict[DeploymentName, Digest] = {}
        self.start()

    def start(self, wanted: dict[DeploymentName, Digest] | None = None) -> None:
        """`wanted`: desired state as it lies on the box's disk."""
        self.releases = DiskReleaseStore(self.folder)
        self.state = SqliteState(self.folder / "state.db")
        self.serving = SimServing(self.clock)
        measured = Measured(self.state, "cpu")
        quota, approvals = lambda: self.quota, Approvals(self.state)
        source = SiteFirst(self.cache, self.blobs, self.standing)
        stores = source, self.releases, self.serving
        here = Ports(*stores, self.trust, approvals, quota, measured=measured, site=self.standing)
        ports = replace(here, free_memory=lambda: self.free_memory)
        self.downloads = Downloads(self.clock, self.state, "quay-1")
        self.downloads.plan(self.rules)
        settings = UpdateSettings(confirm_seconds=10.0)
        self.updater = Updater(ports, self.state, self.clock, settings, self._changed, downloads=self.downloads)
        self.updater.start()
        if wanted is not None:
            self.updater.offer(wanted)

    async def power_cut(self) -> None:
        await self.updater.close()
        self.state.close()

    def offer(self, *releases: MadeRelease) -> None:
        names = (QUAY, DeploymentName("gate"))
        self._offered = dict(zip(names, (release.digest for release in releases), strict=False))
        self.updater.offer(self._offered)

    def rule(self, rules: Download, *more: Download) -> None:
        """Desired state has these for the first deployment, and the next."""
        self.rules = dict(zip((QUAY, DeploymentName("gate")), (rules, *more), strict=False))
        self.updater.hurry(self.downloads.plan(self.rules))

    @property
    def report(self) -> Report:
        return self.updater.reports()[0]

    async def until(self, true: Callable[[], bool], step: float = 0.0) -> None:
        """Let things happen; `step`: seconds that pass at each look, for waits."""
        await self.clock.until(true, step)

    async def minutes(self, count: int) -> None:
        for _ in range(count):
            await self.clock.look(60.0)

    async def reach(self, state: State, release: MadeRelease) -> Report:
        """Until the first deployment is in `state` for `release`, letting waits pass."""

        def there() -> bool:
            return any((r.state, r.target) == (state, release.digest) for r in self.updater.reports()[:1])

        await self.until(there, step=1.0)
        return self.report

    async def install(self, release: MadeRelease) -> None:
        """Offer it and wait until it is confirmed."""
        self.blobs.add(release)
        self.offer(release)
        await self.until(lambda: self.settled_on(release), step=1.0)

    def settled_on(self, release: MadeRelease) -> bool:
        return (self.report.state, self.report.active) == (State.IDLE, release.digest)

    def _changed(self) -> None:
        self.changes += 1
        if self.answers_reports:
            asyncio.get_running_loop().call_soon(self.updater.offer, self._offered)


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    box = Box(tmp_path)
    yield box
    await box.power_cut()
