"""The rest of a long body, read from the socket straight into its place: no copy of it is made on the way."""

from __future__ import annotations

import asyncio
from typing import Protocol

APART = 64 << 10  # bytes of a body that are still to come, to be worth it
STEP = 1 << 20  # memory follows what has come, at most so much ahead; an announcement alone takes none
_ROOM = memoryview(bytes(STEP))  # never written, so that the kernel keeps one page of it


class Reader(Protocol):
    """Whose body it is."""

    def body_came(self, nbytes: int) -> bool:
        """So many more bytes are there. False: no more are wanted."""
        ...

    def body_ended(self, body: bytearray) -> None:
        """It is whole."""
        ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def eof_received(self) -> bool: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class BodyProtocol(asyncio.BufferedProtocol):
    """Takes the transport over from `reader`, who takes it back when he is told of the end, or wants no more."""

    def __init__(self, reader: Reader, begun: bytearray, length: int) -> None:
        """`begun`: what came already of a body of `length` bytes."""
        self._reader = reader
        self._body = begun
        self._have = len(begun)
        self._length = length

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - what comes goes to one place, of any size
        if self._have == len(self._body):
            self._body += _ROOM[: min(STEP, self._length - self._have)]
        return memoryview(self._body)[self._have :]

    def buffer_updated(self, nbytes: int) -> None:
        self._have += nbytes
        if self._reader.body_came(nbytes) and self._have == self._length:
            self._reader.body_ended(self._body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader.connection_lost(exc)

    def eof_received(self) -> bool:
        return self._reader.eof_received()

    def pause_writing(self) -> None:
        self._reader.pause_writing()

    def resume_writing(self) -> None:
        self._reader.resume_writing()
