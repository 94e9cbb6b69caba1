"""A box as far as releases go: the real fetch, store, rules and update machine, with engines that only pretend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.clock import SystemClock
from agent.adapters.files import make_directory
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.ports import BlobSource
from agent.site.standing import Standing
from agent.trust.kept import Approvals
from agent.update.download import Download
from agent.update.downloads import Downloads
from agent.update.machine import State
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from protos.ids import DeploymentName, Digest
from tests.sim.release_serving import SimServing
from tests.sim.trust import SimTrust

LOOK_SECONDS = 0.02
PATIENCE = 580.0  # seconds until a proof is given up


@dataclass
class Taken:
    """A BlobSource that counts what the box takes of another."""

    behind: BlobSource
    count: int = 0

    async def fetch(
        self, digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        async with aclosing(self.behind.fetch(digest, offset, rate, stop=stop)) as chunks:
            async for chunk in chunks:
                self.count += len(chunk)
                yield chunk

    async def table(self, digest: Digest, most: int) -> bytes | None:
        """See the port."""
        content = await self.behind.table(digest, most)
        self.count += len(content or b"")
        return content


@dataclass
class Box:
    """Made by `running`."""

    folder: Path
    ports: Ports
    updater: Updater
    downloads: Downloads
    taken: Taken
    largest: int = 0  # bytes that its folder ever held

    def rule(self, rules: Mapping[DeploymentName, Download]) -> None:
        self.updater.hurry(self.downloads.plan(rules))

    async def runs(self, wanted: Mapping[DeploymentName, Digest]) -> None:
        """Return when all of it answers, confirmed."""
        self.updater.offer(wanted)
        await self.until(lambda: all(self._answers(name, digest) for name, digest in wanted.items()))

    async def refuses(self, name: DeploymentName, digest: Digest) -> None:
        self.updater.offer({name: digest})
        await self.until(lambda: any(digest in report.refused for report in self.updater.reports()))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                await asyncio.sleep(LOOK_SECONDS)
                self.largest = max(self.largest, _held(self.folder))

    def _answers(self, name: DeploymentName, digest: Digest) -> bool:
        return any(
            (report.deployment, report.active, report.state) == (name, digest, State.IDLE)
            for report in self.updater.reports()
        )


@asynccontextmanager
async def running(
    folder: Path, source: BlobSource, first_retry_seconds: float, site: Standing | None = None
) -> AsyncIterator[Box]:
    """In `folder`, which is made; its name is the box's. `site`: what it makes of its site's cache, if it asks one."""
    make_directory(folder)
    clock, state, taken = SystemClock(), SqliteState(folder / "state.db"), Taken(source)
    trust = SimTrust(), Approvals(state)
    ports = Ports(taken, DiskReleaseStore(folder), SimServing(clock), *trust, site=site or Standing())
    settings = UpdateSettings(confirm_seconds=0.0, first_retry_seconds=first_retry_seconds)
    downloads = Downloads(clock, state, folder.name)
    updater = Updater(ports, state, clock, settings, downloads=downloads)
    updater.start()
    try:
        yield Box(folder, ports, updater, downloads, taken)
    finally:
        await updater.close()
        state.close()


def _held(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a part that got its name, meanwhile
            continue
    return found
