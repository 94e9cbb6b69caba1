"""A link between the box and the node, in user space: the rate, the delay and the cuts of a trace of `bench.decision`.

Rules that hold here:

- Bits go up at the rate that the link has while they pass, of all connections together (a token bucket without depth).
  What is not through yet is not read, so that the box's own buffers fill as they would.
- Each way takes half of the round trip on top. Down there is no bound but a cut.
- A cut is silence: nothing passes either way, and no connection ends by it. Then everything goes on.
- Before the trace begins the link is open.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agent.simulation.links import Trace
from agent.simulation.scenario import Step

PIECE = 4 << 10  # bytes: 4 ms of 8 Mbit/s
KERNEL_BYTES = 16 << 10  # that the link itself may hold unread
OPEN = Trace((Step(0.0, 1e9, 0.0),))
Piece = tuple[float, bytes]  # when it is out of the delay


class Shaper:
    """See the module. `up`: bytes that passed."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.up = 0
        self._trace, self._start, self._free_at = OPEN, 0.0, 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, trace: Trace, start: float) -> None:
        """From `start` on, in monotonic seconds."""
        self._trace, self._start, self._free_at = trace, start, start

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port that the box dials."""
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        door.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(self._connected, sock=door, limit=PIECE)
        try:
            yield int(door.getsockname()[1])
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, box: asyncio.StreamReader, to_box: asyncio.StreamWriter) -> None:
        from_node, to_node = await asyncio.open_connection("127.0.0.1", self.server_port, limit=PIECE)
        both = self._way(box, to_node, up=True), self._way(from_node, to_box)
        ways = [asyncio.create_task(way) for way in both]
        current = asyncio.current_task()
        assert current is not None
        self._tasks |= {*ways, current}
        try:
            with suppress(asyncio.CancelledError):  # by the end of `listening`
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            to_node.transport.abort()
            to_box.transport.abort()
            self._tasks -= {*ways, current}

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool = False) -> None:
        """Rate first, then delay, so that the one is not waited for in the other."""
        delayed: asyncio.Queue[Piece] = asyncio.Queue()
        out = asyncio.create_task(_let_out(delayed, writer))
        try:
            with suppress(ConnectionError):
                while content := await reader.read(PIECE):
                    through = await self._through(8 * len(content) if up else 0)
                    self.up += len(content) if up else 0
                    delayed.put_nowait((through, content))
        finally:
            out.cancel()

    async def _through(self, bits: int) -> float:
        """Wait until so many bits have passed; when they are out of the delay, in monotonic seconds."""
        now = time.monotonic()
        if now < self._start:
            return now
        since = (max(now, self._free_at) if bits else now) - self._start
        end, _ = self._trace.passed(since, float(max(1, bits)), float("inf"))
        if bits:
            self._free_at = self._start + end
        await asyncio.sleep(max(0.0, self._start + end - time.monotonic()))
        return self._start + end + self._trace.at(end).rtt / 2


async def _let_out(delayed: asyncio.Queue[Piece], writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while True:
            at, content = await delayed.get()
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            writer.write(content)
            await writer.drain()
