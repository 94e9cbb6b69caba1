"""One real box of such a fleet: identity, link, broker, signed metadata, downloads and update machine; no engines.

`Moments` is when it got how far with a release, by the clock of this process, which is also that of whoever changes a
Deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agent import report
from agent.adapters.blob_https import HttpsBlobs, pinned
from agent.adapters.clock import SystemClock
from agent.adapters.enroll_https import HttpsFrontDoor
from agent.adapters.fleet_grpc import GrpcFleetLink
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.mqtt import TlsFiles
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.x509 import X509Keys
from agent.config import AgentConfig
from agent.desired import desired
from agent.identity.joining import Wish, join
from agent.link.beats import Beats
from agent.link.loop import Handlers, SyncLoop
from agent.ports import Grant
from agent.signed import signed_trust
from agent.trust.agreement import Approval
from agent.trust.kept import Approvals
from agent.trust.service import SignedTrust
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from agent.wires import BrokerWire
from protos import tokens
from protos.fleet_pb2 import DesiredState, SyncRequest
from protos.ids import DeploymentName, Digest
from tests.sim.release_serving import SimServing

PATIENCE = 30.0  # seconds, for a change to arrive


@dataclass
class Moments:
    """Monotonic seconds at which a release was proven (assigned and listed), and at which its files were all here."""

    proven: dict[Digest, float] = field(default_factory=dict)
    fetched: dict[Digest, float] = field(default_factory=dict)


class WatchedTrust:
    """See agent.update.trust.Trust: the real one, with an eye on when it approves."""

    def __init__(self, trust: SignedTrust, moments: Moments) -> None:
        self._trust, self._moments = trust, moments

    async def approved(self, deployment: DeploymentName, digest: Digest, *, shadow: bool = False) -> Approval:
        approval = await self._trust.approved(deployment, digest, shadow=shadow)
        self._moments.proven.setdefault(digest, time.monotonic())
        return approval


def enrol(url: str, token: str, folder: Path) -> None:
    keys = X509Keys()
    join(Wish(tokens.parse(token)), HttpsFrontDoor(url), keys, IdentityDirectory(folder, keys))


class Box:
    def __init__(self, folder: Path) -> None:
        """It has joined. Made on the loop."""
        self.moments = Moments()
        self._clock = SystemClock()
        self._identity = IdentityDirectory(folder, X509Keys()).load()
        self._state = SqliteState(folder / "state.db")
        self._grant: Grant | None = None
        self._broker_wanted = asyncio.Event()
        self._desired = desired(DesiredState())
        self._about = report.Box("edge", "boot", folder, report.Addresses(), ())
        self._link = GrpcFleetLink(lambda: self._identity)
        config = AgentConfig(state_dir=folder)
        around = (lambda: self._grant), (lambda: pinned(self._identity.ca)), self._proven_anew
        self.trust = signed_trust(
            config, self._identity, self._state, self._clock, *around, lambda: self.sync.connected
        )
        serving = SimServing(self._clock, during=self._fetched)
        blobs = HttpsBlobs(around[0], around[1])
        approving = WatchedTrust(self.trust, self.moments), Approvals(self._state)
        ports = Ports(blobs, DiskReleaseStore(folder), serving, *approving)
        self.updater = Updater(ports, self._state, self._clock, UpdateSettings(confirm_seconds=0.0), self._changed)
        self.sync = SyncLoop(self._link, self._state, self._clock, self._report, Handlers(self._granted, self._wish))
        files = TlsFiles(*(folder / "identity" / f"{name}.pem" for name in ("ca", "cert", "key")))
        wire = (lambda: self._identity), files, "boot", self._clock, (lambda _: None)
        self._broker = BrokerWire(*wire, self.sync.on_hint, Beats(self._clock))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Box]:
        self.updater.start()
        self.sync.restore()
        loops = [asyncio.create_task(each) for each in (self.sync.run(), self.trust.run(), self._connect())]
        try:
            yield self
        finally:
            for task in loops:
                task.cancel()
            await asyncio.wait(loops)
            await self.trust.close()
            await self.updater.close()
            await self._broker.close()
            await self._link.close()
            self._state.close()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                await self._clock.sleep(0.005)

    @property
    def hears(self) -> bool:
        """Hints reach it."""
        return self._desired.broker is not None and not self._broker.problems()

    def at_rest(self) -> bool:
        """What it was told last is confirmed here."""
        wanted = {wish.name: wish.digest for wish in self._desired.deployments}
        here = {each.deployment: each.active for each in self.updater.reports() if each.state.value == "IDLE"}
        return bool(wanted) and here == wanted

    def problems(self) -> Iterable[str]:
        found = [*self.sync.problems(), *self.trust.problems(), *self.updater.problems()]
        return [f"{each.code}: {each.message}" for each in found]

    async def _connect(self) -> None:
        while True:
            await self._broker_wanted.wait()
            self._broker_wanted.clear()
            await self._broker.connect(self._desired.broker)

    def _granted(self, grant: Grant) -> None:
        self._grant = grant
        self.trust.hint(grant.metadata_version)

    def _wish(self, state: DesiredState) -> None:
        self._desired = desired(state)
        self._broker_wanted.set()
        self.updater.offer({wish.name: wish.digest for wish in self._desired.deployments})

    def _proven_anew(self) -> None:
        self.updater.wake()
        self.sync.changed()

    def _changed(self) -> None:
        self.sync.changed()

    def _fetched(self, call: str) -> None:
        """What a release is loaded from has been hashed before."""
        if call.startswith("warm "):
            self.moments.fetched.setdefault(Digest(call.removeprefix("warm ")), time.monotonic())

    def _report(self) -> SyncRequest:
        return report.request(
            self._about, "epoch", self.updater.reports(), {}, self.sync.problems(), proven=self.trust.proven()
        )
