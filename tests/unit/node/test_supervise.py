"""Background tasks: none dies silently, whatever ended it."""

from __future__ import annotations

import asyncio

import pytest

from agent.supervise import Tasks


async def returns() -> None:
    return


async def raises() -> None:
    raise ValueError("a bug")


async def waits_for_what_is_cancelled() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize("work", [returns, raises, waits_for_what_is_cancelled])
async def test_an_eternal_task_that_ends_by_itself_is_named(work: object) -> None:
    tasks = Tasks()
    assert callable(work)
    tasks.eternal("look", work())
    async with asyncio.timeout(5):
        assert await tasks.failure() == "look"


async def test_stopping_is_no_failure() -> None:
    tasks = Tasks()
    tasks.eternal("sync", asyncio.Event().wait())  # type: ignore[arg-type]  # what it gives is not looked at
    waiting = asyncio.ensure_future(tasks.failure())
    assert await tasks.stop() == []
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
