"""The sender over a broker in memory, on a fake clock: what the control plane stores equals what the box accepted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from agent.adapters.outbox_memory import MemoryOutbox
from agent.adapters.telemetry_memory import MemoryHub, MemoryLink
from agent.telemetry.sender import PUBLISH_FAILED_LONGEST, Sender
from agent.telemetry.window import LONGEST_BACKOFF
from protos import telemetry_pb2 as wire
from protos.topics import Channel, topic
from tests.sim.clock import FakeClock, settle
from tests.sim.telemetry import NODE, Plane, draft

LONG = 4 * (LONGEST_BACKOFF + PUBLISH_FAILED_LONGEST)  # seconds in which every back-off ends a few times


class Rig:
    """A box's outbox and sender, the hub, and the control plane behind it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.hub, self.outbox = clock, MemoryHub(), MemoryOutbox()
        self.plane = Plane(lambda ack: self.hub.publish(topic(NODE, Channel.ACK), ack), random.Random(5))
        self.hub.subscribe(topic(NODE, Channel.TELEMETRY), self.plane.handle)
        self.link = MemoryLink(self.hub, NODE)
        self.sender = Sender(self.outbox, clock, random.Random(6).random)
        self.sender.attach(self.link)
        self.task = asyncio.create_task(self.sender.run())

    def put(self, count: int) -> None:
        for number in range(count):
            self.outbox.put(draft(number=number))

    @property
    def stored(self) -> int:
        return len(self.plane.oracle.stored)


@pytest.fixture
async def rig(clock: FakeClock) -> AsyncIterator[Rig]:
    made = Rig(clock)
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


async def test_records_are_sent_at_once_and_deleted_when_acknowledged(rig: Rig) -> None:
    rig.link.start()
    rig.put(250)
    await settle()
    assert rig.stored == 250
    assert rig.outbox.summary().waiting_rows == 0
    assert rig.sender.in_air == 0


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
    told: list[int] = []
    rig.hub.subscribe(
        topic(NODE, Channel.TELEMETRY),
        lambda payload: told.append(wire.TelemetryBatch.FromString(payload).sent_unix_ms),
    )
    rig.plane.away = True
    rig.link.start()
    rig.put(1)
    await settle()
    first = int(rig.clock.unix() * 1000)
    rig.clock.jump(86_400)  # somebody sets the clock
    await rig.clock.advance(LONG)
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
    await settle()
    assert rig.stored == 5
    rig.hub.cut()
    rig.put(5)
    await rig.clock.advance(60)
    assert rig.stored == 5
    rig.hub.restore()
    await settle()
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


async def test_the_first_answer_brings_everything_that_waited_long(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    rig.put(700)
    await rig.clock.advance(LONG)
    rig.plane.away = False
    while not rig.stored and rig.sender.in_air:
        await rig.clock.advance(0.5)
    await settle(500)
    assert rig.stored == 700


async def test_after_a_restart_what_was_in_the_air_goes_out_again(rig: Rig) -> None:
    rig.plane.away = True
    rig.link.start()
    rig.put(150)
    await settle()
    rig.task.cancel()
    await asyncio.gather(rig.task, return_exceptions=True)
    rig.plane.away = False
    rig.outbox.restart()
    again = Sender(rig.outbox, rig.clock, random.Random(7).random)
    again.attach(rig.link)
    rig.task = asyncio.create_task(again.run())
    await settle()
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
    await settle()
    assert rig.stored == 2
