"""A served node: sample models on fake engines behind one data plane, and its two servers on free ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc.aio
import httpx
import pytest

from agent.inference.datatypes import FIXED
from agent.serving.admission import Doors
from agent.serving.dataplane import DataPlane
from agent.serving.grpc_server import GrpcServer
from agent.serving.http1 import HttpLimits
from agent.serving.rest_server import RestServer
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.models import detector, identity, sum_model
from tests.sim.serving import Counted, FakeTable
from tests.unit.serving.doors import Door, GrpcDoor, RestDoor

LIMITS = HttpLimits(
    head_bytes=8 << 10,
    body_bytes=1 << 20,
    all_bodies_bytes=2 << 20,
    connections=4,
    idle_seconds=0.3,
    stall_seconds=0.2,
    request_seconds=1.0,
    linger_seconds=0.1,
    sweep_seconds=0.05,
)
SAMPLES = {
    "sum": sum_model(),
    "harbour": detector(),
    **{name.lower(): identity(name) for name in (*FIXED, "BYTES")},
}


@dataclass
class Node:
    table: FakeTable
    plane: DataPlane
    counted: Counted
    doors: Doors

    def engine(self, name: str) -> FakeEngine:
        engine = self.table.lookup(name, None).engine
        assert isinstance(engine, FakeEngine)
        return engine


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    table, counted = FakeTable(), Counted()
    for name, sample in SAMPLES.items():
        engine = FakeEngine([sample], RealClock())
        await engine.start(sample.spec)
        table.add(name, "1.0.0", engine)
    monotonic = RealClock().monotonic
    doors = Doors(monotonic)
    plane = DataPlane(table, "0.1.0", monotonic, counted, admission=doors)
    yield Node(table, plane, counted, doors)
    plane.regions.close()
    for versions in table.models.values():
        for served in versions.values():
            await served.close()


@pytest.fixture
def rest_server(node: Node) -> RestServer:
    return RestServer(node.plane, limits=LIMITS)


@pytest.fixture
async def rest_port(rest_server: RestServer) -> AsyncIterator[int]:
    yield await rest_server.start("127.0.0.1", 0)
    await rest_server.stop(1.0)


@pytest.fixture
async def rest(rest_port: int) -> AsyncIterator[httpx.AsyncClient]:
    """Its connections are given up long before the server's short idle time ends them under a request."""
    few = httpx.Limits(keepalive_expiry=LIMITS.idle_seconds / 10)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{rest_port}", trust_env=False, limits=few) as client:
        yield client


@pytest.fixture
async def grpc_port(node: Node) -> AsyncIterator[int]:
    server = GrpcServer(node.plane)
    yield await server.start("127.0.0.1", 0)
    await server.stop(1.0)


@pytest.fixture
async def stub(grpc_port: int) -> AsyncIterator[GRPCInferenceServiceStub]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        yield GRPCInferenceServiceStub(channel)


@pytest.fixture(params=["rest", "grpc"])
def door(request: pytest.FixtureRequest, rest: httpx.AsyncClient, stub: GRPCInferenceServiceStub) -> Door:
    return RestDoor(rest) if request.param == "rest" else GrpcDoor(stub)
