"""Request memory: no two leases overlap, what is given back is whole again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inference.messages import ALIGN, aligned
from agent.inference.regions import SMALLEST_CHUNK, FreeList, Lease, Pool
from agent.workers.memory import SharedSlots
from protos.errors import Retryable


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3000)), max_size=80))
def test_leases_never_overlap_and_everything_comes_back(steps: list[tuple[bool, int]]) -> None:
    free = FreeList(aligned(10_000))
    taken: list[tuple[int, int]] = []
    for take, number in steps:
        if take or not taken:
            offset = free.take(number)
            if offset is not None:
                assert offset % ALIGN == 0
                assert offset + number <= free.nbytes
                taken.append((offset, number))
        else:
            free.give(*taken.pop(number % len(taken)))
        spans = sorted((offset, offset + aligned(max(1, size))) for offset, size in taken)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    for offset, number in taken:
        free.give(offset, number)
    assert free.empty
    assert free.take(free.nbytes) == 0


class Worker:
    """Remembers the chunks it was told of; `deaf` stands for a full or closed channel."""

    def __init__(self) -> None:
        self.chunks: set[int] = set()
        self.deaf = False

    def announce(self, chunk: int, memory: SharedSlots) -> None:
        if self.deaf:
            raise Retryable("deaf")
        assert memory.fd >= 0
        self.chunks.add(chunk)

    def forget(self, chunk: int) -> None:
        if self.deaf:
            raise Retryable("deaf")
        self.chunks.remove(chunk)


@pytest.fixture
def worker() -> Worker:
    return Worker()


def pool_of(worker: Worker, keep: int = SMALLEST_CHUNK) -> Pool:
    return Pool(worker.announce, worker.forget, keep)


def test_small_tensors_share_a_chunk(worker: Worker) -> None:
    pool = pool_of(worker)
    leases = [pool.write(bytes(1000)) for _ in range(10)]
    assert {lease.chunk for lease in leases} == worker.chunks == {0}
    pool.close()


def test_a_chunk_too_many_is_given_back_when_it_is_empty(worker: Worker) -> None:
    pool = pool_of(worker)
    first = pool.write(bytes(SMALLEST_CHUNK))
    second = pool.write(bytes(2 * SMALLEST_CHUNK))
    assert worker.chunks == {0, 1}
    pool.give(second)
    assert worker.chunks == {0}
    pool.give(first)
    assert worker.chunks == {0}
    assert pool.nbytes == SMALLEST_CHUNK
    pool.close()


def test_a_worker_that_cannot_be_told_costs_no_memory(worker: Worker) -> None:
    pool = pool_of(worker, keep=0)
    worker.deaf = True
    with pytest.raises(Retryable):
        pool.write(b"x")
    assert pool.nbytes == 0
    worker.deaf = False
    lease = pool.write(b"x")
    worker.deaf = True
    pool.give(lease)
    assert pool.nbytes == SMALLEST_CHUNK  # it still maps the chunk, so it stays in use
    assert pool.write(b"y") == Lease(lease.chunk, 0, 1)
    pool.close()
