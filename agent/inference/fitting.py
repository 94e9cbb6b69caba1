"""Encoded pictures of requests, decoded and fitted to the model's input before their turn comes.

A few at a time, by priority. Each keeps its place here until its request has a turn with the engine, so that no more
pixels than theirs wait in memory. Memory is given back when nothing writes to it any more, whoever has left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.inference.decoder import Decoder
from agent.inference.messages import INLINE_PICTURE
from agent.inference.regions import Lease, Pool
from agent.inference.turns import Turns
from agent.ports import Place, Tensor
from agent.types import Geometry, ModelInput
from protos.errors import Retryable

AT_ONCE = 6


@dataclass(frozen=True)
class Pixels:
    """A picture as the model wants it, in memory of `pool`; `seconds` is what it took."""

    pool: Pool
    lease: Lease
    geometry: Geometry
    seconds: float

    def check(self, pool: Pool) -> None:
        """Raises Retryable where the worker fell since: its successor has other memory."""
        if pool is not self.pool:
            raise Retryable("the engine worker fell; it may work in a moment", after_seconds=0.5)

    def give(self) -> None:
        self.pool.give(self.lease)


class Fitting:
    """The pictures of one engine."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._turns = Turns(AT_ONCE)

    @property
    def pid(self) -> int | None:
        """Of the decoder; None while there is none."""
        return self._decoder.pid

    @asynccontextmanager
    async def pixels(
        self, picture: Tensor, wanted: ModelInput, pool: Callable[[], Pool], deadline: float | None, priority: int
    ) -> AsyncIterator[Pixels]:
        """For a BYTES tensor of one element. Who ends the block without an error gives the pixels back.

        Raises:
            BadInput, Expired: see Decoder.fit.
            Retryable: no memory, or the decoder fell.
        """
        await self._turns.take(priority)
        try:
            pixels = await self._fitted(picture, wanted, pool, deadline)
            try:
                yield pixels
            except BaseException:
                pixels.give()
                raise
        finally:
            self._turns.give()

    async def ready(self) -> None:
        """Have the decoder there. Raises Retryable."""
        await self._decoder.ready()

    async def close(self) -> None:
        await self._decoder.close()

    async def _fitted(
        self, picture: Tensor, wanted: ModelInput, pool: Callable[[], Pool], deadline: float | None
    ) -> Pixels:
        await self.ready()
        began, memory, leases = time.monotonic(), pool(), list[Lease]()

        def give() -> None:
            for lease in leases:
                memory.give(lease)

        try:
            leases.append(memory.take(wanted.nbytes))
            content = picture.place or _content(picture, memory, leases)
            done = self._decoder.fit(content, wanted, memory.place(leases[0]), deadline)
        except BaseException:
            give()
            raise
        try:
            geometry = await asyncio.shield(done)
        except BaseException:
            done.add_done_callback(lambda _: give())  # until then it may be written
            raise
        for lease in leases[1:]:
            memory.give(lease)
        return Pixels(memory, leases[0], geometry, time.monotonic() - began)


def _content(picture: Tensor, memory: Pool, leases: list[Lease]) -> bytes | Place:
    """Small ones go along with the message."""
    if len(picture.data) <= INLINE_PICTURE:
        return bytes(picture.data)
    leases.append(memory.write(picture.data))
    return memory.place(leases[-1])
