"""A joined box and the control plane it talks to: a real gRPC server with mutual TLS in this process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.adapters.fleet_grpc import GrpcFleetLink
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.identity.store import Identity, Membership
from protos.ids import NodeId
from tests.sim.authority import SimAuthority
from tests.sim.fleet_server import SimFleetServer


@dataclass
class Joined:
    """A box that has joined `fleet`."""

    fleet: SimFleetServer
    store: IdentityDirectory
    link: GrpcFleetLink
    keys: X509Keys = field(default_factory=X509Keys)


def identify(folder: Path, authority: SimAuthority, address: str, node: str = "quay-1") -> IdentityDirectory:
    """An identity directory as joining leaves it."""
    keys = X509Keys()
    store = IdentityDirectory(folder, keys)
    key = keys.new_key()
    store.stage_key(key)
    member = Membership(NodeId(node), "https://127.0.0.1:8443", address)
    store.commit(member, authority.device(keys.request(key, node), node), authority.pem)
    return store


@pytest.fixture
def authority() -> SimAuthority:
    return SimAuthority(now=time.time())


@pytest.fixture
async def joined(tmp_path: Path, authority: SimAuthority) -> AsyncIterator[Joined]:
    async with SimFleetServer(authority).running() as fleet:
        store = identify(tmp_path, authority, fleet.address)
        link = GrpcFleetLink(store.load)
        yield Joined(fleet, store, link)
        await link.close()


@pytest.fixture
def identities(tmp_path: Path, authority: SimAuthority) -> Callable[[str], Identity]:
    """Makes the identity of a box that joined a control plane at an address."""
    return lambda address: identify(tmp_path, authority, address).load()
