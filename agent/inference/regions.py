"""Shared memory for request tensors: the agent writes each once, the engine worker reads it in place.

Memory comes in chunks, each a memfd known to both sides; a chunk is cut by `FreeList`, which is pure. The agent alone
allocates and frees, and frees only when the worker has answered or died. The pool grows chunk by chunk, and gives
chunks back when they are empty and it holds more than it keeps; how much may lie in it, its owner sees to.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from agent.inference.messages import aligned
from agent.ports import Place
from agent.workers.memory import SharedSlots
from protos.errors import Retryable

SMALLEST_CHUNK = 4 << 20  # bytes: a few pictures or one 512x512 float image


@dataclass
class FreeList:
    """First fit over one range of bytes; neighbours that are free are one."""

    nbytes: int
    _free: list[tuple[int, int]] = field(default_factory=list)  # (offset, length), by offset

    def __post_init__(self) -> None:
        self._free = [(0, self.nbytes)]

    def take(self, nbytes: int) -> int | None:
        """Offset of `nbytes` bytes that are now taken, or None."""
        nbytes = aligned(max(1, nbytes))
        for index, (offset, length) in enumerate(self._free):
            if length >= nbytes:
                self._free[index : index + 1] = [(offset + nbytes, length - nbytes)] if length > nbytes else []
                return offset
        return None

    def give(self, offset: int, nbytes: int) -> None:
        nbytes = aligned(max(1, nbytes))
        index = bisect.bisect(self._free, (offset, 0))
        start, end = offset, offset + nbytes
        if index < len(self._free) and self._free[index][0] == end:
            end += self._free.pop(index)[1]
        if index > 0 and sum(self._free[index - 1]) == start:
            index -= 1
            start = self._free.pop(index)[0]
        self._free.insert(index, (start, end - start))

    @property
    def empty(self) -> bool:
        return self._free == [(0, self.nbytes)]


class Lease(msgspec.Struct, frozen=True):
    """`nbytes` at `offset` of chunk `chunk`, until given back."""

    chunk: int
    offset: int
    nbytes: int


class Pool:
    """The chunks of one engine worker's life. `announce` and `forget` tell the worker."""

    def __init__(self, announce: Callable[[int, SharedSlots], None], forget: Callable[[int], None], keep: int) -> None:
        self._announce = announce
        self._forget = forget
        self._keep = keep
        self._next = 0
        self._chunks: dict[int, tuple[SharedSlots, FreeList]] = {}

    @property
    def nbytes(self) -> int:
        return sum(memory.nbytes for memory, _ in self._chunks.values())

    def take(self, nbytes: int) -> Lease:
        """Memory to be written. Raises Retryable when the box has none, or the worker cannot be told of it."""
        return self._take(nbytes) or self._grow(nbytes)

    def place(self, lease: Lease) -> Place:
        """Where it lies, for another process to write; the descriptor stays the pool's."""
        return Place(self._chunks[lease.chunk][0].fd, lease.offset, lease.nbytes)

    def write(self, data: bytes | memoryview) -> Lease:
        """Copy `data` in. Raises Retryable, as `take`."""
        nbytes = len(data)
        lease = self.take(nbytes)
        with self._chunks[lease.chunk][0].view(0) as view:
            view[lease.offset : lease.offset + nbytes] = data
        return lease

    def give(self, lease: Lease) -> None:
        """The lease's bytes are free again. Nothing, once the pool was closed."""
        if lease.chunk not in self._chunks:
            return
        memory, free = self._chunks[lease.chunk]
        free.give(lease.offset, lease.nbytes)
        if free.empty and self.nbytes > self._keep:
            # A worker that cannot be told keeps its mapping, so the chunk stays in use here too.
            with contextlib.suppress(Retryable):
                self._forget(lease.chunk)
                del self._chunks[lease.chunk]
                memory.close()

    def close(self) -> None:
        """All memory goes, leases included: the worker is gone."""
        for memory, _ in self._chunks.values():
            memory.close()
        self._chunks.clear()

    def _take(self, nbytes: int) -> Lease | None:
        for number, (_, free) in self._chunks.items():
            offset = free.take(nbytes)
            if offset is not None:
                return Lease(number, offset, nbytes)
        return None

    def _grow(self, nbytes: int) -> Lease:
        size = max(SMALLEST_CHUNK, aligned(nbytes))
        try:
            memory, free = SharedSlots.create(1, size), FreeList(size)
        except OSError as error:
            raise Retryable(f"the box has no memory for {nbytes} bytes of tensors: {error.strerror}") from error
        try:
            self._announce(self._next, memory)
        except Retryable:
            memory.close()
            raise
        self._chunks[self._next] = (memory, free)
        self._next += 1
        offset = free.take(nbytes)
        assert offset is not None
        return Lease(self._next - 1, offset, nbytes)
