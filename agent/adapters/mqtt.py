"""Telemetry out over MQTT: the agent's only user of paho. MQTT 5 or 3.1.1, by configuration.

Rules that hold here:

- the client id is the node id, which the broker checks against the certificate's name;
- "connected" means: connected, subscribed to desired and ack, and the birth is on its way;
- MQTT 5 answers of 0x80 and above, and 0x10 (nobody subscribes), mean not delivered. With 3.1.1 a refused publish looks
  like a success; nothing is lost, because only a TelemetryAck deletes;
- nothing rests on the broker remembering anything: each connection starts a new session, in which paho must not send
  again what it kept of the last one. The sender does that, with the time at which it does;
- a connection lives by beats where desired state asks for them, and by paho's pings where not;
- paho has a thread of its own; everything crosses to the event loop by call_soon_threadsafe and is handled there.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.ports import Undelivered
from agent.telemetry.window import backoff
from protos.errors import Fatal, Retryable
from protos.ids import CameraName, NodeId
from protos.topics import NODE_READS, Channel, events, topic

KEEP_ALIVE_SECONDS = 15  # the broker sends our last will after one and a half of it
LATE_SECONDS = 8  # a beat this late is still none that paho has to send a ping for
DEAF_SECONDS = 30.0  # a connection on which nothing that was sent gets through is broken after so long
PUBLISH_SECONDS = 10.0  # for the broker's PUBACK
CLOSE_SECONDS = 2.0  # for saying goodbye
MOST_UNANSWERED = 100  # messages that a broker has not answered; the sender's window keeps to far fewer
MOST_EVENTS = 32  # on their way to the socket: a slow line drops the next, and telemetry waits for no more than these
RETRY_FIRST, RETRY_LONGEST = 0.5, 15.0  # seconds between connections, with jitter
BEAT_ALIAS = 1  # the topic that has a number
NO_MATCHING_SUBSCRIBERS = 0x10
BROKEN = "connection broke"
FAILURE = 0x80

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TlsFiles:
    """Our key and certificate, and the CA that signed the broker's."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class MqttSettings:
    node: NodeId
    host: str
    port: int
    tls: TlsFiles | None  # None: a plain broker on loopback
    mqtt5: bool
    birth: bytes  # retained on the presence topic when we are there
    will: bytes  # and when we are not
    beat: bytes = b""  # on the presence topic, not retained
    beat_seconds: int = 0  # between two beats; 0: there are none

    @property
    def keep_alive(self) -> int:
        """Seconds: beats are the traffic that keeps the connection alive, where there are any."""
        return self.beat_seconds + LATE_SECONDS if self.beat_seconds else KEEP_ALIVE_SECONDS


class _Client(paho.Client):
    """paho, remembering why a connection could not be made, which its callback does not tell, and that it was closed.

    A `disconnect` while paho's thread is about to connect goes unheard: it would connect, and again for ever.
    """

    trouble: str = ""
    closed: bool = False

    def beaten(self) -> None:
        """What the broker answered is as good as a ping: paho 2.2 forgets that it wrote it, and would ping as well."""
        self._last_msg_out = time.monotonic()

    def reconnect(self) -> MQTTErrorCode:
        if self.closed:
            return self.disconnect()
        try:
            return super().reconnect()
        except OSError as error:
            self.trouble = str(error)
            raise
        finally:
            if self.closed:
                self.disconnect()


class MqttLink:
    """See agent.ports.TelemetryOut. Made and used in one event loop; set the handlers, then `start`."""

    def __init__(self, settings: MqttSettings, chance: Callable[[], float] = random.random) -> None:
        self._settings = settings
        self._chance = chance
        self._handlers: dict[Channel, list[Callable[[bytes], None]]] = {each: [] for each in NODE_READS}
        self._on_connection: list[Callable[[bool], None]] = []
        self._pending: dict[int, asyncio.Future[None]] = {}  # packet id -> PUBACK
        self._events: set[int] = set()  # packet ids of events that are not on the wire yet
        self._connected = False
        self._takes_alias = self._alias_told = False  # on this connection
        self._failures = 0
        self._trouble = "not connected yet"
        self._refusal = ""  # what the broker itself gave as its reason
        self._client = self._make_client()
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Connect, and again whenever it breaks, until `close`."""
        self._loop = asyncio.get_running_loop()
        self._client.connect_async(self._settings.host, self._settings.port, self._settings.keep_alive)
        self._begin()

    def _begin(self) -> None:
        """paho wakes its thread by a pair of sockets: a box without descriptors or loopback has none now."""
        if self._client.closed:
            return
        try:
            self._client.loop_start()
        except OSError as error:
            self._trouble = f"this box has no socket for it ({error.strerror})"
            log.warning("%s", self.trouble)
            self._loop.call_later(RETRY_LONGEST * self._chance() + RETRY_FIRST, self._begin)

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def trouble(self) -> str:
        """Why there is no connection, one sentence; empty when there is one."""
        if self._connected:
            return ""
        where = f"{self._settings.host}:{self._settings.port}"
        wait = "telemetry waits on this box; see that the broker runs and that this box reaches its port"
        return f"the broker at {where} does not take us: {self._trouble}; {wait}"

    def on_ack(self, handler: Callable[[bytes], None]) -> None:
        self._handlers[Channel.ACK].append(handler)

    def on_hint(self, handler: Callable[[bytes], None]) -> None:
        self._handlers[Channel.DESIRED].append(handler)

    def on_connection(self, handler: Callable[[bool], None]) -> None:
        self._on_connection.append(handler)

    async def publish(self, payload: bytes) -> None:
        await self._publish(topic(self._settings.node, Channel.TELEMETRY), payload)

    async def beat(self) -> None:
        where, short = self._beaten_path()
        await self._publish(where, self._settings.beat, properties=short)
        self._client.beaten()

    def _beaten_path(self) -> tuple[str, Properties | None]:
        """Where beats go: a number stands for the topic from the second on, where the broker takes numbers."""
        where = topic(self._settings.node, Channel.PRESENCE)
        if not self._takes_alias:
            return where, None
        short = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # of paho
        short.TopicAlias = BEAT_ALIAS
        told, self._alias_told = self._alias_told, True
        return ("" if told else where), short

    def tell(self, camera: CameraName, payload: bytes) -> bool:
        if not self._connected or len(self._events) >= MOST_EVENTS:
            return False
        sent = self._client.publish(events(self._settings.node, camera), payload)
        if sent.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._events.add(sent.mid)
        return True

    async def close(self) -> None:
        """Say goodbye in place of the will, and end."""
        self._client.closed = True
        if not self._connected:
            self._client.disconnect()  # paho's thread ends by itself; it may sleep for a second before it looks
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._publish(topic(self._settings.node, Channel.PRESENCE), self._settings.will, retain=True)
        except (TimeoutError, Retryable) as error:
            log.debug("no goodbye to the broker: %s", error)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._down("closed")

    # ---- in the event loop ----

    async def _publish(
        self, where: str, payload: bytes, *, retain: bool = False, properties: Properties | None = None
    ) -> None:
        if not self._connected:
            raise Undelivered(self.trouble, "not connected")
        sent = self._client.publish(where, payload, qos=1, retain=retain, properties=properties)
        if sent.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Undelivered(f"the broker's connection broke while sending ({sent.rc.name})", BROKEN)
        answered = self._pending[sent.mid] = self._loop.create_future()
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await answered
        except TimeoutError as error:
            slow = f"the broker did not answer a publish within {PUBLISH_SECONDS:g} s"
            raise Undelivered(slow, "no answer") from error
        finally:
            self._pending.pop(sent.mid, None)

    def _answered(self, packet: int, code: int, name: str) -> None:
        self._events.discard(packet)
        future = self._pending.pop(packet, None)
        if future is None or future.done():
            return
        if code >= FAILURE or code == NO_MATCHING_SUBSCRIBERS:
            future.set_exception(Undelivered(f"the broker did not deliver telemetry: {name}", name))
        else:
            future.set_result(None)

    def _up(self) -> None:
        if self._client.closed:
            return
        log.info("connected to the broker at %s:%d", self._settings.host, self._settings.port)
        self._connected, self._failures = True, 0
        self._client.publish(topic(self._settings.node, Channel.PRESENCE), self._settings.birth, qos=1, retain=True)
        for handler in self._on_connection:
            handler(True)

    def _down(self, why: str) -> None:
        was_connected, self._connected, self._trouble = self._connected, False, why
        for future in self._pending.values():
            if not future.done():
                future.set_exception(Undelivered(f"the broker's connection broke: {why}", BROKEN))
        self._pending.clear()
        self._events.clear()
        if was_connected:
            log.warning("the broker's connection broke: %s", why)
            for handler in self._on_connection:
                handler(False)

    def _received(self, channel: Channel, payload: bytes) -> None:
        for handler in self._handlers[channel]:
            handler(payload)

    # ---- in paho's thread ----

    def _make_client(self) -> _Client:
        version = MQTTProtocolVersion.MQTTv5 if self._settings.mqtt5 else MQTTProtocolVersion.MQTTv311
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.node,
            clean_session=None if self._settings.mqtt5 else True,
            protocol=version,
        )
        if self._settings.tls:
            client.tls_set_context(tls_context(self._settings.tls))
        client.will_set(topic(self._settings.node, Channel.PRESENCE), self._settings.will, qos=1, retain=True)
        client.max_inflight_messages_set(50)
        client.max_queued_messages_set(MOST_UNANSWERED)
        client.on_socket_open = _not_deaf
        client.on_connect = self._paho_connected
        client.on_connect_fail = self._paho_connect_failed
        client.on_disconnect = self._paho_disconnected
        client.on_subscribe = self._paho_subscribed
        client.on_publish = self._paho_published
        client.on_message = self._paho_message
        return client

    def _paho_connected(
        self, client: paho.Client, _data: object, _flags: object, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._refusal = f"it refused us ({code})"
        else:
            self._takes_alias, self._alias_told = getattr(properties, "TopicAliasMaximum", 0) >= BEAT_ALIAS, False
            client.drop_out_messages()
            client.subscribe([(topic(self._settings.node, channel), 1) for channel in NODE_READS])

    def _paho_subscribed(
        self, client: paho.Client, _data: object, _packet: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        refused = [str(code) for code in codes if code.is_failure]
        if not refused:
            self._refusal = ""
            self._to_loop(self._up)
            return
        self._refusal = f"it refused our subscriptions ({', '.join(refused)})"
        if isinstance(wire := client.socket(), socket.socket):
            wire.shutdown(socket.SHUT_RDWR)  # paho's disconnect() would be for good

    def _paho_connect_failed(self, _client: paho.Client, _data: object) -> None:
        self._retry_later(self._client.trouble)

    def _paho_disconnected(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        self._retry_later(self._refusal or str(code))

    def _paho_published(
        self, _client: paho.Client, _data: object, packet: int, code: ReasonCode, _properties: object
    ) -> None:
        self._to_loop(self._answered, packet, code.value, str(code))

    def _paho_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        channel = Channel(message.topic.rpartition("/")[2])
        self._to_loop(self._received, channel, message.payload)

    def _retry_later(self, why: str) -> None:
        """paho tries again after this delay; it is set anew each time, because paho itself knows no jitter."""
        delay = backoff(self._failures, self._chance(), RETRY_FIRST, RETRY_LONGEST)
        self._failures += 1
        self._client.reconnect_delay_set(delay, delay)  # type: ignore[arg-type]  # it only adds it to a time
        self._to_loop(self._down, why)

    def _to_loop(self, handler: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(handler, *arguments)
        except RuntimeError:
            log.debug("the event loop has ended before the broker's connection")


def _not_deaf(_client: paho.Client, _data: object, wire: object) -> None:
    """A box that was moved to another network, or behind one that forgot it, is told so by nobody."""
    if isinstance(wire, socket.socket):
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAF_SECONDS * 1000))


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Raises Fatal when a file is missing or is no certificate."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(files.ca))
        context.load_cert_chain(str(files.certificate), str(files.key))
    except OSError as error:  # ssl.SSLError is one
        raise Fatal(f"{files.certificate} or {files.ca} can't be used ({error}); join this box again") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
