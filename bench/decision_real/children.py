"""Processes of this bench: started on cores of their own, spoken to in lines, ended with the block."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import msgspec

from protos.errors import Fatal

T = TypeVar("T")
LONGEST_LINE = 16 << 20
PATIENCE = 60.0  # seconds for an answer


class Child:
    """One of them. What it says on its error stream goes where ours does."""

    def __init__(self, name: str, process: Process) -> None:
        self._name, self._process = name, process

    async def ask(self, message: object, answer: type[T], seconds: float = PATIENCE) -> T:
        """Raises Fatal: it ended, or is silent."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")
        await self._process.stdin.drain()
        return await self.hear(answer, seconds)

    async def hear(self, answer: type[T], seconds: float = PATIENCE) -> T:
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        except TimeoutError:
            raise Fatal(f"the {self._name} of this bench said nothing for {seconds:g} s") from None
        if not line:
            raise Fatal(f"the {self._name} of this bench ended; see above why")
        return msgspec.json.decode(line, type=answer)


@asynccontextmanager
async def child(module: str, cores: Iterable[int], *words: str) -> AsyncIterator[Child]:
    """`python -m module CORES WORDS`. Its input ends with the block, and it soon after."""
    listed = ",".join(map(str, sorted(cores)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, listed, *words, stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE
    )
    try:
        yield Child(module.rpartition(".")[2], process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10.0)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def lines() -> AsyncIterator[bytes]:
    """Of our own input, until it ends."""
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line
