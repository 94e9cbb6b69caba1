"""State of a control plane with a thousand assignments, written before it starts, and that control plane under `up`.

    apart    a thousand Deployments, each of one of a thousand boxes
    alike    one Deployment of a thousand boxes

Releases are tiny: what is measured is the way to a release, not its bytes. The gate, which would refuse them, is not
asked; release keys sign them as ever.
"""

from __future__ import annotations

import sqlite3
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from controlplane.adapters.notary import FolderNotary
from controlplane.adapters.notifier_memory import MemoryNotifier
from controlplane.config import Config
from controlplane.container import Services
from controlplane.fleet.objects import Deployment, Meta
from controlplane.fleet.repository import FleetRepository
from controlplane.fleet.specs import deployment_spec
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from controlplane.registry.domain import StoredRelease
from controlplane.signing.chain import Chain, proven
from controlplane.signing.keys import read_key
from controlplane.signing.listing import listed
from controlplane.trust.repository import TrustRepository
from controlplane.wiring import Adapters, assemble, build
from protos import trust
from protos.ids import DeploymentName, NodeId
from protos.trust import Listing
from tests.servers.demo import DemoTree
from tests.sim.control_plane import SimInspector
from tests.sim.registry_data import put
from tests.sim.releases import MadeRelease, make

APART, ALIKE = "apart", "alike"
MODEL = "harbour"
RELEASE_BYTES = 4096
_NOT_RELEASED = (trust.ROOT, *trust.ONLINE)
Document = dict[str, Any]


def site(number: int) -> str:
    return f"site-{number:04d}"


@dataclass(frozen=True)
class Shape:
    kind: str
    assignments: int
    releases: int

    @property
    def boxes(self) -> list[str]:
        return [site(number) for number in range(self.assignments)]

    @property
    def deployments(self) -> list[str]:
        return self.boxes if self.kind == APART else ["all"]

    @property
    def real(self) -> str:
        """The box that is there."""
        return site(self.assignments // 2)

    @property
    def changed(self) -> str:
        """The Deployment that is changed; the real box runs it."""
        return self.real if self.kind == APART else "all"

    def spec(self, deployment: str, version: str) -> Document:
        chosen = {"node": deployment} if self.kind == APART else {"line": "quay"}
        return {"model": MODEL, "version": version, "nodeSelector": {"matchLabels": chosen}}


def versions(count: int) -> list[str]:
    return [f"1.0.{number}" for number in range(count)]


class Seeds:
    """What lies in a state folder before the first start."""

    def __init__(self, state: Path) -> None:
        built = build(Config(state=state))
        self.config = built.config
        self._services = _ungated(built)

    def sow(self, shape: Shape) -> None:
        self._sign([put(self._services, release(version)) for version in versions(shape.releases)])
        now_ms = int(time.time() * 1000)
        with self._services.database.begin() as session:
            identity, fleet = IdentityRepository(session), FleetRepository(session)
            for box in shape.boxes:
                identity.admit_node(Admission(NodeId(box), {"line": "quay"}, "edge", rejoin=True), now_ms)
            for name in shape.deployments:
                spec = deployment_spec(shape.spec(name, versions(1)[0]))
                fleet.put_deployment(Deployment(DeploymentName(name), Meta(str(uuid4()), now_ms), spec))
            self._services.trust.publish(session)
        self._services.boxes.refresh()
        self._services.database.close()

    def _sign(self, stored: Sequence[StoredRelease]) -> None:
        wishes = [
            Listing(each.model, each.version, each.digest, len(each.manifest), 0, each.task, signed_by="bench")
            for each in stored
        ]
        signers = [read_key(self.config.keys_folder / "release.key")]
        self._services.trust.take(listed(self._chain(), wishes, (), signers, int(time.time())))

    def _chain(self) -> Chain:
        with self._services.database.read() as session:
            contents = TrustRepository(session).newest()
        below = {role: content for role, content in contents.items() if role not in _NOT_RELEASED}
        return proven(contents[trust.ROOT], below)


def release(version: str) -> MadeRelease:
    return make(version, RELEASE_BYTES, MODEL)


def _ungated(built: Services) -> Services:
    adapters = Adapters(
        clock=built.clock,
        database=built.database,
        authority=built.authority,
        blobs=built.blobs,
        notifier=MemoryNotifier(),
        inspector=SimInspector(),
        grants=built.grants,
        notary=FolderNotary(built.config.folder / "trust"),
    )
    return assemble(built.config, adapters)


class Plane:
    """`up` on that state: control plane and broker, in processes of their own."""

    def __init__(self, state: Path) -> None:
        self.tree = DemoTree(state, demo=False)
        self.folder = state / "controlplane"

    def start(self) -> None:
        self.tree.start()
        self.tree.until("the control plane answers", lambda: self.tree.get("version"), 60)
        trusted = ssl.create_default_context(cafile=str(self.folder / "ca" / "ca.pem"))
        bearer = {"Authorization": f"Bearer {self.tree.token}"}
        self._http = httpx.Client(base_url=f"{self.url}/api/v1", headers=bearer, verify=trusted, timeout=30)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.tree.ports['https']}"

    @property
    def fleet_address(self) -> str:
        return f"127.0.0.1:{self.tree.ports['grpc']}"

    @property
    def pid(self) -> int:
        return self.tree.pid_of("controlplane.main", "serve")

    def join_token(self, node: str) -> str:
        body = {"nodeId": node, "labels": {"line": "quay"}, "role": "edge", "ttl": "10m"}
        return str(self._http.post("/jointokens", json=body).raise_for_status().json()["token"])

    def apply(self, name: str, spec: Document) -> None:
        """PUT a Deployment, as `longshore apply` does."""
        document = {"apiVersion": "longshore/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
        self._http.put(f"/deployments/{name}", json=document).raise_for_status()

    def signed(self) -> dict[str, tuple[int, int]]:
        """Of each role that is signed here: its newest version, and how many bytes that has."""
        rows = self._rows("SELECT role, max(version), length(content) FROM metadata GROUP BY role")
        return {role: (version, size) for role, version, size in rows}

    def written(self, since: dict[str, tuple[int, int]]) -> dict[str, int]:
        """Documents signed since then, by role."""
        rows = self._rows("SELECT role, version FROM metadata")
        newer = [role for role, version in rows if version > since.get(role, (0, 0))[0]]
        return {role: newer.count(role) for role in newer}

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.folder / 'longshore.db'}?mode=ro", uri=True, timeout=5)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        self._http.close()
        self.tree.close()
