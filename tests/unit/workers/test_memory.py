"""Shared memory between processes: its bounds, and no descriptor left when there is none to be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.workers import memory
from agent.workers.memory import SharedSlots

TOO_MUCH = 1 << 62  # bytes


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_memory_that_cannot_be_had_leaves_no_descriptor() -> None:
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises((OSError, OverflowError)):
            SharedSlots.create(1, TOO_MUCH)
    assert len(open_descriptors()) == len(before)


def test_what_one_side_writes_the_other_reads() -> None:
    ours = SharedSlots.create(2, 5)
    theirs = SharedSlots.attach(os.dup(ours.fd), 2, 5)
    with ours.view(1) as view:
        view[:] = b"quays"
    assert [bytes(theirs.view(slot)) for slot in (0, 1)] == [bytes(5), b"quays"]
    for side in (ours, theirs):
        side.close()
        side.close()


def test_what_is_sealed_is_changed_by_nobody() -> None:
    fd = memory.sealable()
    memory.seal(fd, b"model")
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(fd, b"other", 0)
    assert os.pread(fd, 9, 0) == b"model"
    os.close(fd)


def test_memory_holds_whole_pages_only() -> None:
    slots = SharedSlots.create(2, memory.PAGE + 1)
    assert memory.holds(slots.fd, 2, memory.PAGE + 1)
    assert not memory.holds(slots.fd, 3, memory.PAGE + 1)
    assert not memory.holds(slots.fd, 0, 1)
    slots.close()
