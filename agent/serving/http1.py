"""HTTP/1.1 on the event loop: one connection, its bounds, its order. No knowledge of what is served.

Requests of a connection are answered one after the other, in order; a few more may be read ahead. Everything a caller
controls is bounded: head, body, the bodies of all connections together, connections, read-ahead, and time: a caller
that neither finishes its request nor reads its answer is cut off. A caller that leaves cancels its request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, cast

import httptools

READ_AHEAD = 16  # whole requests behind the one being answered


@dataclass(frozen=True)
class HttpLimits:
    """What callers may take."""

    head_bytes: int = 64 << 10
    body_bytes: int = 64 << 20
    all_bodies_bytes: int = 256 << 20  # of all connections at once
    connections: int = 256
    idle_seconds: float = 75.0  # between requests
    stall_seconds: float = 30.0  # without a byte of an unfinished request, or read of an answer
    request_seconds: float = 300.0  # for a whole request
    sweep_seconds: float = 5.0  # between looks at these times


@dataclass(frozen=True)
class Request:
    """`headers` by lower-case name; `proven`: the caller showed a certificate we trust."""

    method: str
    target: str
    headers: dict[str, str]
    body: memoryview
    proven: bool = False


@dataclass(frozen=True)
class Response:
    """`body` in parts, written one after the other."""

    status: int
    body: Sequence[bytes | memoryview] = ()
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False

    def head(self, *, keep_alive: bool) -> bytes:
        length = sum(len(part) for part in self.body)
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
            *(() if keep_alive else ("Connection: close",)),
            "\r\n",
        ]
        return "\r\n".join(lines).encode("latin-1")


class Owner(Protocol):
    """The server, as a connection sees it."""

    limits: HttpLimits
    connections: set[Connection]
    stopping: bool

    def reserve(self, nbytes: int) -> bool:
        """May so many more bytes of bodies be held?"""
        ...

    def release(self, nbytes: int) -> None: ...

    def refusal(self, status: int, message: str) -> Response: ...

    async def handle(self, request: Request) -> Response:
        """Raises nothing."""
        ...


class _Body:
    """A body being received: into one buffer when its length is known."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self._buffer = bytearray(length or 0)
        self._at = 0

    def add(self, data: bytes) -> None:
        if self.length is None:
            self._buffer += data
        else:
            self._buffer[self._at : self._at + len(data)] = data
        self._at += len(data)

    @property
    def received(self) -> int:
        return self._at

    def view(self) -> memoryview:
        return memoryview(self._buffer).toreadonly()[: self._at]


class Connection(asyncio.Protocol):
    """One caller's connection."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._readable = True
        self._proven = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._reserved = 0
        self._refused = False  # for good: the rest of the stream means nothing
        self._raw_bytes = 0  # since the last whole request
        self._begin()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._request_since: float | None = None
        self._heard = self._loop.time()

    # --- the event loop's side --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self._proven = bool(transport.get_extra_info("peercert"))
        if len(self._owner.connections) >= self._owner.limits.connections or self._owner.stopping:
            self._refuse(503, "too many connections; try again later")
            return
        self._owner.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._transport = None
        self._owner.connections.discard(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()
        self._owner.release(self._reserved)
        self._reserved = 0
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._request_since is None:
            self._request_since = self._heard
        self._raw_bytes += len(data)
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request itself is whole; its answer says what we speak
        except httptools.HttpParserError:
            self._refuse(400, "this is not HTTP/1.1")
        if not self._head_done and self._raw_bytes > self._owner.limits.head_bytes:
            self._refuse(431, "the head of the request is too long")

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        self._heard = self._loop.time()

    # --- the parser's side ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._head_done = True
        declared = self._headers.get("content-length")
        length = int(declared) if declared else None
        if "transfer-encoding" in self._headers:
            length = None
        elif length is None:
            length = 0
        if not self._take(length or 0):
            return
        self._body = _Body(length)
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        if self._refused:
            return
        if self._body.length is None and not self._take(len(data)):
            return
        self._body.add(data)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, self._target.decode("latin-1"), self._headers, self._body.view(), self._proven)
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._raw_bytes = 0
        self._request_since = None
        self._flow()
        if self._task is None:
            self._task = self._loop.create_task(self._answer_all(), name="answer HTTP")

    # --- ours ---------------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return self._task is not None

    def end_when_idle(self) -> None:
        """Close now, or after the answer under way."""
        if self._task is None:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def check_time(self, now: float) -> None:
        """Cut off a caller that keeps the connection from getting anywhere."""
        limits = self._owner.limits
        if not self._writable.is_set():
            late = now - self._heard > limits.stall_seconds
        elif self._task is not None:
            late = False
        elif self._request_since is not None:
            late = now - self._heard > limits.stall_seconds or now - self._request_since > limits.request_seconds
        else:
            late = now - self._heard > limits.idle_seconds
        if late:
            self.abort()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._head_done = False
        self._body = _Body(0)

    def _take(self, nbytes: int) -> bool:
        """Make room for so many more bytes of body, or refuse."""
        limit = self._owner.limits.body_bytes
        if self._body.received + nbytes > limit:
            self._refuse(413, f"the body is larger than the {limit} bytes taken")
        elif not self._owner.reserve(nbytes):
            self._refuse(429, "too many request bytes wait on this node; try again later")
        else:
            self._reserved += nbytes
            return True
        return False

    def _refuse(self, status: int, message: str) -> None:
        """Answer what cannot be read on, and close."""
        if self._refused or self._transport is None:
            return
        self._refused = True
        if self._task is None:  # else an earlier request's answer is under way: closing after it must do
            self._write(self._owner.refusal(status, message), keep_alive=False)
        self.end_when_idle()

    def _flow(self) -> None:
        """Stop reading while enough waits."""
        wanted = len(self._waiting) < READ_AHEAD
        if wanted == self._readable or self._transport is None:
            return
        self._readable = wanted
        (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    async def _answer_all(self) -> None:
        while self._waiting and self._transport is not None:
            request, keep_alive = self._waiting.popleft()
            self._flow()
            response = await self._owner.handle(request)
            keep_alive = keep_alive and not (response.close or self._owner.stopping or self._refused)
            self._give_back(len(request.body))
            del request
            self._write(response, keep_alive=keep_alive)
            await self._writable.wait()
            if not keep_alive:
                self.close()
                break
        self._task = None
        self._heard = self._loop.time()

    def _give_back(self, nbytes: int) -> None:
        nbytes = min(nbytes, self._reserved)
        self._reserved -= nbytes
        self._owner.release(nbytes)

    def _write(self, response: Response, *, keep_alive: bool) -> None:
        if self._transport is None:
            return
        head = response.head(keep_alive=keep_alive)
        if sum(len(part) for part in response.body) < 64 << 10:
            self._transport.write(b"".join((head, *response.body)))
            return
        self._transport.write(head)
        for part in response.body:
            self._transport.write(part)
