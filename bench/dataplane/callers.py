"""Applications beside the box: so many requests in flight at once, again and again, each answered or told why not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from agent.types import ModelInput

SECONDS = 30.0  # until an answer is given up


@dataclass
class Callers:
    """Each has a connection of its own; all ask at the same moments, `period` seconds apart, but who still waits."""

    port: int
    model: str
    pixels: ModelInput
    count: int = 16
    period: float = 1.0
    latencies: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[Callers]:
        began = time.monotonic()
        tasks = [asyncio.create_task(self._ask(began), name=f"caller {number}") for number in range(self.count)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, began: float) -> None:
        request, turn = question(self.model, self.pixels), 0
        while True:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    while True:
                        turn = await self._turn(began, turn)
                        await self._once(reader, writer, request)
                finally:
                    writer.close()
            self.failures["connection lost"] += 1
            await asyncio.sleep(0.05)

    async def _turn(self, began: float, turn: int) -> int:
        """Wait for the next moment that has not passed."""
        now = time.monotonic() - began
        turn = max(turn + 1, int(now / self.period) + 1)
        await asyncio.sleep(turn * self.period - now)
        return turn

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
        began = time.monotonic()
        writer.write(request)
        status, body = await answer(reader)
        if status == 200:
            self.latencies.append(time.monotonic() - began)
        else:
            self.failures[body.decode(errors="replace")[:200]] += 1


def question(model: str, pixels: ModelInput, **parameters: int) -> bytes:
    """A whole HTTP request: a black picture as raw pixels, in the protocol's binary form."""
    shape = [1, pixels.height, pixels.width, 3]
    binary = {"binary_data_size": pixels.nbytes}
    tensor = {"name": "image", "datatype": "UINT8", "shape": shape, "parameters": binary}
    head = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    lines = [
        f"POST /v2/models/{model}/infer HTTP/1.1",
        "Host: box",
        f"Content-Length: {len(head) + pixels.nbytes}",
        f"Inference-Header-Content-Length: {len(head)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + head + bytes(pixels.nbytes)


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body. Raises TimeoutError when none comes."""
    async with asyncio.timeout(SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        body = await reader.readexactly(int(length.partition(":")[2]))
    return int(head.split(" ", 2)[1]), body
