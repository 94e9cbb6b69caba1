"""The contract of agent.ports.TelemetryOut, over memory, Mosquitto (MQTT 5) and the embedded broker (3.1.1)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.adapters.mqtt import MOST_UNANSWERED, MqttLink, MqttSettings, TlsFiles, _not_deaf
from agent.adapters.telemetry_memory import MemoryHub, MemoryLink
from protos.errors import Fatal, Retryable
from protos.ids import NodeId
from protos.topics import Channel, topic
from tests.servers.brokers import ControlPlaneEar, TlsBroker
from tests.sim.descriptors import no_descriptors_left
from tests.sim.mute_broker import MuteBroker

NODE = NodeId("quay-1")
SECONDS = 15.0


class Link(Protocol):
    """What the agent uses: TelemetryOut, and what starts it."""

    def start(self) -> None: ...
    def on_ack(self, handler: Callable[[bytes], None]) -> None: ...
    def on_hint(self, handler: Callable[[bytes], None]) -> None: ...
    def on_connection(self, handler: Callable[[bool], None]) -> None: ...
    async def publish(self, payload: bytes) -> None: ...
    async def beat(self) -> None: ...
    async def close(self) -> None: ...
    @property
    def connected(self) -> bool: ...
    @property
    def trouble(self) -> str: ...


class FarSide(Protocol):
    """The broker and the control plane behind it."""

    def link(self) -> Link: ...
    async def next(self, channel: Channel) -> bytes:
        """What the control plane hears next on a channel of NODE."""
        ...

    async def say(self, channel: Channel, payload: bytes, *, retain: bool = False) -> None: ...
    def cut(self) -> None: ...
    async def restore(self) -> None: ...
    def close(self) -> None: ...


class MemorySide:
    def __init__(self) -> None:
        self.hub = MemoryHub()
        self.heard: dict[Channel, asyncio.Queue[bytes]] = {}
        for channel in (Channel.TELEMETRY, Channel.PRESENCE):
            mailbox = self.heard[channel] = asyncio.Queue()
            self.hub.subscribe(topic(NODE, channel), mailbox.put_nowait)

    def link(self) -> Link:
        return MemoryLink(self.hub, NODE, b"birth", b"will", b"beat")

    async def next(self, channel: Channel) -> bytes:
        return await asyncio.wait_for(self.heard[channel].get(), SECONDS)

    async def say(self, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        self.hub.publish(topic(NODE, channel), payload, retain=retain)

    def cut(self) -> None:
        self.hub.cut()

    async def restore(self) -> None:
        self.hub.restore()

    def close(self) -> None:
        return


class BrokerSide:
    def __init__(self, kind: str, folder: Path) -> None:
        self.broker = TlsBroker(kind, folder)
        self.broker.start()
        self.ear = ControlPlaneEar(self.broker)

    def link(self) -> Link:
        return MqttLink(self.broker.settings(NODE), chance=lambda: 0.0)

    async def next(self, channel: Channel) -> bytes:
        while True:
            where, payload = await asyncio.to_thread(self.ear.heard.get, timeout=SECONDS)
            if where == topic(NODE, channel):
                return payload

    async def say(self, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        await asyncio.to_thread(self.ear.publish, topic(NODE, channel), payload, retain=retain)

    def cut(self) -> None:
        self.broker.kill()

    async def restore(self) -> None:
        await asyncio.to_thread(self.broker.start)
        await asyncio.to_thread(self.ear.wait_subscribed)

    def close(self) -> None:
        self.ear.close()
        self.broker.kill()


@pytest.fixture(params=["memory", pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"])
async def far(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FarSide]:
    side = MemorySide() if request.param == "memory" else await asyncio.to_thread(BrokerSide, request.param, tmp_path)
    yield side
    await asyncio.to_thread(side.close)


class Heard:
    """What a link told."""

    def __init__(self, link: Link) -> None:
        self.acks: asyncio.Queue[bytes] = asyncio.Queue()
        self.hints: asyncio.Queue[bytes] = asyncio.Queue()
        self.connection: asyncio.Queue[bool] = asyncio.Queue()
        link.on_ack(self.acks.put_nowait)
        link.on_hint(self.hints.put_nowait)
        link.on_connection(self.connection.put_nowait)

    async def up(self) -> None:
        assert await asyncio.wait_for(self.connection.get(), SECONDS) is True

    async def down(self) -> None:
        assert await asyncio.wait_for(self.connection.get(), SECONDS) is False


@pytest.fixture
async def link(far: FarSide) -> AsyncIterator[Link]:
    made = far.link()
    yield made
    await made.close()


async def test_what_is_published_reaches_the_control_plane(far: FarSide, link: Link) -> None:
    heard = Heard(link)
    link.start()
    await heard.up()
    await link.publish(b"batch")
    assert await far.next(Channel.TELEMETRY) == b"batch"


async def test_a_link_that_is_up_has_no_trouble_and_one_that_never_was_says_what(far: FarSide, link: Link) -> None:
    heard = Heard(link)
    assert "telemetry waits" in link.trouble
    link.start()
    await heard.up()
    assert (link.connected, link.trouble) == (True, "")


async def test_beats_are_heard_and_the_birth_stays_what_is_kept(far: FarSide, link: Link) -> None:
    heard = Heard(link)
    link.start()
    await heard.up()
    for _ in range(3):  # from the second on, a number stands for the topic where the broker takes one
        await link.beat()
    assert [await far.next(Channel.PRESENCE) for _ in range(4)] == [b"birth", b"beat", b"beat", b"beat"]
    far.cut()
    await heard.down()
    with pytest.raises(Retryable):
        await link.beat()
    await far.restore()
    await heard.up()
    await link.beat()
    while await far.next(Channel.PRESENCE) != b"beat":
        pass


async def test_acknowledgements_and_hints_reach_the_box(far: FarSide, link: Link) -> None:
    heard = Heard(link)
    link.start()
    await heard.up()
    await far.say(Channel.ACK, b"stored")
    await far.say(Channel.DESIRED, b"sync now")
    assert await asyncio.wait_for(heard.acks.get(), SECONDS) == b"stored"
    assert await asyncio.wait_for(heard.hints.get(), SECONDS) == b"sync now"


async def test_a_hint_given_before_the_box_came_is_there_when_it_comes(far: FarSide, link: Link) -> None:
    await far.say(Channel.DESIRED, b"generation 7", retain=True)
    heard = Heard(link)
    link.start()
    assert await asyncio.wait_for(heard.hints.get(), SECONDS) == b"generation 7"


async def test_the_box_says_that_it_came_and_that_it_goes(far: FarSide, link: Link) -> None:
    heard = Heard(link)
    link.start()
    await heard.up()
    assert await far.next(Channel.PRESENCE) == b"birth"
    await link.close()
    assert await far.next(Channel.PRESENCE) == b"will"


async def test_publishing_without_a_broker_is_retryable_and_says_so(far: FarSide, link: Link) -> None:
    with pytest.raises(Retryable, match="telemetry waits"):
        await link.publish(b"too early")
    heard = Heard(link)
    link.start()
    await heard.up()
    far.cut()
    await heard.down()
    assert not link.connected
    with pytest.raises(Retryable):
        await link.publish(b"too late")
    await far.restore()


async def test_a_link_comes_back_by_itself_with_its_subscriptions_and_birth(far: FarSide, link: Link) -> None:
    heard = Heard(link)
    link.start()
    await heard.up()
    assert await far.next(Channel.PRESENCE) == b"birth"
    far.cut()
    await heard.down()
    await far.restore()
    await heard.up()
    await link.publish(b"again")
    assert await far.next(Channel.TELEMETRY) == b"again"
    await far.say(Channel.ACK, b"stored")
    assert await asyncio.wait_for(heard.acks.get(), SECONDS) == b"stored"


async def test_closing_twice_or_before_the_start_is_no_error(far: FarSide) -> None:
    never, twice = far.link(), far.link()
    await never.close()
    twice.start()
    await twice.close()
    await twice.close()


# ---- what only a real broker can do ----


class Gate:
    """A relay that takes a connection and passes nothing on until it is opened."""

    def __init__(self, port: int) -> None:
        self.came, self.open = asyncio.Event(), asyncio.Event()
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        await self.open.wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._tasks.append(asyncio.create_task(_pump(source, sink)))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(4096):
        sink.write(chunk)
    sink.close()


async def test_closing_while_it_connects_ends_its_thread_and_tells_nobody_that_it_came(tmp_path: Path) -> None:
    far = await asyncio.to_thread(BrokerSide, "embedded", tmp_path)
    gate = Gate(far.broker.listener.port)
    link = MqttLink(replace(far.broker.settings(NODE), port=await gate.start()), chance=lambda: 0.0)
    link.start()
    thread = link._client._thread
    assert thread is not None
    await asyncio.wait_for(gate.came.wait(), SECONDS)  # the TLS handshake waits for an answer
    await link.close()
    gate.open.set()
    await asyncio.to_thread(thread.join, SECONDS)
    assert not thread.is_alive()
    assert not link.connected
    assert far.ear.heard.empty()
    gate.close()
    await asyncio.to_thread(far.close)


def test_a_connection_on_which_nothing_gets_through_breaks_within_half_a_minute() -> None:
    with socket.socket() as wire:
        _not_deaf(paho.Client(CallbackAPIVersion.VERSION2), None, wire)
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


async def test_what_a_broken_connection_left_unanswered_is_the_senders_to_send_again() -> None:
    """By itself paho would, hours later, with the time at which the first one was sent."""
    broker = MuteBroker()
    link = MqttLink(MqttSettings(NODE, "127.0.0.1", broker.port, None, False, b"birth", b"will"), chance=lambda: 0.0)
    heard = Heard(link)
    link.start()
    await heard.up()
    unanswered = asyncio.create_task(link.publish(b"batch"))
    assert [await asyncio.to_thread(broker.heard.get, timeout=SECONDS) for _ in range(2)] == [
        (1, b"birth"),
        (1, b"batch"),
    ]
    broker.cut()
    await heard.down()
    with pytest.raises(Retryable):
        await unanswered
    await heard.up()
    again = asyncio.create_task(link.publish(b"the same, stamped anew"))
    told = [await asyncio.to_thread(broker.heard.get, timeout=SECONDS) for _ in range(2)]
    assert told == [(2, b"birth"), (2, b"the same, stamped anew")]
    broker.cut()
    await asyncio.gather(again, return_exceptions=True)
    await link.close()
    broker.close()


async def test_a_box_that_has_no_socket_left_says_so_and_connects_once_it_has_one() -> None:
    broker = MuteBroker()
    link = MqttLink(MqttSettings(NODE, "127.0.0.1", broker.port, None, False, b"birth", b"will"), chance=lambda: 0.0)
    heard = Heard(link)
    with no_descriptors_left():
        link.start()
    assert "Too many open files" in link.trouble
    await heard.up()
    await link.close()
    broker.close()


async def test_a_broker_that_answers_nothing_is_sent_a_bounded_number_of_messages() -> None:
    broker = MuteBroker()
    link = MqttLink(MqttSettings(NODE, "127.0.0.1", broker.port, None, False, b"birth", b"will"), chance=lambda: 0.0)
    heard = Heard(link)
    link.start()
    await heard.up()
    unanswered = [asyncio.create_task(link.publish(b"batch")) for _ in range(MOST_UNANSWERED - 1)]  # and the birth
    await asyncio.sleep(0)
    with pytest.raises(Retryable, match="QUEUE_SIZE"):
        await link.publish(b"one too many")
    broker.cut()
    await heard.down()
    await asyncio.gather(*unanswered, return_exceptions=True)
    await link.close()
    broker.close()


async def test_a_box_that_dies_is_reported_by_its_last_will(tmp_path: Path) -> None:
    far = await asyncio.to_thread(BrokerSide, "embedded", tmp_path)
    link = MqttLink(far.broker.settings(NODE))
    heard = Heard(link)
    link.start()
    await heard.up()
    assert await far.next(Channel.PRESENCE) == b"birth"
    wire = link._client.socket()
    assert wire is not None
    link._client._thread_terminate = True
    wire.close()
    assert await far.next(Channel.PRESENCE) == b"will"
    await link.close()
    far.close()


@pytest.mark.mosquitto
async def test_with_mqtt5_a_publish_that_nobody_hears_counts_as_not_delivered(tmp_path: Path) -> None:
    far = await asyncio.to_thread(BrokerSide, "mosquitto", tmp_path)
    far.ear.close()
    link = MqttLink(far.broker.settings(NODE))
    heard = Heard(link)
    link.start()
    await heard.up()
    with pytest.raises(Retryable, match="No matching subscribers"):
        await link.publish(b"batch")
    for _ in range(2):
        with pytest.raises(Retryable, match="No matching subscribers"):
            await link.beat()
    await link.close()
    far.close()


@pytest.mark.mosquitto
async def test_a_box_that_claims_anothers_name_is_not_believed(tmp_path: Path) -> None:
    """The broker names us by our certificate; MQTT 5 says that what we publish under another name is refused."""
    far = await asyncio.to_thread(BrokerSide, "mosquitto", tmp_path)
    files, port = far.broker.files("quay-2"), far.broker.listener.port
    link = MqttLink(MqttSettings(NODE, "127.0.0.1", port, files, True, b"b", b"w"))
    heard = Heard(link)
    link.start()
    await heard.up()
    with pytest.raises(Retryable, match="Not authorized"):
        await link.publish(b"forged")
    await link.close()
    far.close()


async def test_a_broker_with_a_strange_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ours, strange = TlsBroker("embedded", tmp_path / "a"), TlsBroker("embedded", tmp_path / "b")
    await asyncio.to_thread(strange.start)
    settings = MqttSettings(NODE, "127.0.0.1", strange.listener.port, ours.files(NODE), False, b"b", b"w")
    link = MqttLink(settings)
    link.start()
    async with asyncio.timeout(SECONDS):
        while "CERTIFICATE_VERIFY_FAILED" not in link.trouble:  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.02)
    assert "see that the broker runs" in link.trouble
    await link.close()
    strange.kill()


def test_a_missing_certificate_is_fatal_with_the_way_out(tmp_path: Path) -> None:
    files = TlsFiles(tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem")
    with pytest.raises(Fatal, match="join this box again"):
        MqttLink(MqttSettings(NODE, "127.0.0.1", 1, files, True, b"", b""))
