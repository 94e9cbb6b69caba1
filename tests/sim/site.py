"""A site cache over real disks and a simulated control plane, behind its own listener on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

from agent.adapters.clock import SystemClock
from agent.adapters.release_store import DiskReleaseStore
from agent.ports import BlobSource, Clock
from agent.site.holdings import Holdings
from agent.site.pulls import Pulls
from agent.site.server import SiteServer
from agent.trust.agreement import Approval
from protos.errors import LongshoreError
from protos.ids import Digest, ModelName, Version
from protos.trust import Listing
from tests.sim.blobs import SimBlobs
from tests.sim.releases import MadeRelease

HOST = "127.0.0.1"


class SimSite:
    """`listed`: what signed metadata lists and assigns; `approvals`: what this box may run itself."""

    def __init__(
        self, folder: Path, source: BlobSource, *, clock: Clock | None = None, most: int = 1 << 30, rate: float = 0.0
    ) -> None:
        self.clock = clock or SystemClock()
        self.own, self.extra = DiskReleaseStore(folder), DiskReleaseStore(folder / "site")
        self.listings: dict[Digest, Listing] = {}
        self.approvals: dict[Digest, Approval] = {}
        self.version = 1
        self.trouble: LongshoreError | None = None
        self.looked: list[Digest] = []
        self.fetching: defaultdict[Digest, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.pulls = Pulls(source, self.own, self.extra, self.fetching, self.clock, most, rate, spare=0)
        self.holdings = Holdings(self.pulls, self.approvals, self._listed, lambda: self.version, self.clock)
        self.server = SiteServer(self.holdings)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def assign(self, release: MadeRelease) -> None:
        """Listed, and assigned to any deployment."""
        self.listings[release.digest] = listing(release.digest, len(release.manifest))

    def forget(self, release: MadeRelease) -> None:
        del self.listings[release.digest]
        self.version += 1

    def install(self, release: MadeRelease, *, signed: bool = True) -> None:
        """As an update of this box does."""
        self.approvals[release.digest] = Approval(
            release.digest, listing(release.digest, len(release.manifest)) if signed else None
        )
        for digest, content in release.blobs.items():
            keep(self.own, digest, content)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[SimSite]:
        self.port = await self.server.start(HOST, 0)
        try:
            yield self
        finally:
            await self.server.stop(0.1)
            await self.holdings.close()

    async def _listed(self, digest: Digest, *, anew: bool = False) -> Listing | None:
        self.looked.append(digest)
        if self.trouble is not None:
            raise self.trouble
        return self.listings.get(digest)


def listing(digest: Digest, size: int) -> Listing:
    return Listing(ModelName("harbour"), Version("1.0.0"), digest, size, 1, "detection")


def keep(store: DiskReleaseStore, digest: Digest, content: bytes) -> None:
    store.append(digest, content)
    store.complete(digest)
    store.keep(digest)


def plane(*releases: MadeRelease) -> SimBlobs:
    """A control plane that has them."""
    blobs = SimBlobs()
    blobs.add(*releases)
    return blobs
