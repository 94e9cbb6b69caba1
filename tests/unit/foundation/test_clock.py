"""The fake clock behaves like time, only faster."""

from __future__ import annotations

import asyncio

from agent.ports import Clock
from tests.sim.clock import FakeClock


async def test_a_sleeper_wakes_at_its_own_time(clock: FakeClock) -> None:
    port: Clock = clock
    woken: list[float] = []

    async def every_second() -> None:
        while True:
            await port.sleep(1.0)
            woken.append(port.monotonic())

    task = asyncio.create_task(every_second())
    await clock.advance(3.5)
    task.cancel()
    assert woken == [1001.0, 1002.0, 1003.0]
    assert clock.monotonic() == 1003.5


async def test_setting_the_wall_clock_moves_no_deadline(clock: FakeClock) -> None:
    before = clock.monotonic(), clock.unix()
    clock.jump(-86_400)
    assert (clock.monotonic(), clock.unix()) == (before[0], before[1] - 86_400)


async def test_a_cancelled_sleeper_is_no_longer_counted(clock: FakeClock) -> None:
    task = asyncio.create_task(clock.sleep(5))
    await clock.advance(1)
    assert clock.sleeping == 1
    task.cancel()
    await clock.advance(1)
    assert clock.sleeping == 0
