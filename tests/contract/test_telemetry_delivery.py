"""Sender and link over Mosquitto (MQTT 5) and the embedded broker (3.1.1): whatever a broker says, it deletes nothing.

The broker is real, the sender's clock is not: two minutes pass when we say so.
"""

from __future__ import annotations

import asyncio
import queue
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters import mqtt
from agent.adapters.mqtt import MqttLink
from agent.adapters.outbox_memory import MemoryOutbox
from agent.telemetry.sender import Sender
from agent.telemetry.silence import ALARM_SECONDS, CODE, NO_ACK, NOBODY
from agent.telemetry.window import LONGEST_BACKOFF
from protos.topics import Channel, topic
from tests.servers.brokers import ControlPlaneEar, TlsBroker
from tests.sim.clock import FakeClock
from tests.sim.telemetry import NODE, Oracle, draft
from tests.sim.waiting import until

KINDS = [pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"]
RECORDS = 5
SECONDS = 15.0


class Box:
    """Outbox, sender and link of a box at a real broker, and what a control plane at that broker stores."""

    def __init__(self, broker: TlsBroker, clock: FakeClock) -> None:
        self.broker, self.clock, self.oracle = broker, clock, Oracle()
        self.outbox = MemoryOutbox()
        self.link = MqttLink(broker.settings(NODE), chance=lambda: 0.0)
        self.sender = Sender(self.outbox, clock, random.Random(1).random)
        self.sender.attach(self.link)
        self.link.start()
        self._task = asyncio.create_task(self.sender.run())

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.link.close()

    async def connected(self) -> None:
        await until(lambda: self.link.connected)

    async def put(self) -> None:
        for number in range(RECORDS):
            self.outbox.put(draft(number=number))
        await until(lambda: self.sender.in_air == RECORDS)

    async def pass_time(self, seconds: float) -> None:
        """In steps in which a broker has the time to answer."""
        for _ in range(int(seconds / 5)):
            await self.clock.advance(5.0)
            await asyncio.sleep(0.05)

    async def alarm(self) -> str:
        """Two minutes without an acknowledgement; the problem's sentence."""
        assert self.sender.problems() == []
        await self.pass_time(ALARM_SECONDS + 10)
        (problem,) = self.sender.problems()
        assert problem.code == CODE
        assert self.outbox.summary().waiting_rows == RECORDS, "nothing was deleted"
        return problem.message

    async def drained(self, ear: ControlPlaneEar) -> None:
        """A control plane listens now: everything is stored, and the alarm ends."""
        async with asyncio.timeout(SECONDS):
            while self.outbox.summary().waiting_rows:
                await self.clock.advance(LONGEST_BACKOFF)
                await asyncio.to_thread(self._store, ear)
                await asyncio.sleep(0.05)
        assert len(self.oracle.stored) == RECORDS
        assert self.sender.problems() == []

    def _store(self, ear: ControlPlaneEar) -> None:
        try:
            where, payload = ear.heard.get(timeout=0.2)
        except queue.Empty:
            return
        if where == topic(NODE, Channel.TELEMETRY):
            ear.publish(topic(NODE, Channel.ACK), self.oracle.take(payload).SerializeToString())


@pytest.fixture(params=KINDS)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TlsBroker]:
    made = TlsBroker(request.param, tmp_path)
    yield made
    await asyncio.to_thread(made.kill)


@pytest.fixture
async def box(broker: TlsBroker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Box]:
    monkeypatch.setattr(mqtt, "PUBLISH_SECONDS", 0.5)
    made = Box(broker, clock)
    yield made
    await made.end()


async def test_what_a_broker_took_and_nobody_hears_stays_is_counted_and_alarms(broker: TlsBroker, box: Box) -> None:
    await asyncio.to_thread(broker.start)
    await box.connected()
    await box.put()
    sentence = await box.alarm()
    if broker.mqtt5:
        assert "nobody takes telemetry from the broker" in sentence
        assert set(box.sender.counts.refusals) == {NOBODY}
    else:
        assert "no telemetry of this box is acknowledged" in sentence
        assert set(box.sender.counts.refusals) == {NO_ACK}
        assert box.sender.counts.published > 3, "each of which looked like a success"
    ear = await asyncio.to_thread(ControlPlaneEar, broker)
    await box.drained(ear)
    await asyncio.to_thread(ear.close)


async def test_what_a_brokers_rules_refuse_stays_is_counted_and_alarms(broker: TlsBroker, box: Box) -> None:
    broker.denies = True
    await asyncio.to_thread(broker.start)
    ear = await asyncio.to_thread(ControlPlaneEar, broker)
    await box.connected()
    await box.put()
    sentence = await box.alarm()
    if broker.mqtt5:
        assert "(Not authorized)" in sentence
        assert set(box.sender.counts.refusals) == {"Not authorized"}
    else:
        assert "the broker's rules let this box publish" in sentence
        assert set(box.sender.counts.refusals) == {NO_ACK}
    broker.denies = False
    broker.kill()
    await until(lambda: not box.link.connected)
    assert box.sender.problems() == [], "a broken connection is the link's own trouble"
    await asyncio.to_thread(broker.start)
    await asyncio.to_thread(ear.wait_subscribed)
    await box.connected()
    await box.drained(ear)
    await asyncio.to_thread(ear.close)


async def test_a_control_plane_that_hears_and_does_not_answer_alarms_too(broker: TlsBroker, box: Box) -> None:
    await asyncio.to_thread(broker.start)
    ear = await asyncio.to_thread(ControlPlaneEar, broker)
    await box.connected()
    await box.put()
    assert "see that the control plane runs" in await box.alarm()
    assert set(box.sender.counts.refusals) == {NO_ACK}
    await box.drained(ear)
    await asyncio.to_thread(ear.close)
