"""The cache of a site on a running box: the one it is, or the one it asks, put together.

Rule that holds here: a box that cannot listen, as while its network is away, goes on with its own work and tries again.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field

from agent.adapters.blob_site import SiteBlobs
from agent.adapters.release_store import DiskReleaseStore
from agent.config import AgentConfig
from agent.ports import BlobSource, Clock
from agent.site import address
from agent.site.first import SiteFirst
from agent.site.holdings import Holdings
from agent.site.kept import KeptBlobs
from agent.site.pulls import Pulls
from agent.site.server import SiteServer
from agent.site.standing import Standing
from agent.supervise import Tasks
from agent.telemetry.metrics import Metrics
from agent.trust.service import SignedTrust
from agent.types import Problem
from agent.update.steps import Ports
from protos.errors import Fatal, LongshoreError

FOLDER = "site"
LISTEN_AGAIN_SECONDS = 15.0
CLOSED = "site-cache-closed"

log = logging.getLogger(__name__)


@dataclass
class Caching:
    """`source`: of release files. Without either option those of the control plane, counted."""

    config: AgentConfig
    network: BlobSource
    clock: Clock
    standing: Standing = field(init=False)
    source: BlobSource = field(init=False)
    _extra: DiskReleaseStore | None = None
    _pulls: Pulls | None = None
    _holdings: Holdings | None = None
    _server: SiteServer | None = None
    _tasks: Tasks = field(default_factory=Tasks)
    _closed: Problem | None = None

    def __post_init__(self) -> None:
        """Raises Retryable, Fatal: the disk."""
        config, place, cache = self.config, "", self.network
        if config.site_cache_listen:
            self._extra = DiskReleaseStore(config.state_dir / FOLDER)
            place, cache = "of this box itself", KeptBlobs(self._extra)
        elif config.site_cache:
            place, cache = config.site_cache, SiteBlobs(config.site_cache, self.clock)
        self.standing = Standing(place, self.clock.monotonic)
        self.source = SiteFirst(cache, self.network, self.standing)

    async def start(self, ports: Ports, trust: SignedTrust) -> None:
        """Listen, where this box is to be a cache: at once, or when it can."""
        config = self.config
        if self._extra is None:
            return
        most, rate = config.site_cache_bytes, config.site_cache_bits_per_second / 8
        pulls = Pulls(self.network, ports.releases, self._extra, ports.fetching, self.clock, most, rate)
        self._pulls = pulls
        self._holdings = Holdings(pulls, ports.approvals, trust.listed, lambda: trust.proven().timestamp, self.clock)
        self._server = SiteServer(self._holdings)
        if not await self._listens(self._server):
            self._tasks.once("site cache", self._listen(self._server))

    async def _listen(self, server: SiteServer) -> None:
        """When it can."""
        await self.clock.sleep(LISTEN_AGAIN_SECONDS)
        while not await self._listens(server):
            await self.clock.sleep(LISTEN_AGAIN_SECONDS)

    async def _listens(self, server: SiteServer) -> bool:
        place = address.listens(self.config.site_cache_listen, "--site-cache-listen")
        try:
            await server.start(place.host, place.port)
        except Fatal as error:
            if self._closed is None:
                log.warning("%s", error)
            self._closed = Problem(CLOSED, f"{error}; it is tried again, and other boxes ask the control plane")
            return False
        self._closed = None
        return True

    def problems(self) -> list[Problem]:
        return [*self.standing.problems(), *([self._closed] if self._closed else [])]

    def measure(self, metrics: Metrics) -> None:
        """What is read when somebody asks."""
        metrics.release_bytes(self.standing.came)
        if self._server is not None and self._pulls is not None:
            metrics.site_cache(self._server.answers, self._server.served_bytes, self._pulls.fetched_bytes)
            with contextlib.suppress(LongshoreError):  # a disk that fails is told elsewhere
                metrics.site_cache_holds(self._pulls.extra.used_bytes())

    async def stop(self) -> None:
        await self._tasks.stop()
        if self._server is not None and self._holdings is not None:
            await self._server.stop(grace=1.0)
            await self._holdings.close()
