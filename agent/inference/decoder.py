"""Encoded pictures → pixels, by a process of its own: a decoder that a picture fells takes no model with it.

Owned by the agent's event loop. The process is started for the first picture, gives up its rights, and writes pixels
straight into the memory that the engine's worker reads. When it falls, pictures under way fail, and the next starts
another, ever more patiently.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.inference import confinement, lifecycle
from agent.inference.calls import ERRORS
from agent.inference.errors import BadInput
from agent.inference.messages import Decode, Decoded, Failed
from agent.ports import Place
from agent.types import Geometry, ModelInput
from agent.workers.channel import close_all
from agent.workers.endings import ended
from agent.workers.process import WorkerProcess
from agent.workers.restarts import RestartBudget
from protos.errors import LongshoreError, Retryable
from sandbox.report import Confined

log = logging.getLogger(__name__)
MODULE = "agent.inference.decode_worker"
LONGEST_SECONDS = 10.0  # of a picture: one of 64 megapixels takes a second


@dataclass
class _Open:
    """A picture under way."""

    geometry: asyncio.Future[Geometry]
    late: asyncio.TimerHandle


class Decoder:
    """Pictures of one engine."""

    def __init__(
        self,
        name: str,
        on_confined: Callable[[Confined], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._process: WorkerProcess[Decoded | Failed] = WorkerProcess(
            name, MODULE, Decoded | Failed, self._answered, self._exited, on_confined
        )
        self._now = monotonic
        self._budget = RestartBudget()
        self._not_before = 0.0  # monotonic: when it may be started again
        self._starting = asyncio.Lock()
        self._up = False
        self._closed = False
        self._open: dict[int, _Open] = {}
        self._last = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._up else None

    async def ready(self) -> None:
        """Start the process where none runs. Raises Retryable."""
        async with self._starting:
            if self._up:
                return
            if self._closed:
                raise Retryable("this engine was closed; another release took its place")
            left = self._not_before - self._now()
            if left > 0:
                raise Retryable("the decoder of pictures fell and is started again; try again in a moment", left)
            await self._process.start(confinement.DECODER_ROOM)
            self._up = True

    def fit(
        self, content: Place | bytes, wanted: ModelInput, target: Place, deadline: float | None
    ) -> asyncio.Future[Geometry]:
        """Have the picture's pixels, RGB [height, width, 3], written to `target`; how it lies in them.

        `content` is what a BYTES tensor of one element holds; up to INLINE_PICTURE bytes may come as they are. The
        descriptors stay the caller's. The future ends with the process's work, whoever waits for it; it gives BadInput
        for what is no picture, Expired past `deadline` (monotonic), Retryable when the process fell.

        Raises:
            Retryable: the process has just fallen.
        """
        self._last += 1
        inline = content if isinstance(content, bytes) else b""
        source = None if isinstance(content, bytes) else content
        offset, nbytes = (source.offset, source.nbytes) if source else (0, len(inline))
        files = [target.fd, source.fd] if source else [target.fd]
        self._process.send(Decode(self._last, inline, offset, nbytes, target.offset, wanted, deadline), files)
        loop = asyncio.get_running_loop()
        self._open[self._last] = _Open(loop.create_future(), loop.call_later(LONGEST_SECONDS, self._hangs))
        return self._open[self._last].geometry

    async def close(self) -> None:
        """End the process. Safe to call twice."""
        self._closed = True
        async with self._starting:
            await self._process.stop()

    def _hangs(self) -> None:
        log.error("the decoder of pictures hangs; killing it")
        self._process.kill()

    def _answered(self, message: Decoded | Failed, fds: list[int]) -> None:
        close_all(fds)  # none belongs beside its word
        picture = self._open.pop(message.call, None)
        if picture is None:
            return
        picture.late.cancel()
        if isinstance(message, Decoded):
            _end(picture, message.geometry)
        else:
            _end(picture, ERRORS[message.reason](message.message))

    def _exited(self, code: int) -> None:
        self._up = False
        pictures, self._open = self._open, {}
        if not self._closed:
            delay = self._budget.spend(self._now())
            self._not_before = self._now() + (self._budget.longest_delay if delay is None else delay)
            how = ended(code, self._process.exceeded)
            log.warning("the decoder of pictures %s with %d pictures under way", how, len(pictures))
        for picture in pictures.values():
            picture.late.cancel()
            _end(picture, blamed(code, len(pictures), self._process.exceeded))


def blamed(code: int, pictures: int, exceeded: int = 0) -> LongshoreError:
    """The error of pictures that were lost with their process: one that was alone with it when it crashed did it."""
    if pictures == 1 and code in lifecycle.FAULTS:
        return BadInput("the picture makes its decoder crash; encode it anew and send that")
    how = ended(code, exceeded)
    return Retryable(f"the decoder of pictures {how}; it may work in a moment", after_seconds=0.5)


def _end(picture: _Open, how: Geometry | LongshoreError) -> None:
    if picture.geometry.done():
        return
    if isinstance(how, Geometry):
        picture.geometry.set_result(how)
        return
    picture.geometry.set_exception(how)
    picture.geometry.exception()  # it is known, also where nobody waits any more
