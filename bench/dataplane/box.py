"""One real agent, its desired state under the proof's hand, and what it holds of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.identity.store import Membership
from bench import processes
from bench.dataplane.releases import MadeRelease
from bench.dataplane.seen import Reader
from protos import fleet_pb2 as wire
from protos.errors import Fatal
from protos.ids import DeploymentName, Digest, NodeId
from protos.trust import Listing
from tests.servers.demo import MEMORY
from tests.servers.ports import free_port
from tests.sim.authority import SimAuthority
from tests.sim.fleet_server import SimFleetServer
from tests.sim.https import Reply, Request, SimHttps, ranged
from tests.sim.signed_repository import SignedRepository

NODE = NodeId("proof")
PATIENCE = 60.0  # seconds until a proof is given up
KEPT_SHARE, KEPT_MB = 1.05, 8.0
METADATA = "metadata"  # where it is served
ENGINE, CAPTURE = "agent.inference.worker", "agent.cameras.worker"


@dataclass(frozen=True)
class Holding:
    """What the agent and its workers hold."""

    taken_mb: float  # by its processes, files that they map aside
    memories: int  # without a name, that processes share
    memory_kib: int  # their size; pages are there once they were touched
    descriptors: int  # of the agent's main process
    processes: int

    def missing(self, left: Holding) -> list[str]:
        """What is not given back in `left`; what a process keeps for its next allocation is no leak."""
        found = []
        if left.taken_mb > max(self.taken_mb * KEPT_SHARE, self.taken_mb + KEPT_MB):
            found.append(f"{left.taken_mb - self.taken_mb:.1f} MB more are held than before")
        for name in ("memories", "memory_kib", "descriptors", "processes"):
            was, now = getattr(self, name), getattr(left, name)
            if now > was:
                found.append(f"{name}: {now}, {was} before")
        return found


@dataclass
class Box:
    """An agent that runs; made by `running`."""

    folder: Path
    plane: SimFleetServer
    ports: dict[str, int]
    words: Sequence[str] = ()  # for the watched agent
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    signed: SignedRepository = field(default_factory=SignedRepository)
    _listings: dict[Digest, Listing] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.seen = Reader(self.folder / "frames.log")

    # ---- what should be ----

    def offer(self, *releases: MadeRelease) -> None:
        """Put them where the box fetches files, and sign them."""
        for release in releases:
            self.blobs.update(release.blobs)
            described, size = release.manifest, len(release.blobs[release.digest])
            known = {"model": described.name, "version": described.version, "task": described.task}
            self._listings[release.digest] = self.signed.describe(release.digest, size, **known)

    def wish(
        self,
        cameras: Sequence[wire.CameraSpec],
        deployments: Sequence[wire.DeploymentSpec],
        sync_seconds: int = 1,
    ) -> None:
        """Desired state from now on; the box hears of it when it syncs next."""
        for deployment in deployments:
            self.signed.assign(self._listings[Digest(deployment.digest)], DeploymentName(deployment.name))
            if shadow := deployment.shadow.digest:
                self.signed.assign(self._listings[Digest(shadow)], DeploymentName(deployment.name), shadow=True)
        self.signed.publish()
        self.plane.grant.metadata_version = self.signed.roles["timestamp"].version
        generation = self.plane.desired.generation + 1
        self.plane.desired = wire.DesiredState(
            generation=generation, cameras=cameras, deployments=deployments, sync_interval_seconds=sync_seconds
        )

    async def settled(self, wanted: dict[str, Digest]) -> None:
        """Return once the box says that these releases answer, confirmed."""
        await self.until(lambda: self._answers() == {name: ("IDLE", digest) for name, digest in wanted.items()})

    def _answers(self) -> dict[str, tuple[str, str]]:
        if not self.plane.reports:
            return {}
        return {each.name: (each.state, each.active_digest) for each in self.plane.reports[-1][1].deployments}

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> float:
        """Seconds until it holds. Raises Fatal when that takes too long or the agent ends."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds or not self.runs:
                raise Fatal(f"the agent did not get there within {seconds:g} s:\n{self.said()}")
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    # ---- its processes ----

    def start(self) -> None:
        state = self.folder / "state"
        flags = [part for name, port in self.ports.items() for part in (f"--{name}-port", str(port))]
        command = [sys.executable, "-m", "bench.dataplane.watched", *self.words, str(self.folder / "frames.log")]
        environment = {**os.environ, "LONGSHORE_AGENT_CONFIRM_SECONDS": "0.5"}
        with (self.folder / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--state-dir", str(state), *flags], env=environment, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def workers(self, module: str) -> list[int]:
        """Of that kind, oldest first."""
        return sorted(pid for pid in processes.family(self.pid) if module in _command(pid))

    def holding(self) -> Holding:
        family = processes.family(self.pid)
        memories = {inode: size for pid in family for inode, size in _memories(pid).items()}
        memory = round(processes.taken_mb_of(family), 1)
        return Holding(memory, len(memories), sum(memories.values()) >> 10, _descriptors(self.pid), len(family))

    def cpu_seconds(self) -> float:
        """Of all its processes so far, those included that ended."""
        return processes.cpu_seconds_of_tree(self.pid)

    def stop(self) -> None:
        if self.runs:
            assert self._process is not None
            self._process.terminate()
            self._process.wait(30)

    def said(self) -> str:
        return (self.folder / "agent.log").read_text(errors="replace")[-3000:]


@contextlib.asynccontextmanager
async def running(folder: Path, *words: str) -> AsyncIterator[Box]:
    """A box that has joined and runs, with nothing to do yet."""
    authority = SimAuthority(time.time())
    plane = SimFleetServer(authority)
    ports = {name: free_port() for name in ("http", "grpc", "metrics")}
    box = Box(folder, plane, ports, words)
    async with plane.running(), SimHttps(lambda request: _file(box, request)).running() as files:
        plane.grant = wire.FileGrant(base_url=files.url, bearer="proof", metadata_url=f"{files.url}/{METADATA}")
        plane.desired = wire.DesiredState(generation=1, sync_interval_seconds=1)
        _join(folder / "state", authority, plane.address)
        box.start()
        try:
            await box.until(lambda: bool(plane.reports))
            yield box
        finally:
            box.stop()


def threads(pid: int) -> set[str]:
    """Their names; a capture worker's are its cameras', cut to 15 characters."""
    return {(task / "comm").read_text().strip() for task in _listed(Path(f"/proc/{pid}/task"))}


def _join(state: Path, authority: SimAuthority, address: str) -> None:
    keys = X509Keys()
    directory = IdentityDirectory(state, keys)
    key = keys.new_key()
    directory.stage_key(key)
    certificate = authority.device(keys.request(key, NODE), NODE)
    directory.commit(Membership(NODE, f"https://{address}", address), certificate, authority.pem)


def _file(box: Box, request: Request) -> Reply:
    folder, _, name = request.path.strip("/").rpartition("/")
    content = box.signed.files.get(name) if folder == METADATA else box.blobs.get(Digest(f"sha256:{name}"))
    return Reply(404) if content is None else ranged(content, request)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _memories(pid: int) -> dict[str, int]:
    """Bytes of each memory that a process holds open, by inode. One that is only mapped was made by another."""
    found: dict[str, int] = {}
    for entry in _listed(Path(f"/proc/{pid}/fd")):
        with contextlib.suppress(OSError):
            if MEMORY in str(entry.readlink()):
                told = entry.stat()
                found[str(told.st_ino)] = told.st_size
    return found


def _listed(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []
