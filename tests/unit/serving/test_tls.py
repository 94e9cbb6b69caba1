"""Each transport beyond loopback: who is let in, and a certificate that is renewed while they serve."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import httpx
import pytest

from agent.serving.access import Access, ServerCredentials
from agent.serving.grpc_server import GrpcServer
from agent.serving.metrics_server import MetricsServer
from agent.serving.rest_server import RestServer
from protos import inference_pb2 as pb
from protos.errors import Fatal
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.sim.certificates import Authority
from tests.unit.serving.conftest import LIMITS, Node

TOKEN = {"Authorization": "Bearer s3cret"}


@dataclass
class Files:
    """A fleet's authority, and a node's files as renewal leaves them."""

    authority: Authority
    folder: Path

    def renew(self) -> None:
        key, certificate = self.authority.issue("localhost")
        (self.folder / "key").write_bytes(key)
        (self.folder / "cert").write_bytes(certificate)

    @property
    def access(self) -> Access:
        files = ServerCredentials(self.folder / "cert", self.folder / "key", self.folder / "ca")
        return Access("s3cret", files)

    def caller(self, authority: Authority | None) -> ssl.SSLContext:
        """TLS of a caller with a certificate of `authority`, or with none."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        if authority is not None:
            key, certificate = authority.issue("caller")
            (self.folder / "caller").write_bytes(key + certificate)
            context.load_cert_chain(self.folder / "caller")
        return context

    async def shown(self, port: int) -> bytes | None:
        """The certificate that a server shows now."""
        context = self.caller(self.authority)
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return shown


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(Authority.make(), tmp_path)
    (tmp_path / "ca").write_bytes(made.authority.pem)
    made.renew()
    return made


@pytest.fixture
async def rest_tls(node: Node, files: Files) -> AsyncIterator[int]:
    server = RestServer(node.plane, files.access, LIMITS)
    yield await server.start("127.0.0.1", 0)
    await server.stop(1.0)


@pytest.fixture
async def grpc_tls(node: Node, files: Files) -> AsyncIterator[int]:
    server = GrpcServer(node.plane, files.access)
    yield await server.start("127.0.0.1", 0)
    await server.stop(1.0)


@pytest.fixture
async def metrics_tls(files: Files) -> AsyncIterator[int]:
    server = MetricsServer(lambda: b"longshore_up 1\n", files.access)
    yield await server.start("127.0.0.1", 0)
    await server.stop()


async def get(port: int, tls: ssl.SSLContext, path: str, headers: dict[str, str] | None = None) -> int:
    async with httpx.AsyncClient(base_url=f"https://localhost:{port}", verify=tls, trust_env=False) as client:
        return (await client.get(path, headers=headers)).status_code


async def test_a_certificate_of_the_fleet_or_the_token_opens_rest(rest_tls: int, files: Files) -> None:
    assert await get(rest_tls, files.caller(files.authority), "/v2/models/sum") == 200
    assert await get(rest_tls, files.caller(None), "/v2/models/sum", TOKEN) == 200
    assert await get(rest_tls, files.caller(None), "/v2/models/sum") == 401
    assert await get(rest_tls, files.caller(None), "/v2/health/ready") == 200
    with pytest.raises(httpx.TransportError):
        await get(rest_tls, files.caller(Authority.make()), "/v2/models/sum", TOKEN)


async def test_a_certificate_of_the_fleet_or_the_token_opens_metrics(metrics_tls: int, files: Files) -> None:
    assert await get(metrics_tls, files.caller(files.authority), "/metrics") == 200
    assert await get(metrics_tls, files.caller(None), "/metrics", TOKEN) == 200
    assert await get(metrics_tls, files.caller(None), "/metrics") == 401
    assert await get(metrics_tls, files.caller(None), "/healthz") == 200
    with pytest.raises(httpx.TransportError):
        await get(metrics_tls, files.caller(Authority.make()), "/metrics", TOKEN)


async def test_only_a_certificate_of_the_fleet_opens_grpc(grpc_tls: int, files: Files) -> None:
    async def ask(own: tuple[bytes | None, bytes | None]) -> bool:
        tls = grpc.ssl_channel_credentials(files.authority.pem, *own)
        async with grpc.aio.secure_channel(f"localhost:{grpc_tls}", tls) as channel:
            request = pb.ModelReadyRequest(name="sum")
            return bool((await GRPCInferenceServiceStub(channel).ModelReady(request, timeout=5)).ready)

    assert await ask(files.authority.issue("caller"))
    for own in ((None, None), Authority.make().issue("caller")):
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(own)


async def test_whose_share_a_caller_uses_is_what_his_certificate_says_and_not_what_he_claims(
    rest_tls: int, grpc_tls: int, files: Files, node: Node
) -> None:
    claims = {"x-site": "somebody-else"}
    body = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]}
    tls = files.caller(files.authority)
    async with httpx.AsyncClient(base_url=f"https://localhost:{rest_tls}", verify=tls, trust_env=False) as client:
        assert (await client.post("/v2/models/int64/infer", json=body, headers=claims)).status_code == 200
    own = grpc.ssl_channel_credentials(files.authority.pem, *files.authority.issue("other-caller"))
    async with grpc.aio.secure_channel(f"localhost:{grpc_tls}", own) as channel:
        request = pb.ModelInferRequest(model_name="int64", raw_input_contents=[bytes(8)])
        request.inputs.add(name="x", datatype="INT64", shape=[1])
        await GRPCInferenceServiceStub(channel).ModelInfer(request, metadata=tuple(claims.items()), timeout=5)
    assert node.doors.sites(node.engine("int64")) == {"caller", "other-caller"}


async def test_a_renewed_certificate_is_shown_without_a_restart(rest_tls: int, grpc_tls: int, files: Files) -> None:
    await follows_renewal(rest_tls, files)
    await follows_renewal(grpc_tls, files)


async def follows_renewal(port: int, files: Files) -> None:
    old_key = (files.folder / "key").read_bytes()
    first = await files.shown(port)
    assert await files.shown(port) == first
    files.renew()
    new_key = (files.folder / "key").read_bytes()
    (files.folder / "key").write_bytes(old_key)  # half renewed: a pair that does not fit
    await asyncio.sleep(2 * LIMITS.sweep_seconds)
    assert await files.shown(port) == first
    (files.folder / "key").write_bytes(new_key)
    await asyncio.sleep(2 * LIMITS.sweep_seconds)
    assert await files.shown(port) not in (None, first)


async def test_files_that_are_no_certificate_are_refused(node: Node, files: Files) -> None:
    (files.folder / "cert").write_bytes(b"nothing")
    for server in (RestServer(node.plane, files.access), GrpcServer(node.plane, files.access)):
        with pytest.raises(Fatal, match="cannot be used"):
            await server.start("127.0.0.1", 0)
