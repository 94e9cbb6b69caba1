"""What goes over an HTTP/1.1 connection: a request that came, an answer that goes. Pure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from http import HTTPStatus
from typing import Protocol

import msgspec

_PHRASES = {int(status): status.phrase for status in HTTPStatus}  # the enum takes a while to say it
CLOSE = "Connection: close\r\n"
NO_BODY = memoryview(b"")
PIECE = 64 << 10  # bytes of an answer handed over at once; each that goes is a sign of life of its reader


class Request(msgspec.Struct, frozen=True):
    """`headers` by lower-case name; `proven`: the caller showed a certificate we trust, in the name of `who`.

    `early`: one of the headers is (see http1.Owner).

    `ends`: address and port of the caller, and the port of ours he came to.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: memoryview
    proven: bool = False
    ends: tuple[str, int, int] = ("", 0, 0)
    who: str = ""
    early: bool = False


class Stream(Protocol):
    """The body of an answer that is too long to be held."""

    @property
    def length(self) -> int:
        """Bytes."""
        ...

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """As fast as they are read. Raises LongshoreError: there are no more, and the connection ends."""
        ...


class Response(msgspec.Struct, frozen=True):
    """`body` in parts, written one after the other; then `stream`."""

    status: int
    body: Sequence[bytes | memoryview] = ()
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    bodiless: bool = False  # the answer to HEAD: its length is told, and nothing of it sent
    stream: Stream | None = None

    def head(self, *, keep_alive: bool) -> bytes:
        length = sum(map(len, self.body)) + (self.stream.length if self.stream else 0)
        more = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        return (
            f"HTTP/1.1 {self.status} {_PHRASES[self.status]}\r\n"
            f"Content-Type: {self.content_type}\r\n"
            f"Content-Length: {length}\r\n"
            f"{more}{'' if keep_alive else CLOSE}\r\n"
        ).encode("latin-1")


def pieces(response: Response, *, keep_alive: bool) -> Iterator[bytes | memoryview]:
    """What is written of it, before its stream."""
    head = response.head(keep_alive=keep_alive)
    if response.bodiless:
        yield head
        return
    if sum(map(len, response.body)) < PIECE:
        yield b"".join((head, *response.body))
        return
    yield head
    for part in response.body:
        view = memoryview(part)
        yield from (view[at : at + PIECE] for at in range(0, len(view), PIECE))
