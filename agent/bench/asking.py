"""What the agent reaches: the same calls through its engine worker, from an event loop like that of a box.

A detection release is asked as cameras ask, with frames in shared memory; another as applications ask, with tensors.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from itertools import chain

import numpy as np

from agent.bench.figures import Slice
from agent.bench.films import Sample
from agent.inference.contract import outputs_of
from agent.inference.lanes import CALM_SECONDS
from agent.ports import Engine, EngineSpec, Tensor
from agent.trial.seers import TAP
from agent.trial.tensors import zeros
from agent.workers.memory import SharedSlots
from protos.errors import Retryable

AHEAD = 2  # calls in flight beyond those that run at once, so that the worker never waits for the next
MIN_SCORE = 0.3
Ask = Callable[[int], Awaitable[object]]  # the number of a call in flight


class Asking:
    """Of a started engine that runs `width` calls at once."""

    def __init__(
        self,
        ask: Ask,
        width: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ask, self._width, self._now, self._sleep = ask, width, now, sleep
        self._met_at = float("-inf")  # when calls last met

    async def alone(self, seconds: float, stop: threading.Event) -> Slice:
        """Once the engine takes a call for alone again; one that runs a call at a time always does."""
        if self._width > 1 and not stop.is_set():
            await self._sleep(max(0.0, self._met_at + CALM_SECONDS - self._now()))
        return await asked(self._ask, 1, seconds, stop)

    async def many(self, seconds: float, stop: threading.Event) -> Slice:
        taken = await asked(self._ask, in_flight(self._width), seconds, stop)
        self._met_at = self._now()
        return taken


def in_flight(width: int) -> int:
    """Calls at full load, where `width` run at once."""
    return width + AHEAD


@asynccontextmanager
async def asking(engine: Engine, spec: EngineSpec, width: int, sample: Sample | None) -> AsyncIterator[Asking]:
    """`sample`: what an image release is shown. Raises Retryable where there is no memory for frames."""
    if spec.task != "detection" or spec.input is None or sample is None:
        given = [_image(sample)] if sample is not None else [zeros(each) for each in engine.signature.inputs]
        outputs = outputs_of(spec.task)
        yield Asking(lambda _: engine.infer(given, outputs), width)
        return
    with closing(_frames(in_flight(width), spec.input.nbytes, sample)) as memory:
        await engine.attach(TAP, memory.fd, memory.slots, spec.input)
        yield Asking(lambda slot: engine.detect_slot(TAP, slot, sample.geometry, MIN_SCORE), width)


def _frames(slots: int, nbytes: int, sample: Sample) -> SharedSlots:
    try:
        memory = SharedSlots.create(slots, nbytes)
    except OSError as error:
        raise Retryable(
            f"there is no memory for {slots} frames ({error.strerror}); end something else first"
        ) from error
    for slot in range(slots):
        memory.view(slot)[:] = sample.pixels.tobytes()
    return memory


def _image(sample: Sample) -> Tensor:
    pixels = sample.pixels[np.newaxis]
    return Tensor("image", "UINT8", pixels.shape, pixels.tobytes())


async def asked(ask: Ask, count: int, seconds: float, stop: threading.Event) -> Slice:
    """So many calls in flight, for so long or until `stop`; once each at least."""
    started = time.perf_counter()
    until = started + seconds
    took = await asyncio.gather(*(_repeated(ask, number, until, stop) for number in range(count)))
    return Slice(tuple(chain.from_iterable(took)), time.perf_counter() - started)


async def _repeated(ask: Ask, number: int, until: float, stop: threading.Event) -> list[float]:
    took = []
    while True:
        started = time.perf_counter()
        await ask(number)
        ended = time.perf_counter()
        took.append(ended - started)
        if ended >= until or stop.is_set():
            return took
