"""A connection hears of the same requests, whether their heads came before or not, and however they are cut up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.serving.http1 import Connection, HttpLimits
from agent.serving.http1_messages import Request, Response
from tests.sim.clock import FakeClock, settle
from tests.sim.transport import SimTransport


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST /{path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "\r\n"]
    return "\r\n".join(lines).encode() + body


USUAL = post("a", b"abc")
# A body may look like a request; only where a head is awaited is it one.
REQUESTS = {
    USUAL: ("/a", b"abc"),
    post("a", b"xyz"): ("/a", b"xyz"),
    post("b", b"abc"): ("/b", b"abc"),
    post("a", USUAL): ("/a", USUAL),
    post("a", b"abc", "X-Timeout-Us: 9"): ("/a", b"abc"),
    b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n": ("/a", b"abc"),
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n": ("/a", b""),
}


class Listener:
    """An owner of connections that remembers what it was asked."""

    early = frozenset({"x-timeout-us"})

    def __init__(self) -> None:
        self.limits = HttpLimits()
        self.connections: set[Connection] = set()
        self.stopping = False
        self.heard: list[tuple[str, bytes]] = []
        self.judged = 0
        self.held = 0

    def reserve(self, nbytes: int) -> bool:
        self.held += nbytes
        return True

    def release(self, nbytes: int) -> None:
        self.held -= nbytes

    def refusal(self, status: int, message: str) -> Response:
        return Response(status, [message.encode()])

    def denial(self, headers: Mapping[str, str], *, proven: bool) -> Response | None:
        return None

    def turned_away(self, request: Request) -> Response | None:
        self.judged += 1
        return None

    async def handle(self, request: Request) -> Response:
        self.heard.append((request.target, bytes(request.body)))
        return Response(200)


async def told(pieces: Sequence[bytes]) -> Listener:
    """Who heard them on one connection."""
    listener = Listener()
    connection = Connection(listener, FakeClock().monotonic)
    connection.connection_made(SimTransport(connection))
    for piece in pieces:
        connection.data_received(piece)
        await settle(4)
    return listener


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(REQUESTS)), max_size=8), st.data())
def test_however_they_come_the_same_requests_are_heard(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent)
    ends = list(itertools.accumulate(map(len, sent)))
    cuts = data.draw(st.sets(st.sampled_from(ends) | st.integers(0, len(stream)))) if sent else set()
    bounds = sorted({0, len(stream), *cuts})
    listener = asyncio.run(told([stream[start:end] for start, end in itertools.pairwise(bounds)]))
    assert listener.heard == [REQUESTS[each] for each in sent]
    assert listener.held == 0


async def test_two_that_came_together_are_two_when_they_come_again() -> None:
    listener = await told([USUAL + USUAL, USUAL + USUAL])
    assert listener.heard == [REQUESTS[USUAL]] * 4


async def test_a_body_that_looks_like_a_request_that_came_before_is_a_body() -> None:
    inside = post("a", USUAL)
    head = inside[: -len(USUAL)]
    listener = await told([USUAL, head, USUAL])
    assert listener.heard == [REQUESTS[USUAL], ("/a", USUAL)]


async def test_a_head_with_a_deadline_is_judged_each_time() -> None:
    listener = await told([post("a", b"abc", "X-Timeout-Us: 9")] * 3)
    assert listener.judged == 3


async def test_after_a_request_that_ends_its_connection_nothing_is_heard() -> None:
    listener = await told([post("a", b"abc", "Connection: close")] * 2)
    assert len(listener.heard) == 1
