"""Who asks: at moments that were drawn before, whatever comes back, so that a slow answer delays no question.

Seconds count from the moment that was drawn, so that waiting for a free connection, or for this process, is told.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
import grpc.aio

from bench.serving import wire
from bench.serving.wire import Call
from bench.serving.workloads import Workload
from protos import inference_pb2 as pb
from protos.inference_pb2_grpc import GRPCInferenceServiceStub

ANSWERED, TURNED, EXPIRED, FAILED = "answered", "turned away", "expired", "failed"
_OF_STATUS = {200: ANSWERED, 429: TURNED, 504: EXPIRED}
_OF_CODE = {grpc.StatusCode.RESOURCE_EXHAUSTED: TURNED, grpc.StatusCode.DEADLINE_EXCEEDED: EXPIRED}
Ask = Callable[[float | None], Awaitable[str]]  # with seconds until its deadline; how it ended


@dataclass(frozen=True)
class Ended:
    how: str
    seconds: float


@dataclass
class OverRest:
    """Kept connections, as many as are under way."""

    port: int
    workload: Workload
    token: str
    _free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def __call__(self, within: float | None) -> str:
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(_posted(wire.binary_call(self.workload), self.token, within))
            status = await _status(reader)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return FAILED
        self._free.append((reader, writer))
        return _OF_STATUS.get(status, FAILED)

    async def close(self) -> None:
        for _, writer in self._free:
            writer.close()


class OverGrpc:
    """One channel."""

    def __init__(self, port: int, workload: Workload, token: str) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._stub = GRPCInferenceServiceStub(self._channel)
        body = wire.grpc_call(workload).body[wire.FRAME.size :]
        self._request = pb.ModelInferRequest.FromString(body)
        self._told = (("x-model", workload.name), ("authorization", f"Bearer {token}"))

    async def __call__(self, within: float | None) -> str:
        deadline = () if within is None else (("x-timeout-us", str(int(within * 1e6))),)
        try:
            await self._stub.ModelInfer(self._request, metadata=(*self._told, *deadline))
        except grpc.aio.AioRpcError as error:
            return _OF_CODE.get(error.code(), FAILED)
        return ANSWERED

    async def close(self) -> None:
        await self._channel.close()


async def open_loop(ask: Ask, rate: float, seconds: float, within: float, seed: int) -> list[Ended]:
    """Questions as of a Poisson process: `rate` a second, each with a deadline."""
    rng, began = random.Random(seed), time.monotonic()
    tasks, at = [], rng.expovariate(rate)
    while at < seconds:
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        tasks.append(asyncio.create_task(_one(ask, began + at, within)))
        at += rng.expovariate(rate)
    return await asyncio.gather(*tasks)


async def closed_loop(ask: Ask, callers: int, seconds: float) -> float:
    """Answers a second where so many ask again at once, without deadlines."""
    until, answered = time.monotonic() + seconds, 0

    async def caller() -> None:
        nonlocal answered
        while time.monotonic() < until:
            how = await ask(None)
            answered += how == ANSWERED

    await asyncio.gather(*(caller() for _ in range(callers)))
    return answered / seconds


def in_time(ended: Sequence[Ended], within: float) -> int:
    return sum(each.how == ANSWERED and each.seconds <= within for each in ended)


async def _one(ask: Ask, due: float, within: float) -> Ended:
    how = await ask(within)
    return Ended(how, time.monotonic() - due)


def _posted(call: Call, token: str, within: float | None) -> bytes:
    lines = [
        f"POST {call.path} HTTP/1.1",
        "host: box",
        f"content-length: {len(call.body)}",
        f"authorization: Bearer {token}",
        *(f"{name}: {value}" for name, value in call.headers.items()),
        *(() if within is None else (f"x-timeout-us: {int(within * 1e6)}",)),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + call.body


async def _status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(int(length.partition(":")[2]))
    return int(head.split(" ", 2)[1])
