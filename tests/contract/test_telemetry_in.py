"""The contract of controlplane.ports.TelemetryIn and Notifier, over memory and both brokers, with real boxes' links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.adapters.mqtt import MqttLink
from controlplane.adapters.inbox import OVERHEAD
from controlplane.adapters.mqtt_in import BrokerSettings, MqttIn
from controlplane.adapters.telemetry_memory import MemoryTelemetryIn
from controlplane.ports import MAX_MESSAGE_BYTES, Message, TelemetryIn
from controlplane.trust.domain import CONTROL_PLANE_USER, replica_user
from protos import telemetry_pb2 as wire
from protos.errors import Fatal
from protos.ids import NodeId
from protos.topics import Channel
from tests.servers.brokers import TlsBroker
from tests.sim.clock import FakeClock
from tests.sim.mute_broker import MuteBroker
from tests.sim.waiting import until

NODE, OTHER = NodeId("quay-1"), NodeId("quay-2")
SECONDS = 15.0
NOW = 1_795_000_000  # Unix


def settings(broker: TlsBroker, replica: int = 1) -> BrokerSettings:
    user = replica_user(CONTROL_PLANE_USER, replica)
    files = broker.files(user)
    where = broker.listener
    return BrokerSettings(where.host, where.port, broker.mqtt5, files.ca, files.certificate, files.key, user)


class Setting(Protocol):
    """A TelemetryIn and boxes that talk to it."""

    source: TelemetryIn

    async def publish(self, node: NodeId, payload: bytes) -> None: ...
    async def next_ack(self, node: NodeId) -> bytes: ...
    async def close(self) -> None: ...


class MemorySetting:
    def __init__(self) -> None:
        self.memory = MemoryTelemetryIn()
        self.source: TelemetryIn = self.memory

    async def publish(self, node: NodeId, payload: bytes) -> None:
        self.memory.put(Message(node, Channel.TELEMETRY, payload, NOW * 1000))

    async def next_ack(self, node: NodeId) -> bytes:
        return next(payload for to, payload in self.memory.acknowledged if to == node)

    async def close(self) -> None:
        self.source.stop()


class BrokerSetting:
    def __init__(self, kind: str, folder: Path) -> None:
        self.broker = TlsBroker(kind, folder)
        self.broker.start()
        self.plane = MqttIn(settings(self.broker), FakeClock(unix=NOW), chance=lambda: 0.0)
        self.source: TelemetryIn = self.plane
        self.links: dict[NodeId, MqttLink] = {}
        self.acks: dict[NodeId, asyncio.Queue[bytes]] = {}
        self.hints: dict[NodeId, asyncio.Queue[bytes]] = {}
        self.ups: dict[NodeId, asyncio.Queue[bool]] = {}

    async def box(self, node: NodeId) -> MqttLink:
        """Connected."""
        if node not in self.links:
            link = self.links[node] = MqttLink(self.broker.settings(node), chance=lambda: 0.0)
            self.acks[node], self.hints[node], self.ups[node] = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
            link.on_ack(self.acks[node].put_nowait)
            link.on_hint(self.hints[node].put_nowait)
            link.on_connection(self.ups[node].put_nowait)
            link.start()
            assert await asyncio.wait_for(self.ups[node].get(), SECONDS)
        return self.links[node]

    async def up(self) -> None:
        await until(lambda: not self.plane.trouble)

    async def publish(self, node: NodeId, payload: bytes) -> None:
        await self.up()
        await (await self.box(node)).publish(payload)

    async def next_ack(self, node: NodeId) -> bytes:
        return await asyncio.wait_for(self.acks[node].get(), SECONDS)

    async def close(self) -> None:
        for link in self.links.values():
            await link.close()
        await asyncio.to_thread(self.source.stop)
        self.broker.kill()


@pytest.fixture(params=["memory", pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"])
async def setting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Setting]:
    made: Setting = MemorySetting()
    if request.param != "memory":
        made = await asyncio.to_thread(BrokerSetting, request.param, tmp_path)
    made.source.start()
    yield made
    await made.close()


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"])
async def real(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BrokerSetting]:
    made = await asyncio.to_thread(BrokerSetting, request.param, tmp_path)
    made.source.start()
    yield made
    await made.close()


async def received(source: TelemetryIn, channel: Channel, wanted: int = 1) -> list[Message]:
    """The next messages of a channel."""
    found: list[Message] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < wanted:
            messages = await asyncio.to_thread(source.receive, 100, 0.2)
            found += [message for message in messages if message.channel is channel]
    return found


async def test_what_boxes_publish_is_received_with_their_names(setting: Setting) -> None:
    await setting.publish(NODE, b"one")
    await setting.publish(OTHER, b"two")
    found = await received(setting.source, Channel.TELEMETRY, 2)
    assert {(message.node, message.payload) for message in found} == {(NODE, b"one"), (OTHER, b"two")}
    assert {message.received_ms for message in found} == {NOW * 1000}
    assert setting.source.trouble == ""


async def test_with_nothing_to_receive_it_returns_after_the_time_given(setting: Setting) -> None:
    assert await asyncio.to_thread(setting.source.receive, 10, 0.01) == []


async def test_an_acknowledgement_reaches_its_box(setting: Setting) -> None:
    await setting.publish(NODE, b"one")
    await received(setting.source, Channel.TELEMETRY)
    setting.source.acknowledge(NODE, b"stored")
    assert await setting.next_ack(NODE) == b"stored"


async def test_acknowledging_into_the_void_is_no_error(setting: Setting) -> None:
    setting.source.acknowledge(NodeId("nobody"), b"stored")


async def test_presence_comes_as_birth_and_as_will(real: BrokerSetting) -> None:
    await real.up()
    link = await real.box(NODE)
    (birth,) = await received(real.source, Channel.PRESENCE)
    assert (birth.node, birth.payload, birth.retained) == (NODE, b"birth", False)
    await link.close()
    (will,) = await received(real.source, Channel.PRESENCE)
    assert will.payload == b"will"


async def test_a_hint_reaches_a_box_now_and_when_it_comes_later(real: BrokerSetting) -> None:
    await real.up()
    await real.box(NODE)
    for node in (NODE, OTHER):
        real.plane.hint(node, 7, 99)
    await real.box(OTHER)
    for node in (NODE, OTHER):
        hint = wire.DesiredHint.FromString(await asyncio.wait_for(real.hints[node].get(), SECONDS))
        assert (hint.generation, hint.watch_until_unix_ms) == (7, 99)


async def test_after_the_broker_forgot_everything_messages_and_hints_come_again(real: BrokerSetting) -> None:
    await real.up()
    await real.box(NODE)
    real.plane.hint(OTHER, 3, 0)
    real.broker.kill()
    assert await asyncio.wait_for(real.ups[NODE].get(), SECONDS) is False
    await asyncio.to_thread(real.broker.start)
    assert await asyncio.wait_for(real.ups[NODE].get(), SECONDS) is True
    await real.publish(NODE, b"again")
    assert (await received(real.source, Channel.TELEMETRY))[0].payload == b"again"
    await real.box(OTHER)
    hint = wire.DesiredHint.FromString(await asyncio.wait_for(real.hints[OTHER].get(), SECONDS))
    assert hint.generation == 3


async def test_hints_given_while_the_broker_is_away_are_told_when_it_is_back(real: BrokerSetting) -> None:
    await real.up()
    real.broker.kill()
    await until(lambda: bool(real.plane.trouble))
    assert "see that it runs" in real.plane.trouble
    real.plane.hint(NODE, 4, 0)
    await asyncio.to_thread(real.broker.start)
    await real.up()
    await real.box(NODE)
    hint = wire.DesiredHint.FromString(await asyncio.wait_for(real.hints[NODE].get(), SECONDS))
    assert hint.generation == 4


@pytest.mark.mosquitto
async def test_replicas_share_telemetry_all_hear_presence_and_each_reaches_every_box(tmp_path: Path) -> None:
    first = await asyncio.to_thread(BrokerSetting, "mosquitto", tmp_path)
    second = MqttIn(settings(first.broker, 2), FakeClock(unix=NOW), chance=lambda: 0.0)
    for plane in (first.source, second):
        plane.start()
    await until(lambda: not (first.source.trouble or second.trouble))
    await first.box(NODE)
    births = [(await received(plane, Channel.PRESENCE))[0].payload for plane in (first.source, second)]
    assert births == [b"birth", b"birth"]
    for number in range(20):
        await first.publish(NODE, b"%d" % number)
    halves = [
        {each.payload for each in await received(plane, Channel.TELEMETRY, 10)} for plane in (first.source, second)
    ]
    assert halves[0] | halves[1] == {b"%d" % number for number in range(20)}
    assert not halves[0] & halves[1]
    for plane, generation in ((first.plane, 1), (second, 2)):
        plane.acknowledge(NODE, b"by %d" % generation)
        assert await first.next_ack(NODE) == b"by %d" % generation
        plane.hint(NODE, generation, 0)
        hint = wire.DesiredHint.FromString(await asyncio.wait_for(first.hints[NODE].get(), SECONDS))
        assert hint.generation == generation
    await asyncio.to_thread(second.stop)
    await asyncio.sleep(0.2)  # until the broker knows
    for number in range(4):
        await first.publish(NODE, b"alone %d" % number)
    assert len(await received(first.source, Channel.TELEMETRY, 4)) == 4
    await first.close()


async def kept(real: BrokerSetting) -> dict[str, bytes]:
    """What the broker keeps, as somebody who comes now hears it."""
    found: dict[str, bytes] = {}
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=CONTROL_PLANE_USER)
    files = real.broker.files(CONTROL_PLANE_USER)
    client.tls_set(str(files.ca), str(files.certificate), str(files.key))
    client.on_message = lambda _c, _u, message: found.update({message.topic: bytes(message.payload)})
    await asyncio.to_thread(real.source.stop)  # the broker admits one of that name
    client.connect("127.0.0.1", real.broker.listener.port)
    client.loop_start()
    client.subscribe("longshore/v1/#", qos=1)
    await until(lambda: f"longshore/v1/{OTHER}/desired" in found)
    await asyncio.sleep(0.2)  # for what would come beside it
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)
    return found


@pytest.mark.parametrize("away", [False, True])
async def test_what_the_broker_keeps_of_a_box_is_cleared_also_when_it_was_away(
    real: BrokerSetting, *, away: bool
) -> None:
    await real.up()
    for node in (NODE, OTHER):
        real.plane.hint(node, 1, 0)
        await real.box(node)
        await received(real.source, Channel.PRESENCE)  # its birth is kept
    if away:
        for link in real.links.values():
            await link.close()
        real.broker.kill()
        await until(lambda: bool(real.plane.trouble))
    real.plane.forget(NODE)
    if away:
        await asyncio.to_thread(real.broker.start)
        await real.up()
    else:
        await received(real.source, Channel.PRESENCE)  # its own clearing, which came through
    found = await kept(real)
    assert not any(NODE in topic for topic in found)


def test_more_bytes_than_may_wait_are_dropped_and_counted() -> None:
    source = MemoryTelemetryIn(most_bytes=2 * (1000 + OVERHEAD))
    message = Message(NODE, Channel.TELEMETRY, bytes(1000), NOW)
    for _ in range(5):
        source.put(message)
    assert source.overflow == 3
    assert source.receive(1, 0.01) == [message]
    source.put(message)
    assert (source.receive(10, 0.01), source.overflow) == ([message, message], 3)


def test_a_message_larger_than_any_box_sends_is_refused() -> None:
    source = MemoryTelemetryIn()
    for size in (MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1):
        source.put(Message(NODE, Channel.TELEMETRY, bytes(size), NOW))
    assert [len(message.payload) for message in source.receive(10, 0.01)] == [MAX_MESSAGE_BYTES]
    assert source.overflow == 1


async def test_a_broker_that_refuses_our_subscriptions_is_left_and_tried_again() -> None:
    broker = MuteBroker(refusals=2)
    plane = MqttIn(BrokerSettings("127.0.0.1", broker.port, mqtt5=False), FakeClock(), chance=lambda: 0.0)
    plane.start()
    await until(lambda: "refused our subscriptions" in plane.trouble)
    await until(lambda: not plane.trouble)
    assert broker.connections == 3
    await asyncio.to_thread(plane.stop)
    broker.close()


def test_a_missing_certificate_is_fatal(tmp_path: Path) -> None:
    nowhere = tmp_path / "nothing.pem"
    with pytest.raises(Fatal, match="certificate"):
        MqttIn(BrokerSettings("127.0.0.1", 1, True, nowhere, nowhere, nowhere), FakeClock())
