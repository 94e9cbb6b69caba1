"""A box's own parts against the real control plane in a process of its own: join, sync, pull, renew, be deleted.

Engines are simulated; the whole agent is in test_main_job and its neighbours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.blob_https import HttpsBlobs, pinned
from agent.adapters.clock import SystemClock
from agent.adapters.enroll_https import HttpsFrontDoor, HttpsLateDoor
from agent.adapters.fleet_grpc import GrpcFleetLink
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.x509 import X509Keys
from agent.identity.joining import Admission, Wish, join
from agent.identity.renewal import Renewal
from agent.identity.store import Identity
from agent.link.loop import Handlers, SyncLoop
from agent.ports import Grant
from agent.trust.kept import Approvals
from agent.update.machine import State
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from controlplane.adapters.authority_files import load_or_create
from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from controlplane.cli.pushing import push
from controlplane.db import Database
from controlplane.identity.repository import IdentityRepository
from protos import fleet_pb2, tokens
from protos.errors import InvalidToken, Retryable
from protos.ids import DeploymentName, Digest, NodeId
from tests.servers.ports import free_port, wait_for
from tests.sim.release_serving import SimServing
from tests.sim.trust import SimTrust

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / "models" / "harbour" / "release"
DAY = 86_400.0


class ControlPlane:
    """`python -m controlplane.main serve` on free ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ports = [free_port(), free_port(), free_port()]
        self.https = f"https://127.0.0.1:{ports[0]}"
        names = ("https", "http", "grpc")
        flags = [part for name, port in zip(names, ports, strict=True) for part in (f"--{name}-port", str(port))]
        command = [sys.executable, "-m", "controlplane.main", "serve", "--state", str(folder), *flags]
        self._process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "LONGSHORE_PARENT_DEATH": "1"})
        wait_for(ports[1], self._process)
        wait_for(ports[2], self._process)
        self.client = Client(Context(f"http://127.0.0.1:{ports[1]}", self._token()))

    def _token(self) -> str:
        return (self._folder / "controlplane" / "admin.token").read_text().strip()

    def join_token(self, **wish: Any) -> str:
        return str(self.client.document("POST", "/jointokens", json=wish)["token"])

    def issue(self, request: str, node: str, unix: float) -> bytes:
        """A certificate as it was given to that node then."""
        authority = load_or_create(self._folder / "controlplane" / "ca", unix)
        issued = authority.sign_device(request, NodeId(node), unix, 7)
        database = Database(f"sqlite:///{self._folder / 'controlplane' / 'longshore.db'}")
        with database.begin() as session:
            IdentityRepository(session).add_certificate(NodeId(node), issued, int(unix * 1000))
        database.close()
        return issued.pem.encode()

    def deploy(self, digest_of: str) -> None:
        release = self.client.one("releases", digest_of)["spec"]
        spec = {"model": release["model"], "version": release["version"], "cloudSelector": {}}
        selectors: dict[str, Any] = {"nodeSelector": {"matchLabels": {}}, "cameraSelector": {"matchLabels": {}}}
        document = {"apiVersion": "longshore/v1", "kind": "Deployment", "metadata": {"name": "watch"}}
        self.client.document("PUT", "/deployments/watch", json={**document, "spec": {**spec, **selectors}})

    def close(self) -> None:
        self.client.__exit__()
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    made = ControlPlane(tmp_path_factory.mktemp("controlplane"))
    yield made
    made.close()


class Box:
    """What an agent has of link and update, with simulated engines."""

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self.identities = IdentityDirectory(folder, X509Keys())
        self.state = SqliteState(folder / "state.db")
        self.serving = SimServing(self.clock)
        self.link = GrpcFleetLink(self.identities.load)
        self.grant: Grant | None = None
        blobs = HttpsBlobs(lambda: self.grant, lambda: pinned(self.identities.load().ca))
        ports = Ports(blobs, DiskReleaseStore(folder), self.serving, SimTrust(), Approvals(self.state))
        self.updater = Updater(ports, self.state, self.clock, UpdateSettings(confirm_seconds=0.1))
        handlers = Handlers(self._granted, self._wanted)
        self.sync = SyncLoop(self.link, self.state, self.clock, fleet_pb2.SyncRequest, handlers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Box]:
        self.updater.start()
        self.sync.restore()
        task = asyncio.create_task(self.sync.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.updater.close()
            await self.link.close()
            self.state.close()

    async def until(self, true: Callable[[], bool], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await self.clock.sleep(0.02)

    def _granted(self, grant: Grant) -> None:
        self.grant = grant

    def _wanted(self, state: fleet_pb2.DesiredState) -> None:
        self.updater.offer({DeploymentName(each.name): Digest(each.digest) for each in state.deployments})


class LosingDoor(HttpsFrontDoor):
    """The control plane answers, and nothing of it arrives."""

    def enroll(self, wish: Wish, request: str, ca: bytes) -> Admission:
        super().enroll(wish, request, ca)
        raise Retryable("the connection broke")


def joined(
    control_plane: ControlPlane,
    folder: Path,
    token: str | None = None,
    node: str = "",
    door: type[HttpsFrontDoor] = HttpsFrontDoor,
) -> Identity:
    wish = Wish(tokens.parse(token or control_plane.join_token()), node, {"site": "harbour"}, "edge", "0.1.0")
    folder.mkdir(exist_ok=True)
    return join(wish, door(control_plane.https), X509Keys(), IdentityDirectory(folder, X509Keys()))


def renewal(box: Box, renewed: list[Identity], offset: float = 0.0) -> Renewal:
    return Renewal(
        link=box.link,
        door=HttpsLateDoor(),
        store=box.identities,
        keys=X509Keys(),
        clock=box.clock,
        offset=lambda: offset,
        renewed=renewed.append,
        spread=0.0,
    )


async def test_a_box_joins_hears_of_a_deployment_and_pulls_it(control_plane: ControlPlane, tmp_path: Path) -> None:
    identity = await asyncio.to_thread(joined, control_plane, tmp_path / "box", node="quay-1")
    assert identity.member.node_id == "quay-1"
    pushed = await asyncio.to_thread(push, control_plane.client, RELEASE)
    await asyncio.to_thread(control_plane.deploy, pushed.name)
    async with Box(tmp_path / "box").running() as box:
        await box.until(lambda: box.serving.answers("watch") == pushed.digest)
        await box.until(lambda: [report.state for report in box.updater.reports()] == [State.IDLE])
        assert box.sync.problems() == []
        assert abs(box.sync.clock_offset) < 5
    async with Box(tmp_path / "box").running() as again:  # from disk: the network is not asked first
        await again.until(lambda: again.serving.answers("watch") == pushed.digest, 5)


async def test_a_token_used_twice_is_refused_with_a_sentence(control_plane: ControlPlane, tmp_path: Path) -> None:
    token = await asyncio.to_thread(control_plane.join_token)
    await asyncio.to_thread(joined, control_plane, tmp_path / "first", token, "gate-1")
    with pytest.raises(InvalidToken, match="used already, by gate-1"):
        await asyncio.to_thread(joined, control_plane, tmp_path / "second", token, "gate-2")


async def test_an_expired_token_is_refused_with_a_sentence(control_plane: ControlPlane, tmp_path: Path) -> None:
    token = await asyncio.to_thread(lambda: control_plane.join_token(ttl="1s"))
    await asyncio.sleep(1.1)
    with pytest.raises(InvalidToken, match="expired"):
        await asyncio.to_thread(joined, control_plane, tmp_path / "late", token)


async def test_a_token_of_another_control_plane_is_refused_before_it_is_sent(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    token = await asyncio.to_thread(control_plane.join_token)
    foreign = token.replace(token.split(".")[1], "0" * 64)
    with pytest.raises(InvalidToken, match="another control plane"):
        await asyncio.to_thread(joined, control_plane, tmp_path / "lost", foreign)


async def test_a_certificate_is_renewed_and_used(control_plane: ControlPlane, tmp_path: Path) -> None:
    first = await asyncio.to_thread(joined, control_plane, tmp_path / "old", node="old-1")
    box = Box(tmp_path / "old")
    renewed: list[Identity] = []
    await renewal(box, renewed, offset=4 * DAY).look()
    box.link.reload()
    assert renewed
    assert renewed[0].certificate != first.certificate
    async with box.running():
        await box.until(lambda: box.sync.connected)


async def test_a_box_that_was_off_for_a_month_comes_back_by_itself(control_plane: ControlPlane, tmp_path: Path) -> None:
    identity = await asyncio.to_thread(joined, control_plane, tmp_path / "dark", node="dark-1")
    box = Box(tmp_path / "dark")
    request = X509Keys().request(identity.key, "dark-1")
    ended = await asyncio.to_thread(control_plane.issue, request, "dark-1", time.time() - 30 * DAY)
    box.identities.commit(identity.member, ended, identity.ca)
    renewed: list[Identity] = []
    late = renewal(box, renewed)
    async with box.running():
        await box.until(lambda: bool(box.sync.problems()))
        assert not box.sync.connected
        await late.look()
        assert late.problem is None
        assert renewed[0].key != identity.key
        box.link.reload()
        await box.until(lambda: box.sync.connected)


async def test_a_deleted_box_does_not_come_back_by_renewing(control_plane: ControlPlane, tmp_path: Path) -> None:
    identity = await asyncio.to_thread(joined, control_plane, tmp_path / "lost", node="lost-1")
    box = Box(tmp_path / "lost")
    request = X509Keys().request(identity.key, "lost-1")
    ended = await asyncio.to_thread(control_plane.issue, request, "lost-1", time.time() - 30 * DAY)
    box.identities.commit(identity.member, ended, identity.ca)
    await asyncio.to_thread(control_plane.client.call, "DELETE", "/nodes/lost-1")
    renewed: list[Identity] = []
    late = renewal(box, renewed)
    await late.look()
    assert renewed == []
    assert late.problem is not None
    assert "join again with a new token" in late.problem.message
    box.state.close()


async def test_an_answer_that_got_lost_does_not_cost_the_token(control_plane: ControlPlane, tmp_path: Path) -> None:
    token = await asyncio.to_thread(control_plane.join_token)
    with pytest.raises(Retryable):
        await asyncio.to_thread(joined, control_plane, tmp_path / "box", token, "luck-1", door=LosingDoor)
    identity = await asyncio.to_thread(joined, control_plane, tmp_path / "box", token, "luck-1")
    assert identity.member.node_id == "luck-1"


async def test_a_deleted_box_is_told_and_keeps_running(control_plane: ControlPlane, tmp_path: Path) -> None:
    await asyncio.to_thread(joined, control_plane, tmp_path / "gone", node="gone-1")
    async with Box(tmp_path / "gone").running() as box:
        await box.until(lambda: box.sync.connected)
        await asyncio.to_thread(control_plane.client.call, "DELETE", "/nodes/gone-1")
        box.sync.changed()
        await box.until(lambda: [problem.code for problem in box.sync.problems()] == ["sync-refused"])
        assert "new token" in box.sync.problems()[0].message


def test_an_installer_reads_one_sentence_when_joining_fails(tmp_path: Path) -> None:
    port = free_port()
    token = f"LS1.{'0' * 64}.abcdefgh.{'s' * 43}"
    began = time.monotonic()
    command = [sys.executable, "-m", "agent.main", "join", f"https://127.0.0.1:{port}", "--token", token]
    ended = subprocess.run(
        [*command, "--state-dir", str(tmp_path / "state")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3
    assert ended.stderr.startswith("error: https://127.0.0.1")
    assert "Traceback" not in ended.stderr
    assert "s" * 43 not in ended.stderr
    assert time.monotonic() - began < 20
