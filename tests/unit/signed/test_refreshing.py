"""When a box looks at signed metadata: at once when there is a hint, else at half of the timestamp's life."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.trust import freshness
from agent.trust.freshness import View
from protos.errors import Retryable
from tests.sim.clock import settle
from tests.sim.signed_box import SignedBox, signed_box
from tests.sim.signed_repository import SignedRepository

HOUR = 3600.0


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[SignedBox]:
    async with signed_box(tmp_path, SignedRepository()) as box:
        task = asyncio.create_task(box.trust.run())
        yield box
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def looks(box: SignedBox) -> int:
    return box.repository.asked.count("timestamp.json")


async def a_moment() -> None:
    await asyncio.sleep(0.005)  # threads take real time


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await a_moment()
    await settle()


async def test_nothing_is_asked_before_a_sync_said_where(box: SignedBox) -> None:
    box.repository.ready = False
    await box.clock.advance(HOUR)
    assert looks(box) == 0
    box.repository.ready = True
    box.trust.hint(1)
    await until(lambda: box.trust.view is not None)
    assert (looks(box), box.woken) == (1, 1)


async def test_the_same_hint_again_asks_for_nothing_and_a_higher_one_at_once(box: SignedBox) -> None:
    box.trust.hint(1)
    await until(lambda: box.trust.view is not None)
    for _ in range(5):
        box.trust.hint(1)
    await settle()
    assert looks(box) == 1
    box.repository.publish()
    box.trust.hint(2)
    await until(lambda: box.floors.now.timestamp == 2)
    assert box.woken == 2


async def test_a_hint_that_promises_too_much_is_followed_once(box: SignedBox) -> None:
    box.trust.hint(1 << 60)
    await until(lambda: box.trust.view is not None and not box.trust.due)
    before = looks(box)
    for _ in range(5):
        box.trust.hint(1 << 60)
    await settle()
    assert looks(box) == before <= 2  # a look that had begun before the hint is none that follows it


async def test_without_hints_it_is_looked_when_a_new_timestamp_was_due(box: SignedBox) -> None:
    box.trust.hint(1)
    await until(lambda: box.trust.view is not None)
    await box.clock.advance(12 * HOUR)
    assert looks(box) == 1
    await box.clock.advance(6 * HOUR)
    await until(lambda: looks(box) == 2)


async def test_a_look_that_failed_is_made_again_ever_more_patiently(box: SignedBox) -> None:
    box.repository.away = Retryable("the simulated network is away")
    box.trust.hint(1)
    for _ in range(240):
        await box.clock.advance(15.0)
        await asyncio.sleep(0.002)
    asked = box.repository.asked.count("2.root.json")
    assert 6 <= asked <= 20
    box.repository.away = None
    box.trust.hint(1)  # a Sync came through
    await until(lambda: box.trust.view is not None)


async def test_what_nobody_thought_of_does_not_end_the_agent(
    box: SignedBox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(box.trust.around.metadata, "refresh", lambda: 1 // 0)
        box.trust.hint(1)
        await until(lambda: "ZeroDivisionError" in caplog.text)
    box.trust.hint(1)
    await until(lambda: box.trust.view is not None)


async def test_who_finds_nothing_wakes_nobody(box: SignedBox) -> None:
    box.trust.hint(1)
    await until(lambda: box.trust.view is not None)
    for _ in range(4):
        box.trust._current = False  # as after a file that could not be had
        await box.refresh()
    assert box.woken == 1
    box.repository.away = Retryable("the simulated network is away")
    with pytest.raises(Retryable):
        await box.refresh()
    box.repository.away = None
    await box.refresh()
    assert box.woken == 2


async def test_a_report_says_what_was_proven_and_after_a_start_what_floors_tell(box: SignedBox) -> None:
    assert box.trust.proven() == View(0, 0, 0.0, {})
    box.trust.hint(1)
    await until(lambda: box.trust.view is not None)
    proven = box.trust.proven()
    assert (proven.root, proven.timestamp, proven.refreshed) == (1, 1, box.clock.unix())
    await box.restarted()
    assert box.trust.proven() == View(1, 1, 0.0, {})


def test_boxes_do_not_come_at_once() -> None:
    view = View(1, 1, 1_000.0, {"timestamp": 1_000.0 + 24 * HOUR})
    soonest, latest = (freshness.look_again(view, spread) - view.refreshed for spread in (0.0, 1.0))
    assert soonest == pytest.approx(12.48 * HOUR)
    assert latest == pytest.approx(17.28 * HOUR)
