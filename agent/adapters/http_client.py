"""One HTTP/1.1 request with a streamed answer, on asyncio's streams and httptools.

An agent asks now and then and has little memory: a full HTTP client costs 10 MB that are never given back. One request
per connection, unless the caller keeps it (`Kept`) for what it asks next; an answer must have a length or be chunked;
heads are capped. Trouble is NoHttp (not HTTP, or cut short), OSError (TLS included) or TimeoutError.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

_READ_BYTES = 256 << 10
_LITTLE_BYTES = 32 << 10
_MOST_HEAD_BYTES = 64 << 10
KEPT_SECONDS = 2.0  # a server that keeps connections does so for longer: it rarely closes one that is being used


class NoHttp(Exception):
    """What came is no HTTP answer, or not all of one."""


@dataclass(frozen=True)
class Question:
    """What is asked of whom. Headers and body may hold secrets."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    method: str = "GET"
    body: bytes = field(default=b"", repr=False)


@dataclass
class Answer:
    """Header names are in lower case. `body` ends by itself only when all of it came."""

    status: int
    headers: dict[str, str]
    body: AsyncIterator[bytes]


@dataclass
class Kept:
    """The connection whose answer was read to its end, for a question to the same place within KEPT_SECONDS.

    A TLS handshake costs four times the bytes of a small file. Used on one event loop.
    """

    _place: tuple[str, int, bool] | None = None  # host, port, with TLS
    _connection: tuple[_Reader, asyncio.StreamWriter] | None = None
    _end: asyncio.TimerHandle | None = None

    def take(self, place: tuple[str, int, bool]) -> tuple[_Reader, asyncio.StreamWriter] | None:
        """The connection, if it leads to `place` and is still open."""
        if self._connection is None or self._place != place or self._connection[0].at_eof():
            self.close()
            return None
        found, self._connection = self._connection, None
        return found

    def put(self, place: tuple[str, int, bool], connection: tuple[_Reader, asyncio.StreamWriter]) -> None:
        self.close()
        self._place, self._connection = place, connection
        self._end = asyncio.get_running_loop().call_later(KEPT_SECONDS, self.close)

    def close(self) -> None:
        if self._end is not None:
            self._end.cancel()
        if self._connection is not None:
            self._connection[1].transport.abort()
        self._connection = None


@asynccontextmanager
async def ask(
    question: Question,
    trust: ssl.SSLContext | None,
    quiet_seconds: float,
    ahead: int | None = None,
    kept: Kept | None = None,
) -> AsyncIterator[Answer]:
    """`trust` None: plain HTTP. `kept`: where the connection comes from, and goes to when all of the answer was read.

    `quiet_seconds`: the longest wait for a connection, for the whole head and for each piece of the body; what frames
    the pieces, such as the extensions of chunks, is none of it.

    `ahead`: about so many bytes come before they are asked for; None: as many as the system thinks best.

    Raises:
        NoHttp: what came is none.
        OSError: there is no connection, no trust, or it broke; TimeoutError: it was quiet for too long.
    """
    parts = urlsplit(question.url)
    if not parts.hostname:
        raise NoHttp("the address is not a URL")
    place = parts.hostname, parts.port or (443 if trust else 80), trust is not None
    connection = kept.take(place) if kept else None
    if connection is None:
        async with asyncio.timeout(quiet_seconds):
            connection = await _connected(*place[:2], trust, ahead)
    reader, writer = connection
    exchange = _Exchange(reader, quiet_seconds)
    body = exchange.body()
    try:
        writer.write(_request(question, parts.netloc, parts.path or "/", keep=kept is not None))
        await exchange.head()
        yield Answer(exchange.parser.get_status_code(), exchange.headers, body)
    finally:
        await body.aclose()
        if kept and exchange.reusable:
            kept.put(place, connection)
        else:
            writer.transport.abort()


class _Reader(asyncio.StreamReader):
    """What came before the connection broke is read before that is said: it would have to come again."""

    broken: Exception | None = None

    def set_exception(self, exc: Exception) -> None:
        self.broken = exc
        self.feed_eof()


async def _connected(
    host: str, port: int, trust: ssl.SSLContext | None, ahead: int | None
) -> tuple[_Reader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = _Reader(limit=_LITTLE_BYTES if ahead else _READ_BYTES)
    transport, protocol = await loop.create_connection(
        lambda: asyncio.StreamReaderProtocol(reader), host, port, ssl=trust
    )
    if ahead:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ahead)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _request(question: Question, host: str, path: str, *, keep: bool) -> bytes:
    headers = {"Host": host, "Connection": "keep-alive" if keep else "close", **question.headers}
    if question.body:
        headers["Content-Length"] = str(len(question.body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{question.method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + question.body


@dataclass
class _Exchange:
    """Feeds the parser; httptools calls the `on_…` methods."""

    reader: _Reader
    quiet_seconds: float
    headers: dict[str, str] = field(default_factory=dict)
    _chunks: list[bytes] = field(default_factory=list)
    _head_complete: bool = False
    _complete: bool = False
    _begun: int = 0  # messages: a second one is the answer to nothing
    _kept: bool = False  # by the server

    def __post_init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    @property
    def reusable(self) -> bool:
        """The one answer was read to its end, and the server goes on listening."""
        return self._kept and self._begun == 1

    async def head(self) -> None:
        read = 0
        async with asyncio.timeout(self.quiet_seconds):
            while not self._head_complete:
                read += await self._feed()
                if read > _MOST_HEAD_BYTES and not self._head_complete:
                    raise NoHttp("its answer has no end of headers")
        if "content-length" not in self.headers and "transfer-encoding" not in self.headers:
            raise NoHttp("it does not say how much it sends")

    async def body(self) -> AsyncGenerator[bytes, None]:
        while True:
            chunks, self._chunks = self._chunks, []
            for chunk in chunks:
                yield chunk
            if self._complete:
                return
            async with asyncio.timeout(self.quiet_seconds):
                while not (self._chunks or self._complete):
                    await self._feed()

    async def _feed(self) -> int:
        content = await self.reader.read(_READ_BYTES)
        if not content:
            raise self.reader.broken or NoHttp("the connection ended too early")
        try:
            self.parser.feed_data(content)
        except httptools.HttpParserError as error:
            raise NoHttp("what came is no HTTP") from error
        return len(content)

    def on_message_begin(self) -> None:
        self._begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._head_complete = True

    def on_body(self, content: bytes) -> None:
        self._chunks.append(content)

    def on_message_complete(self) -> None:
        self._complete, self._kept = True, bool(self.parser.should_keep_alive())
