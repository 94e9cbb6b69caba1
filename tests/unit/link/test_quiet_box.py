"""A box that leaves out Syncs which would say nothing new: how rarely it calls in, and what makes it call at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from agent.adapters.state_memory import MemoryState
from agent.link.leave import Leave
from agent.link.loop import Handlers, SyncLoop
from agent.link.schedule import Schedule
from agent.ports import Grant
from protos import fleet_pb2, telemetry_pb2
from protos.errors import Retryable
from tests.sim.clock import FakeClock
from tests.sim.link import SimLink

DAY = 86_400
INTERVAL = 10


class QuietBox:
    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.link = clock, SimLink(clock)
        self.link.desired.sync_interval_seconds = INTERVAL
        self.link.desired.quiet_sync_seconds = DAY
        self.silent_seconds = 280
        self.report = fleet_pb2.SyncRequest(boot_id="boot")
        self.watches: list[float] = []
        self.leave = Leave(clock, lambda: self.loop.changed())  # noqa: PLW0108 - the loop is made after this
        self.loop = SyncLoop(
            self.link,
            MemoryState(),
            clock,
            self._report,
            Handlers(self.leave.give, lambda _: None, self.watches.append),
            Schedule(rng=random.Random(3)),
            lambda: self.silent_seconds,
        )

    def _report(self) -> fleet_pb2.SyncRequest:
        made = fleet_pb2.SyncRequest()
        made.CopyFrom(self.report)
        return made

    async def calls(self, seconds: float) -> int:
        """How often it syncs in that time."""
        before = len(self.link.times)
        await self.clock.advance(seconds)
        return len(self.link.times) - before

    def hint(self, generation: int, watch_until: float = 0.0) -> None:
        message = telemetry_pb2.DesiredHint(generation=generation, watch_until_unix_ms=int(watch_until * 1000))
        self.loop.on_hint(message.SerializeToString())


@pytest.fixture
async def box(clock: FakeClock) -> AsyncIterator[QuietBox]:
    made = QuietBox(clock)
    task = asyncio.create_task(made.loop.run())
    await clock.advance(60)
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_it_calls_in_once_a_day(box: QuietBox) -> None:
    assert await box.calls(0.7 * DAY) == 0
    assert await box.calls(0.6 * DAY) == 1


async def test_a_hint_makes_it_sync_at_once(box: QuietBox) -> None:
    box.link.desired.generation = 2
    box.hint(2)
    assert await box.calls(2) == 2  # the second says that it acts on it
    assert box.link.reports[-1].observed_generation == 2


async def test_news_are_told_within_an_interval_and_then_it_is_quiet_again(box: QuietBox) -> None:
    box.report.problems.add(code="disk-full")
    assert await box.calls(1.2 * INTERVAL) == 1
    assert await box.calls(3_600) == 0


async def test_when_beats_stop_arriving_it_calls_in_as_without_a_broker(box: QuietBox) -> None:
    box.silent_seconds = 0
    assert await box.calls(60 * INTERVAL) in range(50, 76)
    box.silent_seconds = 280
    assert await box.calls(3_600) == 1  # which says that it may be silent


async def test_a_control_plane_that_knows_no_quiet_hears_it_at_each_interval(box: QuietBox) -> None:
    box.link.desired.quiet_sync_seconds = 0
    box.hint(9)
    assert await box.calls(60 * INTERVAL) in range(50, 76)


async def test_a_sync_that_failed_is_followed_by_others_until_one_is_answered(box: QuietBox) -> None:
    box.link.failure = Retryable("away")
    box.hint(2)
    assert await box.calls(60) >= 5
    box.link.failure = None
    await box.clock.advance(2 * INTERVAL)
    assert await box.calls(3_600) == 0


async def test_with_cameras_it_tells_figures_once_a_minute(box: QuietBox) -> None:
    box.report.cameras.add(name="gate", state="running", frames_per_second=5.0)
    await box.clock.advance(2 * INTERVAL)
    assert await box.calls(600) in range(7, 13)


async def test_while_somebody_looks_it_calls_in_at_once_and_every_few_seconds_and_then_no_more(box: QuietBox) -> None:
    until = box.clock.unix() + 60
    box.link.desired.watch_until_unix_ms = int(until * 1000)
    box.hint(1, until)
    assert await box.calls(1) == 1
    assert await box.calls(50) in range(7, 13)
    await box.clock.advance(2 * INTERVAL)
    assert await box.calls(3_600) == 0


async def test_leave_that_ran_out_is_asked_for_by_whoever_needs_it(box: QuietBox) -> None:
    box.leave.give(Grant("https://files", "old", "https://metadata", 1, seconds=900.0))
    assert await box.calls(899) == 0
    assert box.leave.now() is not None
    assert await box.calls(2) == 0
    assert box.leave.now() is None
    assert await box.calls(1) == 1
    assert box.leave.now() is not None


async def test_somebody_who_looks_is_seen_though_the_clock_was_set_since_the_last_sync(box: QuietBox) -> None:
    box.clock.jump(-DAY)
    box.hint(1, box.clock.unix() + DAY + 30)
    assert box.watches[-1] == pytest.approx(box.clock.unix() + 30, abs=0.01)
