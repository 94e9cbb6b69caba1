"""Long bodies are read straight into their place, on both event loops, with and without TLS."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from agent.serving.access import Access, ServerCredentials
from agent.serving.http1 import HttpLimits
from agent.serving.http1_body import APART, STEP, BodyProtocol
from agent.serving.http1_messages import Request, Response
from agent.serving.http_server import HttpServer
from tests.sim.certificates import Authority
from tests.sim.waiting import until

LONG = bytes(range(256)) * 12_000  # 3 MB
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Digests(HttpServer):
    """Answers with the digest of what it was sent."""

    what = "the digest server"

    def refusal(self, status: int, message: str) -> Response:
        return Response(status, [message.encode()])

    def denial(self, headers: Mapping[str, str], *, proven: bool) -> Response | None:
        return None

    async def handle(self, request: Request) -> Response:
        return Response(200, [digest(bytes(request.body))])


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def post(body: bytes, length: int | None = None) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (length or len(body)) + body


class Line:
    """A caller's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self) -> tuple[int, bytes]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), await self._reader.readexactly(length)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def certificates(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ServerCredentials, ssl.SSLContext] | None:
    """The server's files, and a caller's trust in them."""
    if not request.param:
        return None
    authority = Authority.make()
    for name, content in zip(("key", "cert"), authority.issue("localhost"), strict=True):
        (tmp_path / name).write_bytes(content)
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    return ServerCredentials(tmp_path / "cert", tmp_path / "key"), trust


Act = Callable[[Digests, Line], Awaitable[None]]


@pytest.fixture(params=LOOPS)
def served(
    request: pytest.FixtureRequest, certificates: tuple[ServerCredentials, ssl.SSLContext] | None
) -> Callable[..., None]:
    """Runs `act` with a server and a line to it, on that event loop."""

    def run(act: Act, **limits: Any) -> None:
        async def main() -> None:
            credentials, trust = certificates or (None, None)
            server = Digests(Access(credentials=credentials), HttpLimits(**limits))
            port = await server.start("127.0.0.1", 0)
            host = "localhost" if trust else None
            line = Line(*await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=host))
            async with asyncio.timeout(20):
                await act(server, line)
            line.writer.close()
            await server.stop(grace=0.1)

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main())

    return run


def test_long_bodies_in_pieces_of_any_size_arrive_whole_and_in_order(served: Callable[..., None]) -> None:
    async def act(server: Digests, line: Line) -> None:
        first, second = LONG, LONG[::-1]
        stream = post(first) + post(b"short") + post(second) + post(b"")
        cuts = [0, 1, 40, APART - 1, APART + 60, len(first) - 5, len(first) + 90, len(stream)]
        sending = asyncio.ensure_future(line.send(*(stream[a:b] for a, b in itertools.pairwise(cuts))))
        for body in (first, b"short", second, b""):
            assert await line.answer() == (200, digest(body))
        await sending
        assert server.held == 0

    served(act)


def test_more_bytes_than_all_callers_may_bring_are_refused_on_the_way(served: Callable[..., None]) -> None:
    async def act(server: Digests, line: Line) -> None:
        sending = asyncio.ensure_future(line.send(post(LONG)))
        status, said = await line.answer()
        assert (status, b"too many request bytes" in said) == (429, True)
        await asyncio.gather(sending, return_exceptions=True)
        assert server.held == 0

    served(act, all_bodies_bytes=1 << 20)


def test_a_caller_who_leaves_in_the_middle_leaves_nothing_behind(served: Callable[..., None]) -> None:
    async def act(server: Digests, line: Line) -> None:
        await line.send(post(LONG[: 1 << 20], len(LONG)))
        await until(lambda: server.held == 1 << 20)
        line.writer.transport.abort()
        await until(lambda: not server.connections)
        assert server.held == 0

    served(act)


def test_a_caller_who_stops_in_the_middle_is_cut_off(served: Callable[..., None]) -> None:
    async def act(server: Digests, line: Line) -> None:
        await line.send(post(LONG[: 1 << 20], len(LONG)))
        await until(lambda: server.held == 1 << 20)
        await until(lambda: not server.connections)
        assert server.held == 0

    served(act, stall_seconds=0.2, sweep_seconds=0.05)


class Owner:
    """Whose body it is, under the test's hand."""

    def __init__(self) -> None:
        self.whole: bytearray | None = None

    def body_came(self, nbytes: int) -> bool:
        return True

    def body_ended(self, body: bytearray) -> None:
        self.whole = body

    def connection_lost(self, exc: Exception | None) -> None: ...

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


def test_memory_follows_what_has_come_and_not_what_was_announced() -> None:
    owner, begun = Owner(), bytearray(b"begun")
    body = BodyProtocol(owner, begun, 1 << 40)
    assert len(body.get_buffer(-1)) == STEP
    body.buffer_updated(STEP)
    body.get_buffer(-1)
    assert len(begun) == 5 + 2 * STEP
    assert owner.whole is None
