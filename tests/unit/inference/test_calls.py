"""Calls under way: each ends once, and what an answer carries has one owner."""

from __future__ import annotations

import asyncio
import os

import pytest

from agent.inference.calls import Calls, Terms
from agent.inference.messages import Failed, Inferred, Reason
from protos.errors import Fatal, Retryable
from tests.sim.clock import settle


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def test_an_answer_that_comes_as_its_caller_leaves_is_closed() -> None:
    calls = Calls()
    call = calls.open(Terms(1.0))
    waiting = asyncio.create_task(call.answer())
    await settle()
    fd = os.memfd_create("answer")
    call.end(Inferred(call.number, [], 0.0), [fd])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not is_open(fd)


async def test_an_answer_that_comes_too_late_is_closed() -> None:
    calls = Calls()
    call = calls.open(Terms(1.0))
    waiting = asyncio.create_task(call.answer())
    await settle()
    waiting.cancel()
    await settle()
    fd = os.memfd_create("answer")
    call.end(Inferred(call.number, [], 0.0), [fd])
    assert not is_open(fd)


async def test_an_answer_in_time_belongs_to_its_caller() -> None:
    calls = Calls()
    call = calls.open(Terms(1.0))
    fd = os.memfd_create("answer")
    call.end(Inferred(call.number, [], 0.0), [fd])
    _, fds = await call.answer()
    assert fds == [fd]
    assert is_open(fd)
    os.close(fd)


async def test_a_call_tells_its_end_however_it_ends() -> None:
    ended: list[str] = []
    calls = Calls()
    answered = calls.open(Terms(1.0, ended=lambda: ended.append("answered")))
    calls.settle(answered.number)
    answered.end(Failed(answered.number, Reason.BOX, "mend it"), [])
    with pytest.raises(Fatal, match="mend it"):
        await answered.answer()
    left = calls.open(Terms(1.0, ended=lambda: ended.append("failed")))
    left.future.cancel()
    lost = calls.open(Terms(1.0, ended=lambda: ended.append("failed")))
    calls.fail_all("the worker is gone")
    with pytest.raises(Retryable):
        await lost.answer()
    assert ended == ["answered", "failed", "failed"]
