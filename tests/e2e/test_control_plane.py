"""The control plane as a process: starts fast, says which port is taken, stops in order, comes back as it was."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import grpc.aio
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from protos import fleet_pb2, fleet_pb2_grpc
from tests.servers.ports import free_port
from tests.sim import joining, releases

pytestmark = pytest.mark.e2e
START_SECONDS = 100.0  # a loaded machine is no failure; the figure is printed
STOP_SECONDS = 8.0  # 3 on a machine of one's own


class Process:
    """`python -m controlplane.main serve` on free ports."""

    def __init__(self, state: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.state = state
        self.ports = {name: free_port() for name in ("https", "http", "grpc")}
        self._flags = flags
        self._environment = {**os.environ, **(environment or {})}

    def start(self) -> Process:
        command = [sys.executable, "-m", "controlplane.main", "serve", "--state", str(self.state), *self._flags]
        command += [part for name, port in self.ports.items() for part in (f"--{name}-port", str(port))]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=self._environment, text=True)
        return self

    def ready(self) -> Process:
        began = time.monotonic()
        while True:
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() - began < START_SECONDS
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    print(f"ready after {time.monotonic() - began:.2f} s")
                    return self
            except httpx.TransportError:
                time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.state / 'controlplane/admin.token').read_text().strip()}"}

    def call(self, method: str, path: str, **options: object) -> httpx.Response:
        return httpx.request(method, f"{self.url}/api/v1{path}", headers=self.headers, **options)  # type: ignore[arg-type]  # passed on

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float, str]:
        """Exit code, seconds, what it said."""
        began = time.monotonic()
        self.process.send_signal(number)
        said = self.process.communicate(timeout=20)[1]
        return self.process.returncode, time.monotonic() - began, said


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(*flags: str, **options: dict[str, str]) -> Process:
        made.append(Process(tmp_path, *flags, **options))
        return made[-1]

    yield make
    for each in made:
        if hasattr(each, "process") and each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


Make = Callable[..., Process]


def test_it_serves_people_boxes_and_strangers_each_their_way(processes: Make, tmp_path: Path) -> None:
    plane = processes().start().ready()
    ca = httpx.get(f"{plane.url}/api/v1/ca").text
    trusting = ssl.create_default_context(cadata=ca)
    for host in ("127.0.0.1", "localhost"):
        assert httpx.get(f"https://{host}:{plane.ports['https']}/healthz", verify=trusting).text == "ok\n"
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://127.0.0.1:{plane.ports['https']}/healthz")
    assert plane.call("GET", "/nodes").json()["items"] == []
    assert (tmp_path / "controlplane/admin.token").stat().st_mode & 0o777 == 0o600
    code, seconds, said = plane.stop()
    assert (code, seconds < STOP_SECONDS) == (0, True), said


async def _sync(plane: Process, ca: str, key: bytes, certificate: str) -> fleet_pb2.SyncResponse:
    credentials = grpc.ssl_channel_credentials(ca.encode(), key, certificate.encode())
    async with grpc.aio.secure_channel(f"127.0.0.1:{plane.ports['grpc']}", credentials) as channel:
        answer: fleet_pb2.SyncResponse = await fleet_pb2_grpc.FleetStub(channel).Sync(fleet_pb2.SyncRequest())
        return answer


def test_a_box_joins_over_https_and_syncs_over_mutual_tls(processes: Make) -> None:
    plane = processes().start().ready()
    key = ec.generate_private_key(ec.SECP256R1())
    token = plane.call("POST", "/jointokens", json={"nodeId": "quay-1"}).json()["token"]
    body = {"token": token, "csrPem": joining.request_of(key)}
    joined = httpx.post(f"{plane.url}/api/v1/enroll", json=body).json()
    certificate = joined["certificate"]
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    answer = asyncio.run(_sync(plane, certificate["caPem"], key_pem, certificate["certificatePem"]))
    assert answer.desired.generation > 0
    assert joined["fleetAddress"] == f"127.0.0.1:{plane.ports['grpc']}"
    node = plane.call("GET", "/nodes/quay-1").json()
    assert node["status"]["phase"] == "Online"
    stranger = ec.generate_private_key(ec.SECP256R1())
    strange = stranger.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises((grpc.aio.AioRpcError, ValueError)):
        asyncio.run(_sync(plane, certificate["caPem"], strange, certificate["certificatePem"]))


def test_it_comes_back_after_a_kill_with_everything_it_had(processes: Make) -> None:
    first = processes().start().ready()
    first.call("POST", "/jointokens", json={"nodeId": "quay-1"})
    ca = httpx.get(f"{first.url}/api/v1/ca").text
    assert first.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    again = processes().start().ready()
    assert httpx.get(f"{again.url}/api/v1/ca").text == ca
    assert [item["nodeId"] for item in again.call("GET", "/jointokens").json()["items"]] == ["quay-1"]


def test_an_upload_goes_on_after_a_kill(processes: Make) -> None:
    content = releases.content("big", 3_000_000)
    body = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    first = processes().start().ready()
    upload = first.call("POST", "/uploads", json=body).json()
    sent = httpx.patch(
        f"{first.url}/api/v1/uploads/{upload['id']}",
        headers={**first.headers, "Upload-Offset": "0"},
        content=content[:2_000_000],
    )
    assert sent.json()["offset"] == 2_000_000
    first.stop(signal.SIGKILL)
    again = processes().start().ready()
    resumed = again.call("POST", "/uploads", json=body).json()
    assert (resumed["id"], resumed["offset"]) == (upload["id"], 2_000_000)
    headers = {**again.headers, "Upload-Offset": "2000000"}
    done = httpx.patch(f"{again.url}/api/v1/uploads/{upload['id']}", headers=headers, content=content[2_000_000:])
    assert done.json()["complete"]
    assert again.call("GET", f"/blobs/{body['sha256']}").content == content


@pytest.mark.parametrize("name", ["https", "http", "grpc"])
def test_a_port_in_use_is_named_with_the_flag_that_moves_it(processes: Make, name: str) -> None:
    plane = processes()
    with socket.create_server(("127.0.0.1", plane.ports[name])):
        said = plane.start().process.communicate(timeout=START_SECONDS)[1]
    assert plane.process.returncode == 1
    assert said.strip() == (
        f"longshore: port {plane.ports[name]} is in use by another program; stop that one or choose another "
        f"with --{name}-port"
    )


def test_a_second_one_on_the_same_state_says_who_holds_it(processes: Make) -> None:
    first = processes().start().ready()
    second = processes().start()
    said = second.process.communicate(timeout=START_SECONDS)[1]
    assert second.process.returncode == 1
    assert f"is in use by process {first.process.pid}" in said


def test_a_request_that_hangs_does_not_hold_up_the_end(processes: Make) -> None:
    plane = processes().start().ready()
    body = {"sha256": "0" * 64, "size": 1000}
    upload = plane.call("POST", "/uploads", json=body).json()
    with socket.create_connection(("127.0.0.1", plane.ports["http"])) as slow:
        head = (
            f"PATCH /api/v1/uploads/{upload['id']} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: 1000\r\n"
        )
        slow.sendall((head + f"Authorization: {plane.headers['Authorization']}\r\n\r\n").encode() + b"half")
        time.sleep(0.3)  # until the body's first half lies in the server
        code, seconds, said = plane.stop(signal.SIGINT)
    assert (code, seconds < STOP_SECONDS) == (0, True), said


def test_it_dies_with_its_parent_when_asked_to(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    flags = ["--https-port", str(ports[0]), "--http-port", str(ports[1]), "--grpc-port", str(ports[2])]
    command = [sys.executable, "-m", "controlplane.main", "serve", "--state", str(tmp_path), *flags]
    parent = f"import subprocess,sys;child=subprocess.Popen({command!r},stderr=subprocess.DEVNULL);child.wait()"
    environment = {**os.environ, "LONGSHORE_PARENT_DEATH": "1"}
    with subprocess.Popen([sys.executable, "-c", parent], env=environment) as outer:
        _until(lambda: _listens(ports[1]))
        outer.kill()
        _until(lambda: not _listens(ports[1]))


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.postgres
def test_it_runs_on_postgresql_by_configuration_alone(processes: Make, postgres_url: str) -> None:
    plane = processes("--database-url", postgres_url).start().ready()
    assert plane.call("POST", "/jointokens", json={}).status_code == 201
    assert not (plane.state / "controlplane/longshore.db").exists()


def test_a_database_that_is_away_at_the_start_is_said_in_one_sentence(processes: Make) -> None:
    plane = processes("--database-url", "postgresql://nobody:secret@127.0.0.1:1/none").start()
    said = plane.process.communicate(timeout=START_SECONDS)[1]
    assert plane.process.returncode == 1
    assert "the database does not answer" in said
    assert "secret" not in said
