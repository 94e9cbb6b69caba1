"""Requests at a busy node's door, over both transports: who is turned away, how soon, and what he is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc.aio
import httpx
import pytest

from protos import inference_pb2 as pb
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.sim.waiting import until
from tests.unit.serving.conftest import Node

CALL = 0.05  # seconds of each
LONG_CALL = 0.5  # during which an answer comes on any machine
MODEL = "int64"
DOCUMENT = json.dumps({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]}).encode()
SOON = 0.06  # seconds: enough for a call, and not for two


@dataclass
class Said:
    """An answer: `status` as REST has it, and what stands beside it."""

    status: int
    told: dict[str, str]


Ask = Callable[..., Awaitable[Said]]


async def over_rest(client: httpx.AsyncClient, **told: object) -> Said:
    headers = {f"x-{name.replace('_', '-')}": str(value) for name, value in told.items()}
    answer = await client.post(f"/v2/models/{MODEL}/infer", content=DOCUMENT, headers=headers)
    return Said(answer.status_code, dict(answer.headers))


async def over_grpc(stub: GRPCInferenceServiceStub, **told: object) -> Said:
    request = pb.ModelInferRequest(model_name=MODEL, raw_input_contents=[bytes(8)])
    request.inputs.add(name="x", datatype="INT64", shape=[1])
    words = [("x-model", MODEL), *((f"x-{name.replace('_', '-')}", str(value)) for name, value in told.items())]
    call = stub.ModelInfer(request, metadata=words)
    try:
        await call
        status = 200
    except grpc.aio.AioRpcError as error:
        status = {"RESOURCE_EXHAUSTED": 429, "DEADLINE_EXCEEDED": 504, "INVALID_ARGUMENT": 400}[error.code().name]
    return Said(status, {name: str(value) for name, value in await call.trailing_metadata() or ()})


@pytest.fixture(params=["rest", "grpc"])
def ask(request: pytest.FixtureRequest, rest: httpx.AsyncClient, stub: GRPCInferenceServiceStub) -> Ask:
    return partial(over_rest, rest) if request.param == "rest" else partial(over_grpc, stub)


@pytest.fixture
async def busy(node: Node, ask: Ask) -> AsyncIterator[asyncio.Task[Said]]:
    """A call under way that takes CALL, on an engine that is known to take so long."""
    slows(node, CALL)
    await ask()
    under_way = asyncio.create_task(_said(ask()))
    await until(lambda: node.engine(MODEL).busy)
    yield under_way
    await under_way


def slows(node: Node, seconds: float) -> None:
    """Its calls take so long, as was measured while it was warmed."""
    engine = node.engine(MODEL)
    engine.slow_down(seconds)
    engine.profile = [(1, seconds)]


async def _said(asked: Awaitable[Said]) -> Said:
    return await asked


def us(seconds: float) -> int:
    return int(seconds * 1e6)


async def test_who_cannot_be_answered_in_time_hears_it_at_once_and_when_to_come_again(ask: Ask, node: Node) -> None:
    slows(node, LONG_CALL)
    under_way = asyncio.create_task(_said(ask()))
    await until(lambda: node.engine(MODEL).busy)
    said = await ask(timeout_us=us(1.2 * LONG_CALL))
    assert not under_way.done(), "who waits for the engine hears it when that is free"
    assert said.status == 429
    assert 0 < int(said.told["x-expected-wait-ms"]) <= 1000 * LONG_CALL + 1
    assert said.told["retry-after"] == "1"
    assert node.counted.answers[-1][1:] == (MODEL, "turned_away")
    assert (await under_way).status == 200


@pytest.mark.usefixtures("busy")
async def test_who_has_time_enough_waits_and_is_answered(ask: Ask) -> None:
    said = await ask(timeout_us=us(1.0))
    assert said.status == 200
    assert int(said.told["x-service-us"]) >= us(CALL)
    assert 0 < int(said.told["x-wait-us"]) <= us(2 * CALL)


async def test_an_answer_tells_what_the_engine_took(ask: Ask, node: Node) -> None:
    slows(node, 0.01)
    said = await ask(partition="live")
    assert us(0.01) <= int(said.told["x-service-us"]) < us(0.5)
    assert "x-wait-us" not in said.told


@pytest.mark.usefixtures("busy")
async def test_who_waits_at_the_door_of_an_engine_that_closes_is_answered(ask: Ask, node: Node) -> None:
    engine = node.engine(MODEL)
    waits = asyncio.create_task(_said(ask(timeout_us=us(10.0))))
    await until(lambda: node.doors.waiting(engine) == 1)
    await engine.close()
    assert (await waits).status == 200


@pytest.mark.usefixtures("busy")
async def test_a_caller_who_leaves_the_line_frees_his_place(ask: Ask, node: Node) -> None:
    leaves = asyncio.create_task(_said(ask(timeout_us=us(10.0))))
    await until(lambda: node.doors.waiting(node.engine(MODEL)) == 1)
    leaves.cancel()
    await until(lambda: node.doors.waiting(node.engine(MODEL)) == 0)
    assert (await ask(timeout_us=us(2.5 * CALL))).status == 200


async def test_who_leaves_while_he_is_answered_frees_his_place_as_well(ask: Ask, node: Node) -> None:
    slows(node, 0.02)
    for _ in range(5):
        leaves = asyncio.create_task(_said(ask()))
        await until(lambda: node.engine(MODEL).busy)
        leaves.cancel()
        await until(lambda: not node.engine(MODEL).busy)
    assert (await ask(timeout_us=us(1.0))).status == 200


@pytest.mark.parametrize(
    "told",
    [
        {"timeout_us": "soon"},
        {"timeout_us": -5},
        {"partition": "mine"},
        {"priority": "1.5"},
        {"deadline_unix_ns": "9" * 30},
    ],
)
async def test_a_head_that_says_nothing_sensible_is_refused_with_its_name(ask: Ask, told: dict[str, Any]) -> None:
    assert (await ask(**told)).status == 400


@pytest.mark.usefixtures("busy")
async def test_a_deadline_in_the_body_alone_is_judged_when_the_body_is_there(rest: httpx.AsyncClient) -> None:
    body = {**json.loads(DOCUMENT), "parameters": {"timeout": us(SOON), "partition": "hard"}}
    answer = await rest.post(f"/v2/models/{MODEL}/infer", json=body)
    assert answer.status_code == 429
    assert "x-expected-wait-ms" in answer.headers


# ---- before the body ----


def head(length: int, *more: str) -> bytes:
    lines = [f"POST /v2/models/{MODEL}/infer HTTP/1.1", "Host: x", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode().lower().split("\r\n")
    told = dict(line.split(": ", 1) for line in lines[1:] if line)
    await reader.readexactly(int(told["content-length"]))
    return int(lines[0].split()[1]), told


@pytest.fixture
async def connection(rest_port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", rest_port)
    yield reader, writer
    writer.close()


@pytest.mark.parametrize("ask", ["rest"], indirect=True)
@pytest.mark.usefixtures("busy")
async def test_at_the_head_the_answer_is_there_before_the_body_and_the_connection_stays(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], busy: asyncio.Task[Said]
) -> None:
    reader, writer = connection
    body = bytes(200_000)
    writer.write(head(len(body), f"x-timeout-us: {us(SOON)}"))
    status, told = await answered(reader)
    assert (status, told["retry-after"]) == (429, "1")
    assert not busy.done()
    writer.write(body)  # of a caller who had begun to send it
    writer.write(head(len(DOCUMENT)) + DOCUMENT)
    assert (await answered(reader))[0] == 200


@pytest.mark.parametrize("ask", ["rest"], indirect=True)
@pytest.mark.usefixtures("busy")
async def test_who_asked_whether_his_body_is_wanted_hears_that_it_is_not(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = connection
    writer.write(head(1000, f"x-timeout-us: {us(SOON)}", "Expect: 100-continue"))
    status, told = await answered(reader)
    assert (status, told["connection"]) == (429, "close")


@pytest.mark.parametrize("ask", ["rest"], indirect=True)
@pytest.mark.usefixtures("busy")
async def test_answers_at_the_head_keep_their_place_behind_those_before(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = connection
    writer.write(head(len(DOCUMENT)) + DOCUMENT)
    writer.write(head(len(DOCUMENT), "x-timeout-us: 1000") + DOCUMENT)
    assert [(await answered(reader))[0] for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("ask", ["grpc"], indirect=True)
@pytest.mark.usefixtures("busy")
async def test_over_grpc_a_call_is_turned_away_before_its_message_is_read(grpc_port: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        method = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        call = method(metadata=(("x-model", MODEL), ("x-timeout-us", str(us(SOON)))))  # and no message is sent
        assert await asyncio.wait_for(call.code(), 5) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "no answer in time" in await call.details()


# ---- sites ----


async def test_a_site_that_has_used_its_share_up_is_turned_away_and_another_let_in(
    stub: GRPCInferenceServiceStub, node: Node
) -> None:
    slows(node, CALL)
    much, little = (partial(over_grpc, stub, site=site, timeout_us=us(10.0)) for site in ("much", "little"))
    await little()
    asked = [asyncio.create_task(_said(much())) for _ in range(12)]
    await until(lambda: any(each.done() for each in asked))
    assert (await little()).status == 200
    of_much = [each.status for each in await asyncio.gather(*asked)]
    assert of_much.count(200) >= 2
    assert of_much.count(429) >= 4  # though all of them had time enough
