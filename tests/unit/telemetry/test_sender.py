"""The sender over a broker in memory, on a fake clock: what the control plane stores equals what the box accepted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from agent.adapters.outbox_memory import MemoryOutbox
from agent.adapters.telemetry_memory import MemoryHub, MemoryLink
from agent.telemetry.backfill import LEAST, SLOW, SPREAD_SECONDS, SPREAD_SHARE
from agent.telemetry.classes import RecordClass
from agent.telemetry.sender import (
    BUSY_GATHER_SECONDS,
    GATHER_SECONDS,
    LOOK_SECONDS,
    PUBLISH_FAILED_LONGEST,
    REST_SECONDS,
    Sender,
)
from agent.telemetry.settings import Form, Limits, SenderSettings
from agent.telemetry.silence import ALARM_SECONDS, CODE, NO_ACK, NOBODY
from agent.telemetry.window import LONGEST_BACKOFF, MOST_IN_AIR, PATIENT
from protos import telemetry_pb2 as wire
from protos.topics import Channel, topic
from tests.sim.clock import FakeClock, settle
from tests.sim.payloads import read
from tests.sim.telemetry import NODE, Plane, draft

LONG = 4 * (LONGEST_BACKOFF + PUBLISH_FAILED_LONGEST)  # seconds in which every back-off ends a few times


class Rig:
    """A box's outbox and sender, the hub, and the control plane behind it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.hub, self.outbox = clock, MemoryHub(), MemoryOutbox()
        self.plane = Plane(self.say, random.Random(5))
        self.heard: list[wire.TelemetryBatch] = []
        self.hub.subscribe(topic(NODE, Channel.TELEMETRY), lambda payload: self.heard.append(read(payload)))
        self.hub.subscribe(topic(NODE, Channel.TELEMETRY), self.plane.handle)
        self.begin(SenderSettings())

    def begin(self, settings: SenderSettings) -> None:
        self.link = MemoryLink(self.hub, NODE)
        self.sender = Sender(self.outbox, self.clock, random.Random(6).random, settings)
        self.sender.attach(self.link)
        self.task = asyncio.create_task(self.sender.run())

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def restart(self, settings: SenderSettings | None = None) -> None:
        """A new process, connected if the one before it was."""
        connected = self.link.connected
        await self.link.close()
        await self.end()
        self.outbox.restart()
        self.begin(settings or SenderSettings())
        if connected:
            self.link.start()

    def put(self, count: int, record_class: RecordClass = RecordClass.DETECTION) -> None:
        for number in range(count):
            self.outbox.put(draft(record_class, number))

    def say(self, ack: bytes) -> None:
        self.hub.publish(topic(NODE, Channel.ACK), ack)

    @property
    def stored(self) -> int:
        return len(self.plane.oracle.stored)


@pytest.fixture
async def rig(clock: FakeClock) -> AsyncIterator[Rig]:
    made = Rig(clock)
    yield made
    await made.end()


async def waiting_in_the_air(rig: Rig, count: int) -> str:
    """So many records sent and not acknowledged; their epoch."""
    rig.plane.away = True
    rig.link.start()
    await settle()
    rig.put(count)
    await settle()
    return rig.heard[-1].epoch


async def test_records_are_sent_at_once_and_deleted_when_acknowledged(rig: Rig) -> None:
    rig.link.start()
    rig.put(250)
    await settle()
    assert rig.stored == 250
    assert rig.outbox.summary().waiting_rows == 0
    assert rig.sender.in_air == 0


async def test_the_first_record_goes_at_once_and_those_that_follow_closely_share_batches(rig: Rig) -> None:
    rig.link.start()
    await settle()
    rig.put(1)
    await settle()
    assert rig.stored == 1
    for _ in range(50):  # a second of 50 a second
        rig.put(1)
        await rig.clock.advance(0.02)
    await rig.clock.advance(GATHER_SECONDS)
    assert rig.stored == 51
    assert len(rig.heard) <= 1 + 1 / GATHER_SECONDS + 1


async def test_what_the_broker_took_stays_until_the_control_plane_says_stored(rig: Rig) -> None:
    """The rule that a PUBACK is not durability; deleting after `publish` makes this red."""
    rig.plane.away = True
    rig.link.start()
    rig.put(3)
    await settle()
    assert rig.sender.counts.published == 1
    assert rig.outbox.summary().waiting_rows == 3
    rig.plane.away = False
    await rig.clock.advance(LONG)
    assert (rig.stored, rig.outbox.summary().waiting_rows) == (3, 0)


async def test_each_sending_says_when_it_is_by_the_boxs_clock(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    rig.put(1)
    await settle()
    first = int(rig.clock.unix() * 1000)
    rig.clock.jump(86_400)  # somebody sets the clock
    await rig.clock.advance(LONG)
    told = [batch.sent_unix_ms for batch in rig.heard]
    assert told[0] == first
    assert len(told) > 1
    assert all(first + 86_400_000 < sent <= rig.clock.unix() * 1000 for sent in told[1:])


async def test_lost_acknowledgements_cost_repeats_and_nothing_else(rig: Rig) -> None:
    rig.plane.ack_loss = 0.3
    rig.link.start()
    for _ in range(20):
        rig.put(100)
        await rig.clock.advance(1.0)
    await rig.clock.advance(LONG)
    assert (rig.stored, rig.outbox.summary().waiting_rows) == (2000, 0)
    assert rig.sender.counts.repeated > 0


async def test_a_broker_that_refuses_is_asked_again_with_growing_pauses(rig: Rig) -> None:
    rig.hub.deny = "Not authorized"
    rig.link.start()
    rig.put(1)
    await rig.clock.advance(120)
    assert 5 < rig.sender.counts.refused < 25
    assert rig.stored == 0
    rig.hub.deny = ""
    await rig.clock.advance(LONG)
    assert rig.stored == 1


async def test_nothing_is_sent_without_a_broker_and_everything_once_it_is_back(rig: Rig) -> None:
    rig.put(5)
    await rig.clock.advance(60)
    assert rig.sender.counts.published == 0
    rig.link.start()
    await rig.clock.advance(SPREAD_SECONDS)
    assert rig.stored == 5
    rig.hub.cut()
    rig.put(5)
    await rig.clock.advance(60)
    assert rig.stored == 5
    rig.hub.restore()
    await rig.clock.advance(SPREAD_SECONDS)
    assert rig.stored == 10


async def test_the_air_is_bounded_while_the_control_plane_is_silent(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    rig.put(5_000)
    await rig.clock.advance(LONG)
    assert rig.sender.in_air <= 800
    rig.plane.away = False
    await rig.clock.advance(LONGEST_BACKOFF * 1.5)
    await settle(2_000)
    assert rig.stored == 5_000


async def test_the_air_is_bounded_however_often_the_way_opens_without_an_answer(rig: Rig) -> None:
    """Each connection makes what is in the air historical; what came to it each time would pile up in memory."""
    rig.plane.away = True
    rig.link.start()
    for _ in range(30):
        rig.put(500)
        await rig.clock.advance(5)
        rig.hub.cut()
        rig.hub.restore()
        await settle()
    assert rig.sender.in_air <= MOST_IN_AIR + 100
    rig.plane.away = False
    await rig.clock.advance(LONG)
    assert rig.stored == 30 * 500


async def test_the_first_answer_brings_everything_that_waited_long(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    rig.put(700)
    await rig.clock.advance(LONG)
    rig.plane.away = False
    while not rig.stored and rig.sender.in_air:
        await rig.clock.advance(0.5)
    await rig.clock.advance(SPREAD_SECONDS + 2 * 700 / Limits().records_per_second)
    assert rig.stored == 700


async def test_after_a_restart_what_was_in_the_air_goes_out_again(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    rig.put(150)
    await settle()
    rig.plane.away = False
    await rig.restart()
    await rig.clock.advance(SPREAD_SECONDS + 1)
    assert (rig.stored, rig.outbox.summary().waiting_rows) == (150, 0)


async def test_acknowledgements_of_another_epoch_or_of_garbage_delete_nothing(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    rig.put(2)
    await settle()
    foreign = wire.TelemetryAck(epoch="other", stored=[wire.SeqRange(first=1, last=9)])
    for payload in (foreign.SerializeToString(), b"\xff\xff"):
        rig.hub.publish(topic(NODE, Channel.ACK), payload)
    await settle()
    assert rig.outbox.summary().waiting_rows == 2


async def test_the_way_out_may_change(rig: Rig) -> None:
    rig.link.start()
    rig.put(1)
    await settle()
    rig.sender.attach(None)
    rig.put(1)
    await rig.clock.advance(60)
    assert rig.stored == 1
    other = MemoryLink(rig.hub, NODE)
    other.start()
    rig.sender.attach(other)
    await rig.clock.advance(SPREAD_SECONDS)
    assert rig.stored == 2


# ---- after a dark time ----


async def test_after_a_dark_time_what_is_new_goes_first_and_what_waited_is_marked(rig: Rig) -> None:
    rig.put(1_000)
    rig.link.start()
    await settle()
    rig.put(10)
    await settle()
    assert sum(len(batch.records) for batch in rig.heard) == 10
    assert not any(batch.historical for batch in rig.heard)
    await rig.clock.advance(SPREAD_SECONDS + 3)
    assert sum(len(batch.records) for batch in rig.heard if batch.historical) == 1_000
    assert rig.outbox.summary().waiting_rows == 0


@pytest.mark.parametrize("limits", [Limits(200, 0), Limits(0, 600)], ids=["records", "bytes"])
async def test_a_backlog_goes_out_no_faster_than_the_limits_say(rig: Rig, limits: Limits) -> None:
    await rig.restart(SenderSettings(backfill=limits))
    sizes: list[int] = []
    rig.hub.subscribe(topic(NODE, Channel.TELEMETRY), lambda payload: sizes.append(len(payload)))
    rig.put(2_000)
    rig.link.start()
    began = rig.clock.monotonic()
    while rig.outbox.summary().waiting_rows:
        await rig.clock.advance(0.5)
    seconds = rig.clock.monotonic() - began
    per_second = limits.records_per_second or limits.bytes_per_second
    amount = 2_000 if limits.records_per_second else sum(sizes)
    assert 0.9 * amount / per_second <= seconds <= amount / (per_second * (1 - SPREAD_SHARE)) + SPREAD_SECONDS + 1


async def test_nothing_limits_a_backlog_where_the_limits_are_0(rig: Rig) -> None:
    await rig.restart(SenderSettings(backfill=Limits(0, 0)))
    rig.put(5_000)
    rig.link.start()
    await rig.clock.advance(SPREAD_SECONDS)
    await settle(2_000)
    assert rig.stored == 5_000


async def test_while_acknowledgements_are_slow_the_backlog_slows_down_and_what_is_new_does_not_wait(rig: Rig) -> None:
    rig.plane.away = True  # we answer ourselves, late
    late: list[asyncio.Task[None]] = []

    async def answer(payload: bytes) -> None:
        await rig.clock.sleep(SLOW + 1)
        rig.say(rig.plane.oracle.take(payload).SerializeToString())

    rig.hub.subscribe(topic(NODE, Channel.TELEMETRY), lambda payload: late.append(asyncio.create_task(answer(payload))))
    rig.put(3_000)
    rig.link.start()
    for second in range(60):
        await rig.clock.advance(1.0)
        rig.put(1, RecordClass.ALARM)
        await settle()
        there = sum(len(batch.records) for batch in rig.heard if not batch.historical)
        assert second + 1 - there <= BUSY_GATHER_SECONDS, "what is new waits for what gathers, and for nothing else"
    began = rig.clock.unix() * 1000 - 30_000
    late_ones = [batch for batch in rig.heard if batch.historical and batch.sent_unix_ms > began]
    assert sum(len(batch.records) for batch in late_ones) <= 30 / SLOW * LEAST, "of what waited ever less is in the air"


async def test_what_is_new_shares_batches_for_longer_while_a_backlog_is_in_the_air(rig: Rig) -> None:
    rig.plane.away = True
    rig.put(3_000)
    rig.link.start()
    await rig.clock.advance(SPREAD_SECONDS)
    for _ in range(3):
        rig.put(1, RecordClass.ALARM)
        await rig.clock.advance(2 * GATHER_SECONDS)
    await rig.clock.advance(BUSY_GATHER_SECONDS)
    told = {tuple(each.seq for each in batch.records) for batch in rig.heard if not batch.historical}
    assert sorted(map(len, told)) == [1, 2]


async def test_what_piled_up_while_nobody_answered_is_historical_too(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    rig.put(3_000)
    await rig.clock.advance(60)
    rig.plane.away = False
    rig.heard.clear()
    while not rig.stored:
        await rig.clock.advance(0.5)
    rig.put(1, RecordClass.ALARM)
    await rig.clock.advance(BUSY_GATHER_SECONDS)
    assert any(len(batch.records) == 1 and not batch.historical for batch in rig.heard)
    await rig.clock.advance(60)
    assert rig.stored == 3_001
    assert sum(len(batch.records) for batch in rig.heard if batch.historical) >= 2_000


async def test_what_was_in_the_air_when_the_way_broke_is_historical_and_holds_up_nothing_new(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    await settle()
    rig.put(2_000)
    await settle(200)
    rig.hub.cut()
    rig.heard.clear()
    rig.hub.restore()
    rig.put(1, RecordClass.ALARM)
    await rig.clock.advance(SPREAD_SECONDS + GATHER_SECONDS)
    assert [len(batch.records) for batch in rig.heard if not batch.historical] == [1]
    assert any(batch.historical for batch in rig.heard)


# ---- the books are told ----


async def test_what_only_a_repetition_told_of_the_books_is_told_again(rig: Rig) -> None:
    """The answer may be one to the first sending, and the repetition lost."""
    epoch = await waiting_in_the_air(rig, 1)
    for _ in range(2):
        await rig.clock.advance(GATHER_SECONDS)
        rig.put(1)
        await settle()
    assert len(rig.heard) == 3

    def stored(first: int, last: int) -> None:
        told = wire.TelemetryAck(epoch=epoch, stored=[wire.SeqRange(first=first, last=last)])
        rig.say(told.SerializeToString())

    stored(2, 3)
    while len(rig.heard) < 4:
        await rig.clock.advance(0.5)
    assert [tally.waiting for batch in rig.heard for tally in batch.tallies] == [0, 1, 2, 0]
    stored(1, 1)
    rig.plane.away = False
    await rig.clock.advance(REST_SECONDS + LOOK_SECONDS)
    assert rig.plane.oracle.tallies[epoch].waiting == 0


async def test_who_sends_one_batch_at_a_time_needs_no_other_to_say_that_nothing_waits(rig: Rig) -> None:
    rig.link.start()
    await settle()
    for _ in range(10):
        rig.put(1)
        await rig.clock.advance(REST_SECONDS + 1)
    assert len(rig.heard) == 10
    told = [(each.tallies[0].accepted, each.tallies[0].waiting, len(each.tallies)) for each in rig.heard]
    assert told == [(number, 0, 1) for number in range(1, 11)]


async def test_at_rest_the_last_tally_says_that_nothing_waits_and_is_told_once(rig: Rig) -> None:
    await waiting_in_the_air(rig, 250)
    rig.plane.away = False
    for batch in list(rig.heard):
        rig.say(rig.plane.oracle.take(batch.SerializeToString()).SerializeToString())
    assert (rig.stored, rig.heard[-1].tallies[0].waiting) == (250, 200)
    await rig.clock.advance(60)
    last = rig.heard[-1]
    assert (len(rig.heard), len(last.records)) == (4, 0)
    assert [(each.record_class, each.accepted, each.waiting) for each in last.tallies] == [("detection", 250, 0)]
    many = len(rig.heard)
    await rig.clock.advance(3_600)
    assert len(rig.heard) == many


async def test_a_last_tally_that_nobody_answers_is_given_up_after_a_few_tries(rig: Rig) -> None:
    await waiting_in_the_air(rig, 250)
    for batch in list(rig.heard):
        rig.say(rig.plane.oracle.take(batch.SerializeToString()).SerializeToString())
    rig.heard.clear()
    await rig.clock.advance(3_600)
    assert 1 <= len(rig.heard) <= PATIENT
    assert not any(batch.records for batch in rig.heard)
    assert rig.sender.problems() == []


async def test_batches_name_the_start_of_the_agent_and_the_one_before_it(rig: Rig) -> None:
    rig.link.start()
    await settle()
    rig.put(1)
    await settle()
    await rig.restart()
    rig.put(1)
    await settle()
    first, second = rig.heard[0], rig.heard[-1]
    assert first.start
    assert (first.before, second.before) == ("", first.start)
    assert second.start not in ("", first.start)
    assert first.epoch != second.epoch


# ---- acknowledgements ----


async def test_a_watermark_and_ranges_are_both_understood(rig: Rig) -> None:
    epoch = await waiting_in_the_air(rig, 10)
    rig.say(wire.TelemetryAck(epoch=epoch, up_to=4).SerializeToString())
    assert rig.outbox.summary().waiting_rows == 6
    assert rig.sender.in_air == 6
    rig.say(wire.TelemetryAck(epoch=epoch, stored=[wire.SeqRange(first=9, last=9)]).SerializeToString())
    assert (rig.outbox.summary().waiting_rows, rig.sender.in_air) == (5, 5)
    both = wire.TelemetryAck(epoch=epoch, up_to=7, stored=[wire.SeqRange(first=10, last=10)])
    rig.say(both.SerializeToString())
    assert (rig.outbox.summary().waiting_rows, rig.sender.in_air) == (1, 1)


async def test_an_acknowledgement_of_an_earlier_start_that_still_waits_is_honoured(rig: Rig) -> None:
    epoch = await waiting_in_the_air(rig, 10)
    await rig.restart()
    rig.say(wire.TelemetryAck(epoch=epoch, up_to=10).SerializeToString())
    assert rig.outbox.summary().waiting_rows == 0
    rig.heard.clear()
    await rig.clock.advance(60)
    assert not any(batch.records for batch in rig.heard)


async def test_nothing_is_compressed_until_a_watermark_says_that_it_can_be_read(rig: Rig) -> None:
    """A control plane of 0.1 knows neither. After a reconnection it may be another."""
    first: list[bytes] = []
    rig.hub.subscribe(topic(NODE, Channel.TELEMETRY), lambda payload: first.append(payload[:1]))
    epoch = await waiting_in_the_air(rig, 10)
    rig.say(wire.TelemetryAck(epoch=epoch, up_to=10).SerializeToString())
    rig.put(10)
    await rig.clock.advance(GATHER_SECONDS)
    assert first == [b"\x0a", b"\x78"]
    rig.hub.cut()
    rig.hub.restore()
    await rig.clock.advance(SPREAD_SECONDS)
    assert first[2:] == [b"\x0a"]


# ---- refusals and silence ----


async def test_the_alarm_begins_by_itself_although_the_next_try_is_far_off(rig: Rig) -> None:
    alarms: list[float] = []
    rig.sender.on_alarm(lambda: alarms.append(rig.sender.silent_seconds))
    rig.plane.away = True
    rig.link.start()
    await settle()
    rig.put(1)
    await rig.clock.advance(ALARM_SECONDS)
    assert alarms == [ALARM_SECONDS]


async def test_two_minutes_without_an_acknowledgement_are_a_problem_until_the_next(rig: Rig) -> None:
    alarms: list[bool] = []
    rig.sender.on_alarm(lambda: alarms.append(bool(rig.sender.problems())))
    rig.plane.away = True
    rig.link.start()
    rig.put(3)
    await rig.clock.advance(ALARM_SECONDS - 1)
    assert (rig.sender.problems(), alarms) == ([], [])
    await rig.clock.advance(SPREAD_SECONDS + 1)
    (problem,) = rig.sender.problems()
    assert (problem.code, alarms) == (CODE, [True])
    assert "no telemetry of this box is acknowledged" in problem.message
    assert rig.sender.counts.refusals[NO_ACK] > 3
    assert rig.sender.silent_seconds >= ALARM_SECONDS
    assert rig.outbox.summary().waiting_rows == 3
    rig.plane.away = False
    await rig.clock.advance(LONGEST_BACKOFF * 1.5)
    assert (rig.sender.problems(), alarms, rig.sender.silent_seconds) == ([], [True, False], 0.0)


@pytest.mark.parametrize(
    ("deny", "says"), [("Not authorized", "see the broker's rules"), (NOBODY, "nobody takes telemetry")]
)
async def test_refusals_are_counted_by_reason_and_the_alarm_says_what_to_see_to(rig: Rig, deny: str, says: str) -> None:
    rig.hub.deny = deny
    rig.link.start()
    rig.put(3)
    await rig.clock.advance(ALARM_SECONDS + SPREAD_SECONDS)
    assert says in rig.sender.problems()[0].message
    assert rig.sender.counts.refusals == {deny: rig.sender.counts.refused}
    assert (rig.outbox.summary().waiting_rows, rig.sender.counts.published) == (3, 0)
    rig.hub.deny = ""
    await rig.clock.advance(LONG)
    assert (rig.sender.problems(), rig.stored) == ([], 3)


async def test_there_is_no_alarm_while_the_way_is_closed_or_nothing_waits(rig: Rig) -> None:
    rig.put(3)
    await rig.clock.advance(2 * ALARM_SECONDS)
    assert rig.sender.problems() == []
    rig.plane.away = True
    rig.link.start()
    await rig.clock.advance(ALARM_SECONDS - 10)
    rig.hub.cut()
    await rig.clock.advance(2 * ALARM_SECONDS)
    assert rig.sender.problems() == []
    rig.plane.away = False
    rig.hub.restore()
    await rig.clock.advance(LONG)
    assert rig.stored == 3
    rig.plane.away = True
    await rig.clock.advance(2 * ALARM_SECONDS)
    assert rig.sender.problems() == []


async def test_payloads_may_be_json_and_say_the_same(rig: Rig) -> None:
    await rig.restart(SenderSettings(form=Form.JSON))
    rig.link.start()
    await settle()
    rig.put(3)
    await rig.clock.until(lambda: rig.stored == 3, step=0)
    assert [record.frame.frame_seq for record in rig.plane.oracle.bodies("frame")] == [0, 1, 2]
    assert (rig.heard[-1].start, rig.heard[-1].tallies[0].accepted) == (rig.outbox.summary().start, 3)


async def test_what_a_failing_disk_refused_is_declared_although_nothing_else_comes(rig: Rig) -> None:
    rig.link.start()
    await settle()
    rig.outbox.trouble = "the disk is full"
    rig.put(3)
    await rig.clock.advance(60)
    rig.outbox.trouble = ""
    await rig.outbox.settle()
    await rig.clock.advance(LOOK_SECONDS)
    assert rig.plane.oracle.declared() == {"detection": 3}


async def test_what_could_not_be_read_while_the_disk_failed_goes_out_once_it_can(rig: Rig) -> None:
    rig.put(3)
    rig.outbox.trouble = "the disk is gone"
    rig.link.start()
    await rig.clock.advance(60)
    rig.outbox.trouble = ""
    await rig.clock.advance(LOOK_SECONDS)
    assert rig.stored == 3
