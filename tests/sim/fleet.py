"""A control plane without servers: real services on a real database, boxes whose reports the test writes.

A `SimBox` keeps the report it would send; `sync` sends it and remembers the answer, as the agent does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from controlplane import tables
from controlplane.adapters.notifier_memory import MemoryNotifier
from controlplane.db import Database, Session
from controlplane.fleet.boxes import Answer, BoxService
from controlplane.fleet.desired import Broker, DesiredDeployment
from controlplane.fleet.generations import Settings
from controlplane.fleet.looking import Looking
from controlplane.fleet.reports import CameraReport, DeploymentReport, Inventory, Report
from controlplane.fleet.service import FleetService
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from controlplane.migrations.migrate import migrate
from controlplane.registry.grants import Grants
from protos.ids import NodeId, digest_of
from tests.sim.clock import FakeClock

SETTINGS = Settings(
    broker=Broker("127.0.0.1", 8883, tls=True, mqtt5=True),
    sync_interval_seconds=15,
    blobs_url="https://127.0.0.1:8443/api/v1/blobs",
    metadata_url="https://127.0.0.1:8443/api/v1/metadata",
    grant_seconds=900,
)


def digest(version: str, model: str = "harbour") -> str:
    """Of the release that `SimFleet.push` makes."""
    return digest_of(f"{model} {version}".encode())


def nothing_signed(_session: Session) -> None:
    """Instead of TrustService.publish, which `SimControlPlane` has."""


class SimFleet:
    def __init__(self, database: Database, clock: FakeClock, settings: Settings = SETTINGS) -> None:
        migrate(database)
        self.database = database
        self.clock = clock
        self.settings = settings
        self.notifier = MemoryNotifier()
        self.looking = Looking()
        self.service = FleetService(database, clock, self.notifier, self.looking, settings, nothing_signed)
        self.boxes = self.restarted()

    def restarted(self) -> BoxService:
        """The service of boxes as a control plane that starts now has it."""
        grants = Grants(b"k" * 32)
        self.boxes = BoxService(self.database, self.clock, self.notifier, grants, self.settings, lambda _: 0)
        return self.boxes

    @property
    def now_ms(self) -> int:
        return int(self.clock.unix() * 1000)

    def join(self, name: str, role: str = "edge", **labels: str) -> SimBox:
        with self.database.begin() as session:
            admission = Admission(NodeId(name), labels, role, rejoin=True)
            IdentityRepository(session).admit_node(admission, self.now_ms)
        return SimBox(self, NodeId(name))

    def push(self, version: str = "1.0.0", model: str = "harbour", manifest: bytes = b"{}") -> str:
        with self.database.begin() as session:
            session.merge(tables.Model(name=model, created_ms=self.now_ms))
            session.flush()
            session.add(
                tables.Release(
                    name=f"{model}-{version.replace('.', '-')}",
                    model=model,
                    version=version,
                    digest=digest(version, model),
                    manifest=manifest,
                    task="detection",
                    created_ms=self.now_ms,
                )
            )
        return digest(version, model)

    def camera(self, name: str, node: str, source: str = "synthetic://harbour", **labels: str) -> str:
        """Apply it; what changed."""
        body = {"metadata": {"labels": labels}, "spec": {"node": node, "source": source}}
        return self.service.apply_camera(name, body).change.value

    def deploy(self, name: str = "watch", version: str = "1.0.0", **spec: Any) -> str:
        """Apply it; what changed."""
        body = {"spec": {"model": "harbour", "version": version, **spec}}
        return self.service.apply_deployment(name, body).change.value

    def hints(self) -> list[str]:
        """The boxes nudged since last asked."""
        found = [str(node) for node, _, _ in self.notifier.hints]
        self.notifier.hints.clear()
        return found


class SimBox:
    def __init__(self, fleet: SimFleet, name: NodeId) -> None:
        self._fleet = fleet
        self.name = name
        self.report = Report(boot_id="boot-1", epoch="epoch-1", inventory=Inventory(agent_version="0.1.0"))

    def sync(self, **changes: Any) -> Answer:
        """Send the report, changed as told, and act on the answer's generation from the next one on."""
        self.report = replace(self.report, **changes)
        answer = self._fleet.boxes.sync(self.name, self.report)
        self.report = replace(self.report, observed_generation=answer.generation)
        return answer

    def converge(self) -> Answer:
        """Do all it is told: every release answers, every camera runs; then say so."""
        wanted = self.sync().desired
        return self.sync(
            deployments=tuple(_running(item) for item in wanted.deployments),
            cameras=tuple(CameraReport(item.name, "running", frames_per_second=item.rate) for item in wanted.cameras),
        )


def _running(item: DesiredDeployment) -> DeploymentReport:
    return DeploymentReport(item.name, "IDLE", active_digest=item.digest, target_digest=item.digest)


def sqlite(folder: Path) -> Database:
    return Database(f"sqlite:///{folder / 'longshore.db'}")
