"""A TCP wire between a box and a server that counts what it delivers, keeps to a rate and is cut.

A cut comes after so many bytes went down since the one before. `ended` closes both ends in good order, `reset` as a
middlebox does, `silent` delivers nothing any more and leaves the connections open. What was written to the box counts
as delivered, but for what the wire itself still held at a reset.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import struct
import termios
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PIECE = 32 << 10
KERNEL_BYTES = 64 << 10  # that the wire itself may hold


@dataclass(frozen=True)
class Cut:
    after: int  # bytes down since the cut before
    kind: str  # ended, reset, silent


@dataclass
class Wire:
    """`down`: bytes written to boxes so far, `up`: to the server. `rate`: bytes per second down of all connections
    together, 0: no bound.
    """

    server_port: int
    cuts: Sequence[Cut] = ()
    rate: float = 0.0
    down: int = 0
    up: int = 0
    connections: int = 0
    done: Counter[str] = field(default_factory=Counter)  # cuts, by kind
    seen: list[tuple[float, int]] = field(default_factory=list)  # monotonic seconds, bytes down by then
    _since: int = 0
    _next: int = 0
    _due: float = 0.0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def both(self) -> int:
        """Bytes, down and up."""
        return self.down + self.up

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port that boxes dial."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, box: asyncio.StreamReader, to_box: asyncio.StreamWriter) -> None:
        self.connections += 1
        _small(to_box)
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.server_port, limit=PIECE)
        _small(to_server)
        task = asyncio.create_task(self._up(box, to_server))
        current = asyncio.current_task()
        assert current is not None
        self._tasks |= {task, current}
        try:
            with suppress(ConnectionError, asyncio.CancelledError):  # by the end of `listening`, and nobody else
                await self._down(from_server, to_box)
        finally:
            task.cancel()
            to_server.transport.abort()
            to_box.close()
            self._tasks -= {task, current}

    async def _up(self, box: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while content := await box.read(PIECE):
                to_server.write(content)
                self.up += len(content)
                await to_server.drain()

    async def _down(self, from_server: asyncio.StreamReader, to_box: asyncio.StreamWriter) -> None:
        while content := await from_server.read(PIECE):
            await self._pace(len(content))
            to_box.write(content)
            await to_box.drain()
            self.down += len(content)
            self._since += len(content)
            self.seen.append((time.monotonic(), self.down))
            if self._next < len(self.cuts) and self._since >= self.cuts[self._next].after:
                await self._cut(to_box)
                return

    async def _pace(self, count: int) -> None:
        if self.rate:
            now = time.monotonic()
            self._due = max(self._due, now - 0.05) + count / self.rate
            await asyncio.sleep(max(0.0, self._due - now))

    async def _cut(self, to_box: asyncio.StreamWriter) -> None:
        kind = self.cuts[self._next].kind
        self._next, self._since = self._next + 1, 0
        self.done[kind] += 1
        if kind == "silent":
            await asyncio.Event().wait()
        elif kind == "reset":
            connection = to_box.get_extra_info("socket")
            self.down -= _held_back(to_box, connection.fileno())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            to_box.transport.abort()


def _held_back(writer: asyncio.StreamWriter, descriptor: int) -> int:
    """Bytes written that never left: a reset throws them away."""
    unsent = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.TIOCOUTQ, unsent)
    return unsent[0] + writer.transport.get_write_buffer_size()


def _small(writer: asyncio.StreamWriter) -> None:
    """So that what was written is what arrives."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    writer.transport.set_write_buffer_limits(high=PIECE)


def ahead(seen: Sequence[tuple[float, int]], began: float, rate: float) -> float:
    """The most bytes by which what had come was ever ahead of the rate."""
    return max((down - rate * (moment - began) for moment, down in seen), default=0.0)
