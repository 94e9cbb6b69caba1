"""What workers say of their sandboxes reaches the fleet's view: through cameras, through engines, into the report."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.berths_disk import DiskBerths
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.x509 import X509Keys
from agent.config import AgentConfig
from agent.identity.store import Identity, Membership
from agent.node import Disk, Node
from protos.ids import NodeId
from sandbox.report import MENDS, Confined, Layer
from tests.sim.authority import SimAuthority

MEMBER = Membership(NodeId("quay-1"), "https://127.0.0.1:8443", "127.0.0.1:8444")
HERE = Identity(MEMBER, b"", SimAuthority(time.time()).pem, b"")


def without(profile: str, name: str) -> Confined:
    return Confined(profile, tuple(Layer(each, each != name, "this kernel does not offer it") for each in MENDS))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    state, outbox = SqliteState(tmp_path / "state.db"), SqliteOutbox(tmp_path / "outbox.db", 1 << 20)
    await outbox.start()
    identity, berths = IdentityDirectory(tmp_path, X509Keys()), DiskBerths(tmp_path, "")
    disk = Disk(state, outbox, DiskReleaseStore(tmp_path), identity, berths)
    node = Node(AgentConfig(state_dir=tmp_path), disk, HERE)
    yield node
    await outbox.close()
    state.close()


def told(node: Node) -> list[str]:
    return [problem.message for problem in node._report().problems if problem.code == "sandbox"]


async def test_what_a_worker_lacks_is_a_problem_in_the_nodes_report(node: Node) -> None:
    assert told(node) == []
    node.captures._on_confined(without("network", "landlock"))
    node._new_engine("engine watch")._process._on_confined(without("engine", "seccomp"))
    landlock, seccomp = told(node)
    assert landlock.startswith("workers (network) run without landlock: this kernel does not offer it")
    assert seccomp.startswith("workers (engine) run without seccomp: this kernel does not offer it")
