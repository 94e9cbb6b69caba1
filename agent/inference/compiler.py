"""Graphs compiled for this box's GPU before an engine loads them: from the disk, or by a process in a sandbox.

Meanwhile the release before goes on answering, for an update warms its candidate beside it. Rules that hold here:
- One compiles at a time; who asks for the same graph gets what was made.
- What comes of it is a graph like any other to the engine: its worker opens nothing, and a restart loads it in seconds.
- A graph that is not compiled is loaded as it is, and TensorRT then does its work in the engine's worker; whose fault
  it was is found there, by the rules for models. Where the graph does not lend itself, that is remembered; where the
  process fell or took too long, it is tried again at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Protocol

from agent.inference import compiled, compiler_messages, confinement
from agent.inference.compiled import Bound, Kept, Platform
from agent.inference.compiler_messages import Compile, Compiled, FromCompiler, Refused
from agent.inference.patience import LOAD_SECONDS
from agent.ports import EngineSpec
from agent.supervise import in_thread
from agent.workers import memory
from agent.workers.channel import close_all
from agent.workers.endings import ended
from agent.workers.process import WorkerProcess
from protos.errors import Fatal, LongshoreError, Rejected, Retryable
from protos.ids import hex_of
from sandbox.report import Confined

log = logging.getLogger(__name__)
MODULE = "agent.inference.compiler_worker"
NOTHING = b""  # kept for a graph that is not compiled, so that it is not tried at each start
MOST_BYTES = 4 << 30  # of what is compiled; a process that says more is not believed


class Shelf(Protocol):
    """Where compiled graphs are kept (see agent.adapters.compiled_store). Blocks."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, platform: str, content: bytes) -> None:
        """Raises DiskFull, Fatal, Retryable."""
        ...

    def kept(self) -> list[Kept]: ...

    def drop(self, key: str) -> None: ...


class Compiler:
    """For engines of one provider on one platform."""

    def __init__(
        self,
        shelf: Shelf,
        platform: Platform,
        on_confined: Callable[[Confined], None] = lambda _: None,
        budget: int = compiled.BUDGET,
    ) -> None:
        self._shelf, self._platform = shelf, platform
        self._on_confined = on_confined
        self._budget = budget
        self._turn = asyncio.Lock()

    async def model(self, spec: EngineSpec) -> bytes:
        """What an engine of `spec` should load: compiled, or else as it is."""
        async with self._turn:
            bound = await in_thread(compiled.bound, spec, self._platform)
            found = await in_thread(self._shelf.get, bound.key)
            if found is not None:
                return found or spec.model
            try:
                return await self._made(spec, bound)
            except LongshoreError as error:
                log.warning("%s is loaded without being compiled first: %s", _name(spec), error)
                if isinstance(error, Rejected):
                    await self._kept(spec, bound, NOTHING)
                return spec.model

    async def forget(self, spec: EngineSpec) -> None:
        """What was made of it does not load."""
        bound = await in_thread(compiled.bound, spec, self._platform)
        await in_thread(self._shelf.drop, bound.key)

    async def _made(self, spec: EngineSpec, bound: Bound) -> bytes:
        log.info("compiling %s for %s; this takes minutes", _name(spec), ", ".join(self._platform.gpus))
        content = await _Compilation(spec, self._on_confined).run()
        await self._kept(spec, bound, content)
        return content

    async def _kept(self, spec: EngineSpec, bound: Bound, content: bytes) -> None:
        try:
            await in_thread(self._keep, bound.key, content)
        except LongshoreError as error:  # it works all the same, and is compiled again after a restart
            log.warning("what was compiled of %s is not kept: %s", _name(spec), error)

    def _keep(self, key: str, content: bytes) -> None:
        """Room is made first: a box whose disk is nearly full keeps the newest."""
        coming = Kept(key, self._platform.key, len(content), float("inf"))
        for old in compiled.to_drop([*self._shelf.kept(), coming], self._platform.key, key, self._budget):
            self._shelf.drop(old)
        self._shelf.put(key, self._platform.key, content)


async def launched(compiler: Compiler | None, spec: EngineSpec, launch: Callable[[bytes], Awaitable[None]]) -> None:
    """Have `launch` load what was compiled of `spec`; the model as it is where there is none, or it does not load.

    Raises what `launch` raises of the model.
    """
    model = await compiler.model(spec) if compiler else spec.model
    try:
        await launch(model)
    except Rejected as error:
        if compiler is None or model is spec.model:
            raise
        log.warning("what was compiled of %s does not load, and is forgotten: %s", _name(spec), error)
        await compiler.forget(spec)
        await launch(spec.model)


class _Compilation:
    """One run of the process."""

    def __init__(self, spec: EngineSpec, on_confined: Callable[[Confined], None]) -> None:
        self._spec = spec
        self._answer: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._process: WorkerProcess[FromCompiler] = WorkerProcess(
            "compiler", MODULE, compiler_messages.FromCompiler, self._answered, self._exited, on_confined
        )

    async def run(self) -> bytes:
        """Raises Retryable, Fatal. Cancelled, it ends the process."""
        limit = LOAD_SECONDS[self._spec.provider]
        fd = await in_thread(memory.sealed, self._spec.model)
        try:
            await self._process.start(confinement.room(self._spec.provider, len(self._spec.model)))
            try:
                self._process.send(Compile(self._spec.provider, compiled.options(self._spec)), [fd])
                async with asyncio.timeout(limit):
                    answer, nbytes = await self._answer
                return await in_thread(_read, answer, nbytes)
            except TimeoutError:
                raise Retryable(f"compiling took more than {limit:.0f} s") from None
            finally:
                self._process.kill()
                await self._process.stop()
        finally:
            os.close(fd)

    def _answered(self, message: FromCompiler, fds: list[int]) -> None:
        if isinstance(message, Compiled) and len(fds) == 1 and not self._answer.done():
            self._answer.set_result((fds[0], message.nbytes))
            return
        close_all(fds)
        if isinstance(message, Refused) and not self._answer.done():
            self._answer.set_exception((Rejected if message.lasting else Retryable)(message.message))

    def _exited(self, code: int) -> None:
        if not self._answer.done():
            how = ended(code, self._process.exceeded)
            self._answer.set_exception(Retryable(f"the compiler's process {how}"))


def _read(fd: int, nbytes: int) -> bytes:
    """What a process that may be hostile handed over: read and never mapped, so that it cannot pull it away."""
    try:
        with os.fdopen(fd, "rb", buffering=0):
            content = _pread(fd, nbytes) if nbytes <= MOST_BYTES else b""
    except OSError as error:
        raise Retryable(f"what was compiled cannot be read: {error.strerror}") from error
    if len(content) != nbytes or not content:
        raise Fatal("the compiler's process said more than it made")
    return content


def _pread(fd: int, nbytes: int) -> bytes:
    """In pieces: one call reads 2 GiB at most."""
    pieces, at = [], 0
    while at < nbytes and (piece := os.pread(fd, min(nbytes - at, 256 << 20), at)):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


def _name(spec: EngineSpec) -> str:
    return f"release {hex_of(spec.digest)[:12]}"
