"""The other boxes of such a fleet, when all of them hear of one change in the same moment and none waits.

Each is what its own agent would be to the control plane: a Sync over its own mutual TLS connection, then timestamp,
snapshot and `assign`, each over HTTPS. `jitter` of a Deployment's download delays files of releases and none of this.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent.adapters.blob_https import pinned
from agent.adapters.fleet_grpc import GrpcFleetLink
from agent.adapters.metadata_https import HttpsMetadata
from agent.adapters.x509 import X509Keys
from agent.identity.store import Identity, Membership
from agent.ports import Grant
from bench.processes import core_seconds_of
from controlplane.adapters.authority_files import load_or_create
from controlplane.db import Database
from controlplane.identity.repository import IdentityRepository
from protos import fleet_pb2, trust
from protos.errors import Retryable
from protos.ids import NodeId

AT_ONCE = 200  # connections of this process: above what one control plane answers at a time
TRIES = 12  # of each box for each answer, further and further apart, as its agent would


@dataclass(frozen=True)
class Rush:
    """What it cost the control plane that `boxes` came at once. `kilobytes`: of metadata, for each."""

    boxes: int
    seconds: float  # until the last had all
    plane_cpu_ms_each: float
    sync_ms_each: float  # of the plane's CPU
    kilobytes: float
    again: int  # questions that were asked another time, since no answer came within the time of a Sync
    failed: int


def admitted(folder: Path, url: str, fleet_address: str, names: Sequence[str]) -> list[Identity]:
    """Certificates for boxes that exist, as joining would have given them. `folder`: of the control plane."""
    now = time.time()
    authority, keys = load_or_create(folder / "ca", now), X509Keys()
    key, made = keys.new_key(), []
    database = Database(f"sqlite:///{folder / 'longshore.db'}")
    with database.begin() as session:
        for name in names:
            issued = authority.sign_device(keys.request(key, name), NodeId(name), now, 7)
            IdentityRepository(session).add_certificate(NodeId(name), issued, int(now * 1000))
            member = Membership(NodeId(name), url, fleet_address)
            made.append(Identity(member, issued.pem.encode(), authority.ca_pem.encode(), key))
    database.close()
    return made


class Crowd:
    def __init__(self, identities: Sequence[Identity], pid: int, files: Mapping[str, int]) -> None:
        """`files`: newest version of each role; `pid`: of the control plane."""
        self._identities = identities
        self._pid = pid
        named = [f"{files[each]}.{each}.json" for each in (trust.SNAPSHOT, trust.ASSIGN)]
        self._names = [f"{trust.TIMESTAMP}.json", *named]
        self._tls = pinned(identities[0].ca)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._bytes = 0
        self._grants: list[Grant] = []
        self._again, self._failed = 0, 0

    async def rush(self) -> Rush:
        began, spent = time.monotonic(), core_seconds_of([self._pid])
        await asyncio.gather(*(self._tried(partial(self._sync, each)) for each in self._identities))
        synced = core_seconds_of([self._pid])
        await asyncio.gather(*(self._tried(partial(self._fetch, each)) for each in self._grants))
        ended = core_seconds_of([self._pid])
        boxes = len(self._identities)
        return Rush(
            boxes,
            round(time.monotonic() - began, 2),
            round((ended - spent) / boxes * 1000, 2),
            round((synced - spent) / boxes * 1000, 2),
            round(self._bytes / boxes / 1000, 1),
            self._again,
            self._failed,
        )

    async def _tried(self, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for failures in range(TRIES):
            async with self._room:
                try:
                    return await ask()
                except Retryable:
                    self._again += 1
            await asyncio.sleep(min(10.0, 2.0**failures) * random.uniform(0.8, 1.2))
        self._failed += 1
        return None

    async def _sync(self, identity: Identity) -> None:
        link = GrpcFleetLink(lambda: identity)
        try:
            request = fleet_pb2.SyncRequest(boot_id="crowd", epoch="crowd", clock_unix_ms=int(time.time() * 1000))
            self._grants.append((await link.sync(request.SerializeToString())).grant)
        finally:
            await link.close()

    async def _fetch(self, grant: Grant) -> None:
        source = HttpsMetadata(lambda: grant, lambda: self._tls)
        for name in self._names:
            content = await source.get(name, trust.MOST_BYTES)
            self._bytes += len(content)
