"""A box that no network reaches: real identity, disk, trust, updater and uptake; engines are simulated.

It joined `plane` once, where there was a network. `Office` is where sticks are written and reports are read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from agent import report as reports
from agent.adapters.blob_memory import MemoryBlobs
from agent.adapters.carried_folder import CarriedFolder
from agent.adapters.hold import hold
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.owned import owner_of
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.trust_files import TrustFiles
from agent.adapters.x509 import X509Keys
from agent.carried import importing, sealed
from agent.carried.importing import Box, Brought
from agent.carried.nearest import NearestBlobs, NearestMetadata
from agent.carried.uptake import Uptake
from agent.config import AgentConfig
from agent.desired import desired
from agent.identity.store import Membership
from agent.link.loop import Handlers, SyncLoop
from agent.ports import SyncReply
from agent.signed import put_together
from agent.trust.kept import Approvals, KeptFloors
from agent.types import Problem
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from controlplane.cli.exporting import Wish, export
from controlplane.identity.domain import Wish as Joining
from protos.errors import Retryable
from protos.fleet_pb2 import DesiredState, SyncRequest
from protos.ids import DeploymentName, Digest, NodeId
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.release_serving import SimServing
from tests.sim.signed_box import KIND
from tests.sim.signed_repository import SignedRepository

GATE = DeploymentName("gate")


class NoLink:
    """See agent.ports.FleetLink: there is no network."""

    async def sync(self, report: bytes) -> SyncReply:
        raise Retryable("the control plane is away")


class Office(httpx.BaseTransport):
    """The control plane as the command line sees it, without sockets."""

    def __init__(self, plane: SimControlPlane) -> None:
        self.plane = plane
        self.asked: list[str] = []
        self.away_after = 1 << 30  # requests

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if len(self.asked) > self.away_after:
            raise httpx.ConnectError("away")
        wanted = {name: value for name, value in request.headers.items() if name in ("range", "content-type")}
        path = request.url.raw_path.decode()
        answer = self.plane.client.request(request.method, path, content=request.read(), headers=wanted)
        return httpx.Response(answer.status_code, content=answer.content)

    def client(self) -> Client:
        return Client(Context("http://testserver"), self)

    async def export(self, folder: Path, *nodes: str, **wish: Any) -> list[str]:
        def use() -> list[str]:
            with self.client() as client:
                return list(export(client, Wish(folder, nodes, **wish)))

        return await asyncio.to_thread(use)

    async def take(self, file: bytes) -> httpx.Response:
        return await asyncio.to_thread(lambda: self.plane.client.post("/api/v1/reports", content=file))

    async def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = await asyncio.to_thread(lambda: self.plane.client.get(f"/api/v1/nodes/{name}").json())
        return found


def joined(plane: SimControlPlane, state_dir: Path, node: str) -> IdentityDirectory:
    """An identity as joining leaves it, the first root included."""
    keys = X509Keys()
    store, key = IdentityDirectory(state_dir, keys), keys.new_key()
    token = plane.identity.create_join_token(NodeId(node), {}, "edge", 3600).text
    done = plane.identity.enrol(token, keys.request(key, node), Joining(node), "test")
    store.stage_key(key)
    member = Membership(done.node, "https://127.0.0.1:8443", "127.0.0.1:8444")
    root = plane.services.trust.root()
    store.commit(member, done.certificate.pem.encode(), plane.authority.ca_pem.encode(), root)
    return store


class FarBox:
    def __init__(self, state_dir: Path, store: IdentityDirectory, clock: FakeClock) -> None:
        self.config = AgentConfig(state_dir=state_dir)
        self.clock, self.store = clock, store
        self.state = SqliteState(state_dir / "state.db")
        self.folder = CarriedFolder(state_dir)
        identity, places = store.load(), TrustFiles(state_dir / "identity")
        self.floors = KeptFloors(self.state, places, X509Keys().facts(identity.ca).public_key)
        nowhere = SignedRepository(ready=False)
        source = NearestMetadata(nowhere, self.folder, lambda: self.sync.connected, lambda: self.floors.now)
        self.trust = put_together(state_dir / "trust", source, self.floors, places, clock, KIND, self._proven_anew)
        self.releases, self.serving = DiskReleaseStore(state_dir), SimServing(clock)
        blobs = NearestBlobs(MemoryBlobs({}), self.folder)
        ports = Ports(blobs, self.releases, self.serving, self.trust, Approvals(self.state))
        self.updater = Updater(ports, self.state, clock, UpdateSettings(confirm_seconds=0.0))
        self.sync = SyncLoop(NoLink(), self.state, clock, self._report, Handlers(lambda _: None, self._wish))  # type: ignore[arg-type]
        keys = X509Keys()
        self.uptake = Uptake(self.folder, store.load, keys, clock, self.sync, self.releases, self.trust, self.state)
        self.box = Box(self.config, identity, keys, clock, owner_of(state_dir))
        self.wished = DesiredState()
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.updater.start()
        self.sync.restore()
        self._running = [asyncio.create_task(each) for each in (self.trust.run(), self.uptake.run(), self.sync.run())]

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.wait(self._running)
        await self.trust.close()
        await self.updater.close()
        self.state.close()

    def _proven_anew(self) -> None:
        self.updater.wake()

    def _wish(self, state: DesiredState) -> None:
        self.wished = state
        self.updater.offer({wish.name: wish.digest for wish in desired(state).deployments})

    def _report(self) -> SyncRequest:
        box = reports.Box("edge", "boot", self.config.state_dir, reports.Addresses(), ())
        problems = [*self.sync.problems(), *self.trust.problems(), *self.problems]
        return reports.request(box, "epoch", self.updater.reports(), {}, problems, proven=self.trust.proven())

    @property
    def problems(self) -> list[Problem]:
        return [self.uptake.problem] if self.uptake.problem else []

    @property
    def answers(self) -> Digest | None:
        return self.serving.answers(GATE)

    async def until(self, true: Callable[[], bool]) -> None:
        await self.clock.until(true)

    async def proven(self, stick: Path) -> Brought:
        return await asyncio.to_thread(importing.proven, self.box, stick)

    async def take(self, stick: Path) -> Brought:
        """An import, as far as the copy."""
        brought = await self.proven(stick)
        await asyncio.to_thread(importing.take, self.box, stick, brought)
        return brought

    async def runs(self, digest: Digest) -> None:
        def there() -> bool:
            known = self.updater.reports()
            return bool(known) and known[0].active == digest and known[0].state.value == "IDLE"

        await self.until(there)

    async def report(self) -> bytes:
        self.folder.make()
        self.folder.want_report()
        await self.until(lambda: not self.folder.report_wanted)
        return self.folder.report()

    def told(self) -> SyncRequest:
        return sealed.told(sealed.report(self.sync.report(), self.store.load(), X509Keys()))


@contextlib.asynccontextmanager
async def far_box(state_dir: Path, store: IdentityDirectory, clock: FakeClock) -> AsyncIterator[FarBox]:
    """Running, with the state directory held as an agent does."""
    with hold(state_dir):
        box = FarBox(state_dir, store, clock)
        box.start()
        try:
            yield box
        finally:
            await box.close()


def files(folder: Path, pattern: str = "**/*") -> list[Path]:
    return [path for path in sorted(folder.glob(pattern)) if path.is_file()]
