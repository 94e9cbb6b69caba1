"""The cloud node's process: the agent's own serving, whose engine answers what was recorded, after a fitted time.

Reads a `Recorded`, says `Serving`, then reads a `Begin` before each window, until its input ends. A picture that was
not recorded is refused: what came is then not what the box encoded.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence

import msgspec
import numpy as np

from agent.inference.datatypes import unpack_bytes
from agent.inference.errors import BadInput
from agent.ports import Tensor
from agent.serving.dataplane import DataPlane
from agent.serving.grpc_server import GrpcServer
from bench.decision_real.children import lines
from bench.decision_real.messages import Begin, Recorded, Serving
from bench.decision_real.pool import digest
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.serving import FakeTable

MODEL, VERSION = "harbour", "1.0.0"


class RecordedEngine(FakeEngine):
    """See the module. It answers any number of requests at once."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__([], RealClock())
        self._recorded = recorded
        self.begin = Begin(0.0, 0.0, 0.0)

    async def infer(self, inputs: Sequence[Tensor], *_: object, **__: object) -> list[Tensor]:
        now, spell = time.monotonic(), self.begin
        slow = spell.extra if spell.since <= now < spell.until else 0.0
        await asyncio.sleep(self._recorded.service + slow)
        (content,) = unpack_bytes(inputs[0].name, inputs[0].data, 1)
        rows = self._recorded.answers.get(digest(content))
        if rows is None:
            raise BadInput("this picture is none of those that were recorded")
        return [
            _tensor("boxes", "FP32", np.array([row[:4] for row in rows], np.float32).reshape(1, -1, 4)),
            _tensor("scores", "FP32", np.ones((1, len(rows)), np.float32)),
            _tensor("classes", "INT64", np.array([[row[4] for row in rows]], np.int64)),
        ]


def _tensor(name: str, datatype: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
    return Tensor(name, datatype, array.shape, array.tobytes())


async def serve() -> None:
    said = lines()
    engine = RecordedEngine(msgspec.json.decode(await anext(said), type=Recorded))
    table = FakeTable()
    table.add(MODEL, VERSION, engine)
    server = GrpcServer(DataPlane(table, VERSION, time.monotonic))
    port = await server.start("127.0.0.1", 0)
    print(msgspec.json.encode(Serving(os.getpid(), port)).decode(), flush=True)
    async for line in said:
        engine.begin = msgspec.json.decode(line, type=Begin)
        print("{}", flush=True)
    await server.stop(0.0)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    asyncio.run(serve())
