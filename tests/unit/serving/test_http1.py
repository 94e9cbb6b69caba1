"""The HTTP layer against callers that err or mean harm, on raw sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import uvloop

from agent.serving.dataplane import DataPlane
from agent.serving.rest_server import RestServer
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.models import sum_model
from tests.sim.serving import FakeTable
from tests.unit.serving.conftest import LIMITS, Node

GET = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
INFER = {
    "inputs": [
        {"name": "a", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]},
        {"name": "b", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]},
    ]
}


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), body, headers


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        "POST /v2/models/sum/infer HTTP/1.1",
        "Host: x",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
        "\r\n",
    ]
    return "\r\n".join(lines).encode() + body


async def test_a_connection_is_kept_for_many_requests(rest_port: int) -> None:
    async with connected(rest_port) as (reader, writer):
        for _ in range(3):
            writer.write(GET)
            assert (await answer_of(reader))[0] == 200


async def test_pipelined_requests_are_answered_in_order(rest_port: int) -> None:
    body = json.dumps(INFER).encode()
    async with connected(rest_port) as (reader, writer):
        writer.write((post(body) + GET) * 40)
        for _ in range(40):
            assert b"model_name" in (await answer_of(reader))[1]
            assert b"live" in (await answer_of(reader))[1]


async def test_a_request_in_single_bytes_is_read(rest_port: int) -> None:
    async with connected(rest_port) as (reader, writer):
        for byte in post(json.dumps(INFER).encode()):
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await answer_of(reader))[0] == 200


async def test_http_1_0_and_connection_close_end_the_connection(rest_port: int) -> None:
    for request in (
        b"GET /v2 HTTP/1.0\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):
        async with connected(rest_port) as (reader, writer):
            writer.write(request)
            assert (await answer_of(reader))[0] == 200
            assert await reader.read() == b""


async def test_a_caller_who_asks_first_is_told_to_go_on(rest_port: int) -> None:
    body = json.dumps(INFER).encode()
    async with connected(rest_port) as (reader, writer):
        writer.write(post(b"", "Expect: 100-continue", length=len(body)))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await answer_of(reader))[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400),
        (b"HELLO\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST /v2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (b"GET /" + b"x" * 20_000, 431),
        (b"GET / HTTP/1.1\r\nHost: " + b"x" * 20_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000, 431),
        (post(b"", length=LIMITS.body_bytes + 1), 413),
        (
            b"POST /v2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"10000\r\n" + bytes(0x10000) + b"\r\n" for _ in range(20)),
            413,
        ),
    ],
    ids=["tls", "no http", "length", "two lengths", "chunk", "target", "header", "headers", "declared", "chunked"],
)
async def test_what_cannot_be_read_on_is_answered_and_closed(rest_port: int, request_bytes: bytes, status: int) -> None:
    async with connected(rest_port) as (reader, writer):
        writer.write(request_bytes)
        code, body, headers = await answer_of(reader)
        assert (code, headers["connection"]) == (status, "close")
        assert list(json.loads(body)) == ["error"]


async def test_bodies_of_all_connections_together_are_bounded(rest_port: int) -> None:
    half = LIMITS.body_bytes
    async with (
        connected(rest_port) as (_, one),
        connected(rest_port) as (_, two),
        connected(rest_port) as (reader, three),
    ):
        one.write(post(b"x", length=half))
        two.write(post(b"x", length=half))
        await asyncio.gather(one.drain(), two.drain())
        await asyncio.sleep(0.02)
        three.write(post(b"x", length=half))
        code, _, headers = await answer_of(reader)
        assert (code, headers["retry-after"]) == (429, "1")
    await asyncio.sleep(0.02)
    async with connected(rest_port) as (reader, writer):
        writer.write(post(json.dumps(INFER).encode().ljust(half)))
        assert (await answer_of(reader))[0] == 200


async def test_connections_are_bounded(rest_port: int) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(LIMITS.connections):
            await stack.enter_async_context(connected(rest_port))
        reader, _ = await stack.enter_async_context(connected(rest_port))
        assert (await answer_of(reader))[0] == 503
        assert await reader.read() == b""


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /v2 HT", post(b"abc", length=100), GET],
    ids=["nothing", "half a head", "half a body", "no next request"],
)
async def test_a_caller_who_stalls_is_cut_off(rest_port: int, sent: bytes) -> None:
    async with connected(rest_port) as (reader, writer):
        writer.write(sent)
        if sent == GET:
            await answer_of(reader)
        assert await reader.read() == b""


async def test_a_caller_who_leaves_cancels_the_request(rest_port: int, node: Node) -> None:
    node.engine("sum").slow_down(30.0)
    async with connected(rest_port) as (_, writer):
        writer.write(post(json.dumps(INFER).encode()))
        await writer.drain()
        await asyncio.sleep(0.05)
    for _ in range(100):
        if node.counted.answers:
            break
        await asyncio.sleep(0.01)
    assert node.counted.answers == [("rest", "sum", "cancelled")]


def test_uvloop_serves_the_same() -> None:
    """The agent runs on uvloop, these tests on asyncio's own loop."""

    async def serve_and_ask() -> None:
        table, sample = FakeTable(), sum_model()
        engine = FakeEngine([sample], RealClock())
        await engine.start(sample.spec)
        table.add("sum", "1", engine)
        server = RestServer(DataPlane(table, "0", RealClock().monotonic), limits=LIMITS)
        port = await server.start("127.0.0.1", 0)
        async with connected(port) as (reader, writer):
            writer.write(post(json.dumps(INFER).encode()) * 2)
            assert [(await answer_of(reader))[0] for _ in range(2)] == [200, 200]
        async with connected(port) as (reader, writer):
            writer.write(post(b"", length=LIMITS.body_bytes + 1))
            assert (await answer_of(reader))[0] == 413
        await server.stop(1.0)
        await engine.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_and_ask())


async def test_an_upgrade_is_answered_as_what_it_is(rest_port: int) -> None:
    async with connected(rest_port) as (reader, writer):
        writer.write(b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert (await answer_of(reader))[0] == 200
