"""Callers of a real engine that is busy, over both transports: who is late hears so, and who leaves costs nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import grpc.aio
import httpx
import pytest

from agent.inference.engine import OnnxEngine
from agent.inference.limits import EngineLimits
from agent.serving.dataplane import DataPlane
from agent.serving.grpc_server import GrpcServer
from agent.serving.rest_server import RestServer
from protos import inference_pb2 as pb
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.sim.models import identity
from tests.sim.serving import FakeTable
from tests.sim.waiting import until

LONG = 30.0  # seconds that each inference takes: nothing that waits for one ends within a test
CALLERS = 8
Ask = Callable[[int], Awaitable[str]]  # with a timeout in microseconds, 0: none; how it ended


@dataclass
class Node:
    engine: OnnxEngine
    doors: dict[str, Ask]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    engine, table = OnnxEngine("busy", EngineLimits(drain_seconds=0.0)), FakeTable()
    await engine.start(identity("UINT8").spec)
    engine.slow_down(LONG)
    table.add("echo", "1.0.0", engine)
    plane = DataPlane(table, "0.2.0", time.monotonic)
    rest, grpc_server = RestServer(plane), GrpcServer(plane)
    ports = await rest.start("127.0.0.1", 0), await grpc_server.start("127.0.0.1", 0)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", timeout=LONG) as client,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports[1]}") as channel,
    ):
        stub = GRPCInferenceServiceStub(channel)
        yield Node(engine, {"REST": partial(_rest, client), "gRPC": partial(_grpc, stub)})
    closing = asyncio.ensure_future(engine.close())
    await asyncio.sleep(0)  # from here on it is not started again
    assert engine.pid
    os.kill(engine.pid, signal.SIGKILL)
    await closing
    await asyncio.gather(rest.stop(0.0), grpc_server.stop(0.0))


async def _rest(client: httpx.AsyncClient, timeout: int) -> str:
    tensor = {"name": "x", "datatype": "UINT8", "shape": [1], "data": [1]}
    body = {"inputs": [tensor], "parameters": {"timeout": timeout}}
    answer = await client.post("/v2/models/echo/infer", json=body)
    return str(answer.status_code)


async def _grpc(stub: GRPCInferenceServiceStub, timeout: int) -> str:
    request = pb.ModelInferRequest(model_name="echo", raw_input_contents=[b"\x01"])
    request.inputs.add(name="x", datatype="UINT8", shape=[1])
    request.parameters["timeout"].int64_param = timeout
    try:
        await stub.ModelInfer(request)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


@pytest.mark.parametrize("door", ["REST", "gRPC"])
async def test_callers_who_left_are_not_waited_for(node: Node, door: str) -> None:
    callers = [asyncio.ensure_future(node.doors[door](0)) for _ in range(CALLERS)]
    await until(lambda: node.engine.waiting == CALLERS)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    await until(lambda: node.engine.waiting == node.engine.width)  # what had begun, and nothing else


@pytest.mark.parametrize(("door", "ending"), [("REST", "504"), ("gRPC", "DEADLINE_EXCEEDED")])
async def test_who_is_late_hears_so_while_the_worker_is_busy_and_leaves_the_queue(
    node: Node, door: str, ending: str
) -> None:
    first = asyncio.ensure_future(node.doors[door](0))
    await until(lambda: node.engine.waiting == 1)
    began = time.monotonic()
    assert await node.doors[door](50_000) == ending
    assert 0.05 <= time.monotonic() - began < LONG / 2
    assert node.engine.waiting == 1
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
