"""HTTP/1.1 on the event loop: one connection, its bounds, its order. No knowledge of what is served.

Requests of a connection are answered one after the other, in order; a few more may be read ahead. Everything a caller
controls is bounded: head, what stands between the parts of a body, body, the bodies of all connections together,
connections, read-ahead, and time: a caller that does not finish its request, or does not read its answer, is cut off.
Who may not send a body is told so at its head; who is turned away there hears it at once, what he sends of his body is
read and thrown away, and his connection stays. What cannot be read on is answered after what came before it; the rest
is then read and thrown away for a while, since closing on unread bytes would tear up that answer on its way. A caller
that leaves cancels its request.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools
from msgspec import structs

from agent.serving.http1_again import Seen, seen
from agent.serving.http1_body import APART, BodyProtocol
from agent.serving.http1_messages import NO_BODY, Request, Response, pieces
from protos.errors import LongshoreError

log = logging.getLogger(__name__)

READ_AHEAD = 16  # whole requests behind the one being answered


@dataclass(frozen=True)
class HttpLimits:
    """What callers may take."""

    head_bytes: int = 64 << 10
    body_bytes: int = 64 << 20
    all_bodies_bytes: int = 256 << 20  # of all connections at once
    connections: int = 256
    idle_seconds: float = 75.0  # between requests
    stall_seconds: float = 30.0  # without a byte of an unfinished request, or a piece of an answer being read
    request_seconds: float = 300.0  # for a whole request
    linger_seconds: float = 2.0  # without a byte after a refusal, within stall_seconds in all
    sweep_seconds: float = 5.0  # between looks at these times
    ahead_bytes: int = 0  # of an answer that the kernel takes before they are read; 0: as many as it thinks best


class Owner(Protocol):
    """The server, as a connection sees it."""

    limits: HttpLimits
    early: frozenset[str]  # headers that tell of a request what matters before its body is there
    connections: set[Connection]
    stopping: bool

    def reserve(self, nbytes: int) -> bool:
        """May so many more bytes of bodies be held?"""
        ...

    def release(self, nbytes: int) -> None: ...

    def refusal(self, status: int, message: str) -> Response: ...

    def denial(self, headers: Mapping[str, str], *, proven: bool) -> Response | None:
        """Why this caller may not send a body, or None."""
        ...

    def turned_away(self, request: Request) -> Response | None:
        """Why a request whose body is not there yet will not be answered, or None. Asked of those that are `early`."""
        ...

    async def handle(self, request: Request) -> Response:
        """Raises nothing."""
        ...


class Connection(asyncio.Protocol):
    """One caller's connection."""

    def __init__(self, owner: Owner, now: Callable[[], float]) -> None:
        """`now`: monotonic seconds, as `check_time` is told them."""
        self._owner = owner
        self._now = now
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Request | Response, bool]] = deque()  # a response: it was turned away
        self._task: asyncio.Task[None] | None = None
        self._readable = True
        self._proven = False
        self._ends = ("", 0, 0)
        self._who = ""
        self._writable = asyncio.Event()
        self._writable.set()
        self._reserved = 0  # bytes of the bodies held here
        self._refusal: Response | None = None  # for good: the rest of the stream means nothing
        self._framing = 0  # bytes since the last whole request or part of a body
        self._body = bytearray()
        self._unwanted = False
        self._between = True  # of the parser: what comes next begins a request
        self._completed = 0  # requests in what came last
        self._seen: Seen | None = None
        self._begin()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request_since: float | None = None
        self._lingers_since: float | None = None
        self._heard = self._written = self._now()  # the last byte from the caller; the last piece for it

    # --- the event loop's side --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        certificate = transport.get_extra_info("peercert")
        self._proven, self._who = bool(certificate), _named(certificate)
        self._ends = _ends(transport)
        if ahead := self._owner.limits.ahead_bytes:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ahead)
        if len(self._owner.connections) >= self._owner.limits.connections or self._owner.stopping:
            self._refusal = self._owner.refusal(503, "too many connections; try again later")
            self._transport.write(b"".join(pieces(self._refusal, keep_alive=False)))
            self._transport.close()
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
        self._heard = self._now()
        if self._refusal is not None:
            return
        alone, self._completed = self._between, 0
        if alone and self._came_again(data):
            return
        if self._request_since is None:
            self._request_since = self._heard
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request itself is whole; its answer says what we speak
        except httptools.HttpParserError:
            self._refuse(400, "this is not HTTP/1.1")
        if self._framing > self._owner.limits.head_bytes:
            self._refuse(431, "the head of the request, or what stands between the parts of its body, is too long")
        if self._length - len(self._body) >= APART and self._readable and self._refusal is None and not self._unwanted:
            self._hand_over(BodyProtocol(self, self._body, self._length))
        elif alone and self._between and self._completed == 1 and self._refusal is None:
            self._seen = seen(data, self._request(NO_BODY))

    def body_came(self, nbytes: int) -> bool:
        """See BodyProtocol."""
        self._heard = self._now()
        if self._take(nbytes):
            return True
        self._hand_over(self)
        return False

    def body_ended(self, body: bytearray) -> None:
        """See BodyProtocol."""
        self._body = body
        self.on_message_complete()
        self._parser = httptools.HttpRequestParser(self)  # the one before still waits for this body
        self._hand_over(self)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- the parser's side ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._between = False
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            self._refuse(400, "headers behind the body are not taken; send them before it")
            return
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._head_done = True
        chunked = "transfer-encoding" in self._headers
        length = int(self._headers.get("content-length") or 0)
        self._length = 0 if chunked else length
        if self._refusal is not None or not (chunked or length):
            return
        denial = self._owner.denial(self._headers, proven=self._proven)
        if denial is not None:
            self._end_with(denial)
        elif chunked and self._parser.get_http_version() == "1.0":
            self._refuse(400, "HTTP/1.0 has no chunked bodies; send Content-Length or use HTTP/1.1")
        elif self._fits(length):
            self._early = not self._owner.early.isdisjoint(self._headers)
            if self._early and self._turned_away():
                return
            if self._expects():
                self._go_on()

    def on_body(self, data: bytes) -> None:
        self._framing = 0
        if self._unwanted:
            self._throw_away(len(data))
        elif self._refusal is None and self._fits(len(data)) and self._take(len(data)):
            self._body += data

    def on_message_complete(self) -> None:
        if self._refusal is not None:
            return
        self._framing = 0
        self._request_since = None
        self._between = keep_alive = self._parser.should_keep_alive()
        self._completed += 1
        if self._unwanted:
            self._unwanted = False
            return
        request = self._request(memoryview(self._body).toreadonly())
        self._body, self._taken, self._length = bytearray(), 0, 0  # the request has it now
        self._enqueue(request, keep_alive=keep_alive)

    # --- ours ---------------------------------------------------------------------------------------------------------

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
        if self._is_late(now, self._owner.limits):
            self.abort()

    def _is_late(self, now: float, limits: HttpLimits) -> bool:
        silent = now - self._heard
        if not self._writable.is_set():  # whatever he sends meanwhile is no sign that he reads
            return now - self._written > limits.stall_seconds
        if self._task is not None:
            return False
        if self._lingers_since is not None:
            return silent > limits.linger_seconds or now - self._lingers_since > limits.stall_seconds
        if self._request_since is not None:
            return silent > limits.stall_seconds or now - self._request_since > limits.request_seconds
        return silent > limits.idle_seconds

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._head_done = self._early = False
        self._unwanted = False  # the body: the answer was given before it
        self._thrown = 0  # bytes of it
        self._length = 0  # of the body, where it is told beforehand
        self._body = bytearray()
        self._taken = 0  # of it, counted

    def _request(self, body: memoryview) -> Request:
        method, target = self._parser.get_method().decode("latin-1"), self._target.decode("latin-1")
        return Request(method, target, self._headers, body, self._proven, self._ends, self._who, self._early)

    def _came_again(self, data: bytes) -> bool:
        """Take a request with the head of one before; False where it is to be parsed."""
        request = self._seen.again(data) if self._seen is not None else None
        if request is None:
            return False
        if self._take(len(request.body)):
            self._taken = 0  # the request has it now
            self._enqueue(request, keep_alive=True)
        return True

    def _enqueue(self, what: Request | Response, *, keep_alive: bool) -> None:
        self._waiting.append((what, keep_alive))
        self._flow()
        self._answer()

    def _expects(self) -> bool:
        """Does the caller wait to hear that his body is wanted?"""
        return self._headers.get("expect", "").lower() == "100-continue"

    def _turned_away(self) -> bool:
        """Is the request answered already, by its head?"""
        answer = self._owner.turned_away(self._request(NO_BODY))
        if answer is None:
            return False
        if self._expects() or not self._parser.should_keep_alive():  # whether the body comes is his to say
            self._end_with(answer)
        else:
            self._unwanted = True
            self._enqueue(answer, keep_alive=True)
        return True

    def _throw_away(self, nbytes: int) -> None:
        self._thrown += nbytes
        if self._thrown > self._owner.limits.body_bytes:
            self.abort()

    def _fits(self, nbytes: int) -> bool:
        """Is a body that grows by so much still taken? It is refused if not."""
        limit = self._owner.limits.body_bytes
        if len(self._body) + nbytes <= limit:
            return True
        self._refuse(413, f"the body is larger than the {limit} bytes taken")
        return False

    def _take(self, nbytes: int) -> bool:
        """Count bytes that came; what was only announced takes nothing from others. It is refused if they are many."""
        if self._owner.reserve(nbytes):
            self._reserved += nbytes
            self._taken += nbytes
            return True
        self._refuse(429, "too many request bytes wait on this node; try again later")
        return False

    def _hand_over(self, protocol: asyncio.BaseProtocol) -> None:
        """Who reads from now on; the pause has the event loop read in that one's way."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.pause_reading()
        self._transport.set_protocol(protocol)
        if self._readable:
            self._transport.resume_reading()

    def _go_on(self) -> None:
        """Tell a caller who asked first. Behind answers under way it would be read as one of them."""
        if self._transport is not None and self._task is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, status: int, message: str) -> None:
        self._end_with(self._owner.refusal(status, message))

    def _end_with(self, refusal: Response) -> None:
        """This is the last answer here: what comes now cannot be read on, or is not to be."""
        if self._refusal is None:
            self._refusal = refusal
            self._give_back(self._taken)
            self._body, self._taken = bytearray(), 0
            self._answer()

    def _flow(self) -> None:
        """Stop reading while enough waits."""
        wanted = len(self._waiting) < READ_AHEAD
        if wanted == self._readable or self._transport is None:
            return
        self._readable = wanted
        (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def _answer(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._answer_all(), name="answer HTTP")

    async def _answer_all(self) -> None:
        keep_alive = True
        while self._waiting and keep_alive:
            asked, keep_alive = self._waiting.popleft()
            self._flow()
            if isinstance(asked, Response):
                response = asked
            else:
                response = await self._owner.handle(asked)
                if asked.method == "HEAD":
                    response = structs.replace(response, bodiless=True)
                self._give_back(len(asked.body))
            keep_alive = keep_alive and not self._owner.stopping
            del asked
            await self._write(response, keep_alive=keep_alive)
        if not keep_alive:
            self.close()
        elif self._refusal is not None:
            await self._write(self._refusal, keep_alive=False)
            self._linger()
        self._task = None
        self._heard = self._now()

    def _linger(self) -> None:
        """Say that no more comes from here; the caller ends the connection, or `check_time` does."""
        self._lingers_since = self._now()
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def _give_back(self, nbytes: int) -> None:
        nbytes = min(nbytes, self._reserved)
        self._reserved -= nbytes
        self._owner.release(nbytes)

    async def _write(self, response: Response, *, keep_alive: bool) -> None:
        for piece in pieces(response, keep_alive=keep_alive):
            await self._write_piece(piece)
        if response.stream is None or response.bodiless:
            return
        try:
            async with aclosing(response.stream.pieces()) as parts:
                async for piece in parts:
                    await self._write_piece(piece)
        except LongshoreError as error:  # its length was told: only the end of the connection says that it is not whole
            log.warning("an answer broke off: %s", error)
            self.abort()
        except Exception:  # the root of one answer: a bug of ours costs this connection only
            log.exception("an answer broke off")
            self.abort()

    async def _write_piece(self, piece: bytes | memoryview) -> None:
        if self._transport is not None:
            self._written = self._now()
            self._transport.write(piece)
            if not self._writable.is_set():
                await self._writable.wait()


def _ends(transport: asyncio.BaseTransport) -> tuple[str, int, int]:
    peer, ours = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return (peer[0], peer[1], ours[1]) if peer and ours else ("", 0, 0)


def _named(certificate: Mapping[str, Any] | None) -> str:
    """The common name in a certificate as the ssl module tells it."""
    subject = certificate.get("subject", ()) if certificate else ()
    return next((str(value) for pairs in subject for key, value in pairs if key == "commonName"), "")
