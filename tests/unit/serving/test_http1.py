"""The HTTP layer against callers that err or mean harm, on raw sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from agent.serving.access import Access
from agent.serving.http1 import Connection, HttpLimits
from agent.serving.http1_messages import Request, Response
from agent.serving.rest_server import RestServer
from tests.sim.clock import FakeClock, settle
from tests.sim.transport import SimTransport
from tests.sim.waiting import until
from tests.unit.serving.conftest import LIMITS, Node

GET = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /v2/models/sum/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
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
        (CHUNKED + b"1\r\nx\r\n0\r\nAuthorization: Bearer x\r\n\r\n", 400),
        (CHUNKED + b"1\r\nx\r\n0\r\nA: " + b"x" * 600_000, 431),
        (CHUNKED + b"1;" + b"x" * 20_000, 431),
        (b"POST /v2 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 400),
    ],
    ids=[
        "tls",
        "no http",
        "length",
        "two lengths",
        "chunk",
        "target",
        "header",
        "headers",
        "declared",
        "chunked",
        "a header behind the body",
        "an endless header behind the body",
        "an endless chunk extension",
        "chunks in 1.0",
    ],
)
async def test_what_cannot_be_read_on_is_answered_and_closed(rest_port: int, request_bytes: bytes, status: int) -> None:
    async with connected(rest_port) as (reader, writer):
        writer.write(request_bytes)
        code, body, headers = await answer_of(reader)
        assert (code, headers["connection"]) == (status, "close")
        assert list(json.loads(body)) == ["error"]


async def test_bodies_of_all_connections_together_are_bounded(rest_server: RestServer, rest_port: int) -> None:
    half = LIMITS.body_bytes
    async with (
        connected(rest_port) as (_, one),
        connected(rest_port) as (_, two),
        connected(rest_port) as (reader, three),
    ):
        for writer in (one, two):
            writer.write(post(bytes(half - 1), length=half))
        await until(lambda: rest_server.held == 2 * (half - 1))
        three.write(post(b"xyz", length=half))
        code, _, headers = await answer_of(reader)
        assert (code, headers["retry-after"]) == (429, "1")
        assert rest_server.held == 2 * (half - 1)
    await until(lambda: rest_server.held == 0)
    async with connected(rest_port) as (reader, writer):
        writer.write(post(json.dumps(INFER).encode().ljust(half)))
        assert (await answer_of(reader))[0] == 200


async def test_a_body_that_is_only_announced_takes_nothing_from_others(rest_server: RestServer, rest_port: int) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(LIMITS.connections - 1):
            _, writer = await stack.enter_async_context(connected(rest_port))
            writer.write(post(b"x", length=LIMITS.body_bytes))
        await until(lambda: rest_server.held == LIMITS.connections - 1)
        reader, writer = await stack.enter_async_context(connected(rest_port))
        writer.write(post(json.dumps(INFER).encode().ljust(LIMITS.body_bytes)))
        assert (await answer_of(reader))[0] == 200


async def test_who_may_not_call_is_told_so_before_a_byte_of_the_body_is_kept(node: Node) -> None:
    server = RestServer(node.plane, Access(token="s3cret"), LIMITS)
    port = await server.start("127.0.0.1", 0)
    for request in (post(b"", length=1000), CHUNKED):
        async with connected(port) as (reader, writer):
            writer.write(request)
            code, _, headers = await answer_of(reader)
            assert (code, headers["www-authenticate"], headers["connection"]) == (401, "bearer", "close")
            writer.write(bytes(1000))
    async with connected(port) as (reader, writer):
        writer.write(post(json.dumps(INFER).encode(), "Authorization: Bearer s3cret"))
        assert (await answer_of(reader))[0] == 200
    assert server.held == 0
    await server.stop(1.0)


async def test_a_refusal_reaches_a_caller_who_is_still_sending(rest_port: int) -> None:
    async with connected(rest_port) as (reader, writer):
        writer.write(post(b"", length=LIMITS.body_bytes + 1))
        for _ in range(64):
            writer.write(bytes(64 << 10))
            await writer.drain()
        assert (await answer_of(reader))[0] == 413
        assert await reader.read() == b""


async def test_requests_before_one_that_is_refused_are_answered_first(rest_port: int) -> None:
    async with connected(rest_port) as (reader, writer):
        writer.write(post(json.dumps(INFER).encode()) + GET + b"HELLO\r\n\r\n")
        assert [(await answer_of(reader))[0] for _ in range(3)] == [200, 200, 400]
        assert await reader.read() == b""


async def test_a_proxy_may_send_the_whole_address(rest_port: int) -> None:
    async with connected(rest_port) as (reader, writer):
        writer.write(b"GET http://box.example:8000/v2/health/live?x=1 HTTP/1.1\r\nHost: box.example\r\n\r\n")
        assert (await answer_of(reader))[0] == 200


class SimOwner:
    """A server that answers everything with `answer`."""

    early: frozenset[str] = frozenset()

    def __init__(self, answer: bytes) -> None:
        self.limits = HttpLimits()
        self.connections: set[Connection] = set()
        self.stopping = False
        self._answer = answer

    def reserve(self, nbytes: int) -> bool:
        return True

    def release(self, nbytes: int) -> None: ...

    def refusal(self, status: int, message: str) -> Response:
        return Response(status, [message.encode()])

    def denial(self, headers: Mapping[str, str], *, proven: bool) -> Response | None:
        return None

    def turned_away(self, request: Request) -> Response | None:
        return None

    async def handle(self, request: Request) -> Response:
        return Response(200, [self._answer])


class Caller:
    """One connection, its transport and its clock under the test's hand."""

    def __init__(self, answer: bytes) -> None:
        self.clock = FakeClock()
        self.connection = Connection(SimOwner(answer), self.clock.monotonic)
        self.transport = SimTransport(self.connection)
        self.connection.connection_made(self.transport)

    async def sends(self, data: bytes) -> None:
        self.connection.data_received(data)
        await settle()

    async def reads(self, most: int = 32 << 10) -> bytes:
        content = self.transport.read(most)
        await settle()
        return content

    def wait(self, seconds: float) -> bool:
        """So much time passes; is the caller cut off?"""
        self.clock.tick(seconds)
        self.connection.check_time(self.clock.monotonic())
        return self.transport.aborted


async def test_a_caller_who_reads_slowly_but_steadily_is_not_cut_off() -> None:
    answer = bytes(1 << 20)
    caller = Caller(answer)
    await caller.sends(GET)
    content = b""
    while not content.endswith(answer):
        assert not caller.wait(6.0), f"{len(content)} bytes were read"
        content += await caller.reads()


async def test_a_caller_who_sends_but_does_not_read_is_cut_off() -> None:
    caller = Caller(bytes(1 << 20))
    await caller.sends(GET)
    await caller.reads()
    for _ in range(3):
        assert not caller.wait(9.0)
        await caller.sends(b"G")
    assert caller.wait(9.0)


async def test_what_is_wrong_while_an_answer_is_being_read_is_answered_after_it() -> None:
    caller = Caller(bytes(1 << 20))
    await caller.sends(GET)
    await caller.sends(b"HELLO\r\n\r\n")
    content = await caller.reads()
    assert content.startswith(b"HTTP/1.1 200")
    while not caller.transport.ended:
        content = await caller.reads()
    assert b"HTTP/1.1 400" in content + await caller.reads()


async def test_after_a_refusal_what_comes_is_thrown_away_for_a_while() -> None:
    caller = Caller(b"")
    await caller.sends(b"HELLO\r\n\r\n")
    await caller.reads()
    for _ in range(19):
        assert not caller.wait(1.5)
        await caller.sends(bytes(1000))
    assert caller.wait(1.6), "however long the caller goes on"


async def test_a_caller_who_is_silent_after_a_refusal_is_cut_off_soon() -> None:
    caller = Caller(b"")
    await caller.sends(b"HELLO\r\n\r\n")
    await caller.reads()
    assert not caller.wait(1.9)
    assert caller.wait(0.2)


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
        await until(lambda: node.engine("sum").busy)
    await until(lambda: bool(node.counted.answers))
    assert node.counted.answers == [("rest", "sum", "cancelled")]


async def test_an_upgrade_is_answered_as_what_it_is(rest_port: int) -> None:
    async with connected(rest_port) as (reader, writer):
        writer.write(b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert (await answer_of(reader))[0] == 200
