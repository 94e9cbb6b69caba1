"""A small HTTP(S) server whose every byte the test decides: truncation, garbage, silence, one byte at a time.

A handler gets a Request and returns a Reply; Reply.chunks are sent as they come, and `cut` closes the connection
without a goodbye. Who asks for it with `Connection: keep-alive` has the connection kept, unless the server does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # Content-Length to claim; default: that of the body
    chunk: int = 65_536
    gap: float = 0.0  # real seconds between two chunks
    cut: int | None = None  # close after this many bytes of the body
    reset: bool = False  # and not in good order
    raw: bytes | None = None  # send these bytes and nothing else, by `chunk` and `gap` too


Handler = Callable[[Request], Reply]


class SimHttps:
    """Listens on a free loopback port while entered; `requests` is what came."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None, *, keeps: bool = True) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.opened = 0  # connections
        self._keeps = keeps
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"

    async def idle(self) -> None:
        """Return when no connection is open."""
        await asyncio.gather(*self._connections, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[SimHttps]:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        try:
            yield self
        finally:
            self._server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.opened += 1
        try:
            ended = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError)
            with contextlib.suppress(*ended):  # cancelled by the end of `running`, and nobody else
                while await self._answer(reader, writer):
                    pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        request = await _read(reader)
        self.requests.append(request)
        reply = self.handler(request)
        if reply.raw is not None:
            await _send(writer, reply.raw, reply)
            return False
        keeps = self._keeps and reply.cut is None and request.headers.get("connection") == "keep-alive"
        length = len(reply.body) if reply.length is None else reply.length
        fields = {"Content-Length": str(length), "Connection": "keep-alive" if keeps else "close", **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {reply.status} Sim\r\n{lines}\r\n".encode())
        await _send(writer, reply.body[: reply.cut], reply)
        if reply.reset:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return keeps and not reply.reset


async def _send(writer: asyncio.StreamWriter, content: bytes, reply: Reply) -> None:
    for start in range(0, len(content), reply.chunk):
        writer.write(content[start : start + reply.chunk])
        await writer.drain()
        if reply.gap:
            await asyncio.sleep(reply.gap)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def ranged(body: bytes, request: Request) -> Reply:
    """The answer of a file server that knows Range."""
    asked = request.headers.get("range")
    if asked is None:
        return Reply(200, body)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start, stop = int(first), min(len(body), int(last) + 1) if last else len(body)
    if start >= len(body):
        return Reply(416, b"", {"Content-Range": f"bytes */{len(body)}"})
    return Reply(206, body[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"})


async def collect(chunks: AsyncGenerator[bytes, None]) -> bytes:
    """All of it."""
    return b"".join([chunk async for chunk in chunks])
