"""The contract of agent.telemetry.outbox.Outbox, over memory and SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agent.adapters.outbox_memory import MemoryOutbox
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.telemetry.books import TOO_OLD, Bounds
from agent.telemetry.caps import DEFAULT_CAPS, Caps
from agent.telemetry.classes import RecordClass
from agent.telemetry.outbox import Lane, Outbox
from tests.sim.outboxes import SMALL, adds_up, drain, take
from tests.sim.telemetry import Oracle, draft

CAPS = Caps(shares={RecordClass.DEBUG: 0.1}, ages={RecordClass.DEBUG: -1.0})  # debug: too old when it comes
MakeOutbox = Callable[..., Awaitable[Outbox]]


@pytest.fixture(params=["memory", "sqlite"])
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeOutbox]:
    """An outbox of about so many bytes."""
    async with AsyncExitStack() as stack:

        async def create(max_bytes: int, caps: Caps = DEFAULT_CAPS) -> Outbox:
            if request.param == "memory":
                return MemoryOutbox(Bounds(int(max_bytes * 0.6), caps))
            outbox = SqliteOutbox(tmp_path / "outbox.db", max_bytes, caps, commit_seconds=0.001)
            await outbox.start()
            stack.push_async_callback(outbox.close)
            return outbox

        yield create


async def test_records_come_out_as_they_went_in_in_order(make: MakeOutbox) -> None:
    outbox, oracle = await make(1 << 20), Oracle()
    for number in range(1, 251):
        outbox.put(draft(number=number))
    await outbox.settle()
    await drain(outbox, oracle)
    assert [record.frame.frame_seq for record in oracle.bodies("frame")] == list(range(1, 251))
    assert outbox.summary().waiting_rows == 0
    adds_up(outbox, oracle)


async def test_numbers_start_at_one_and_have_no_holes(make: MakeOutbox) -> None:
    outbox = await make(1 << 20)
    for number in range(5):
        outbox.put(draft(number=number))
    await outbox.settle()
    assert [row.seq for row in (await take(outbox)).rows] == [1, 2, 3, 4, 5]


async def test_an_outbox_with_nothing_new_gives_nothing(make: MakeOutbox) -> None:
    outbox = await make(1 << 20)
    assert (await take(outbox)).rows == ()


async def test_what_is_not_acknowledged_stays(make: MakeOutbox) -> None:
    outbox, oracle = await make(1 << 20), Oracle()
    outbox.put(draft())
    await outbox.settle()
    await drain(outbox, oracle, acknowledge=False)
    assert outbox.summary().waiting_rows == 1


async def test_what_was_never_sent_stays_whoever_says_that_it_is_stored(make: MakeOutbox) -> None:
    """A machine that was cloned while it ran hears what its twin stored under the same names."""
    outbox = await make(1 << 20)
    for number in range(1, 6):
        outbox.put(draft(number=number))
    await outbox.settle()
    taken = await take(outbox, 2)
    outbox.forget(taken.epoch, [(1, 5)])
    await outbox.settle()
    assert outbox.summary().waiting_rows == 3
    assert [row.seq for row in (await take(outbox)).rows] == [3, 4, 5]


async def test_somebody_who_waits_for_rows_is_woken(make: MakeOutbox) -> None:
    outbox, woken = await make(1 << 20), asyncio.Event()
    outbox.on_waiting(woken.set)
    outbox.put(draft())
    await asyncio.wait_for(woken.wait(), 5)
    assert (await take(outbox, 1)).rows


async def test_a_full_outbox_drops_results_declares_them_and_adds_up(make: MakeOutbox) -> None:
    outbox, oracle = await make(SMALL), Oracle()
    for number in range(6_000):
        outbox.put(draft(number=number))
        if number % 50 == 0:
            outbox.put(draft(RecordClass.METRIC, number))
        if number % 500 == 0:
            await outbox.settle()
    await outbox.settle()
    assert outbox.summary().dropped_rows > 0
    await drain(outbox, oracle)
    assert len(oracle.bodies("outcomes")) == 120
    assert oracle.declared()["detection"] + len(oracle.bodies("frame")) == 6_000
    adds_up(outbox, oracle)


async def test_a_narrower_bound_drops_the_oldest_results_at_once_and_adds_up(make: MakeOutbox) -> None:
    outbox, oracle = await make(4 * SMALL), Oracle()
    for number in range(3_000):
        outbox.put(draft(number=number))
    await outbox.settle()
    assert outbox.summary().dropped_rows == 0
    before = outbox.summary().waiting_bytes
    outbox.bound(SMALL)
    await outbox.settle()
    assert outbox.summary().waiting_bytes < before / 2
    await drain(outbox, oracle)
    kept = [record.frame.frame_seq for record in oracle.bodies("frame")]
    assert kept == list(range(3_000 - len(kept), 3_000))
    adds_up(outbox, oracle)


async def test_a_wider_bound_takes_more(make: MakeOutbox) -> None:
    outbox = await make(SMALL)
    outbox.bound(4 * SMALL)
    for number in range(3_000):
        outbox.put(draft(number=number))
    await outbox.settle()
    assert outbox.summary().dropped_rows == 0


async def test_an_unknown_range_can_be_forgotten_without_harm(make: MakeOutbox) -> None:
    outbox = await make(1 << 20)
    outbox.put(draft())
    await outbox.settle()
    (tally,) = outbox.tallies()
    outbox.forget(tally.epoch, [(2, 1 << 40)])
    outbox.forget("another", [(1, 1)])
    await outbox.settle()
    assert outbox.summary().waiting_rows == 1


async def test_who_wants_to_know_is_told_when_a_record_is_durable(make: MakeOutbox) -> None:
    outbox = await make(1 << 20)
    assert await outbox.accepted(draft(number=1), draft(RecordClass.ALARM))
    assert outbox.summary().accepted == 2


async def test_a_batch_is_of_one_epoch_the_greatest_class_first(make: MakeOutbox) -> None:
    outbox = await make(1 << 20)
    order = (RecordClass.DEBUG, RecordClass.METRIC, RecordClass.DETECTION, RecordClass.ALARM)
    for record_class in order:
        outbox.put(draft(record_class))
    await outbox.settle()
    taken = [await outbox.take(Lane.LIVE, 100, 1 << 20) for _ in order]
    assert [each.record_class for each in taken] == [*reversed(order)]
    assert len({each.epoch for each in taken}) == 4
    assert [each.epoch for each in reversed(taken)] == [tally.epoch for tally in outbox.tallies()]


async def test_after_a_break_what_waits_is_historical_and_what_comes_is_live(make: MakeOutbox) -> None:
    outbox = await make(1 << 20)
    await outbox.accepted(*(draft(number=number) for number in range(3)))
    outbox.reconnected()
    await outbox.settle()
    await outbox.accepted(draft(number=9))
    live, old = await outbox.take(Lane.LIVE, 9, 1 << 20), await outbox.take(Lane.HISTORICAL, 9, 1 << 20)
    assert (live.historical, [row.seq for row in live.rows]) == (False, [4])
    assert (old.historical, [row.seq for row in old.rows]) == (True, [1, 2, 3])
    assert live.epoch == old.epoch


async def test_what_was_taken_before_a_break_is_not_taken_again(make: MakeOutbox) -> None:
    outbox = await make(1 << 20)
    await outbox.accepted(draft(), draft())
    assert len((await outbox.take(Lane.LIVE, 9, 1 << 20)).rows) == 2
    outbox.reconnected()
    await outbox.settle()
    assert (await take(outbox)).rows == ()


async def test_a_tally_is_given_until_it_was_told_and_again_when_it_changed(make: MakeOutbox) -> None:
    outbox = await make(1 << 20)
    await outbox.accepted(draft(), draft())
    (tally,) = outbox.tallies()
    assert (tally.word, tally.accepted, tally.waiting, tally.dropped) == ("detection", 2, 2, 0)
    assert tally.oldest_unix_ms > 0
    outbox.told([tally])
    await outbox.settle()
    assert list(outbox.tallies()) == []
    await take(outbox)
    outbox.forget(tally.epoch, [(1, 2)])
    await outbox.settle()
    (later,) = outbox.tallies()
    assert (later.accepted, later.waiting, later.oldest_unix_ms) == (2, 0, 0)


async def test_what_is_too_old_for_its_class_is_dropped_and_declared(
    make: MakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.adapters.outbox_file.EXPIRE_SECONDS", 0.0)
    outbox, oracle = await make(1 << 20, CAPS), Oracle()
    await outbox.accepted(draft(RecordClass.DEBUG), draft(RecordClass.DEBUG), draft())
    await outbox.settle()
    await drain(outbox, oracle)
    (gap,) = oracle.bodies("gap")
    assert (gap.gap.record_class, gap.gap.first_seq, gap.gap.last_seq, gap.gap.reason) == ("debug", 1, 2, TOO_OLD)
    adds_up(outbox, oracle)


async def test_a_class_keeps_to_its_share(make: MakeOutbox) -> None:
    outbox, oracle = await make(SMALL, Caps(shares={RecordClass.ALARM: 0.1}, ages={})), Oracle()
    for number in range(1_000):
        outbox.put(draft(RecordClass.ALARM, number))
        outbox.put(draft(number=number))
    await outbox.settle()
    waiting = outbox.summary().waiting
    assert waiting[RecordClass.ALARM].bytes <= SMALL * 0.6 * 0.1
    assert waiting[RecordClass.DETECTION].rows > waiting[RecordClass.ALARM].rows
    await drain(outbox, oracle)
    adds_up(outbox, oracle)
