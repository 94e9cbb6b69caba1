"""The control plane at the broker: telemetry and presence in, acknowledgements and hints out. Its only user of paho.

Rules that hold here:

- one connection per process, because the broker admits one client per certificate: it is TelemetryIn and Notifier.
  Replicas have certificates of their own; of telemetry each gets a share (MQTT 5), of presence, which is retained, all;
- "connected" means: connected and subscribed. A broker that refuses either is left and tried again, never half heard;
- paho's thread only sorts messages into a bounded inbox; nobody waits in it;
- the broker may go and come back, or forget everything: subscriptions are made and hints told again at each connection;
- nothing raises: what can't be sent now is sent again later by somebody who waits for it.
"""

from __future__ import annotations

import logging
import random
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from controlplane.adapters.inbox import Inbox
from controlplane.ingest import wire
from controlplane.ports import Clock, Message, Queued
from controlplane.trust.domain import CONTROL_PLANE_USER
from protos import topics
from protos.errors import Fatal, Rejected
from protos.ids import NodeId
from protos.topics import Channel, every_node, shared, topic

KEEP_ALIVE_SECONDS = 15
RETRY_FIRST, RETRY_LONGEST = 0.5, 10.0  # seconds between connections, with jitter
REPLICAS_GROUP = "longshore-ingest"
MOST_OUTGOING = 10_000  # acknowledgements and hints that wait for the broker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BrokerSettings:
    """Where the broker is; files of our client certificate, or None on a plain loopback broker."""

    host: str
    port: int
    mqtt5: bool
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    user: str = CONTROL_PLANE_USER  # the name in the certificate


class _Client(paho.Client):
    """paho, remembering why a connection could not be made, which its callback does not tell, and that it was closed.

    A `disconnect` while paho's thread is about to connect goes unheard: it would connect, and again for ever.
    """

    trouble: str = ""
    closed: bool = False

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


class MqttIn:
    """Implements controlplane.ports.TelemetryIn and Notifier. `start`, then `stop`."""

    def __init__(self, settings: BrokerSettings, clock: Clock, chance: Callable[[], float] = random.random) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._inbox = Inbox()
        self._hints: dict[NodeId, bytes] = {}
        self._forgotten: set[NodeId] = set()  # to be cleared when the broker is there
        self._lock = threading.Lock()  # of these two
        self._failures = 0
        self._connected = False
        self._trouble = "not connected yet"
        self._refusal = ""  # what the broker itself gave as its reason
        self._client = self._make_client()

    def start(self) -> None:
        """Connect, and again whenever it breaks, until `stop`."""
        self._client.connect_async(self._settings.host, self._settings.port, KEEP_ALIVE_SECONDS)
        self._client.loop_start()

    def stop(self) -> None:
        was_connected, self._connected = self._connected, False
        self._client.closed = True
        self._client.disconnect()
        if was_connected:  # else paho's thread ends by itself; it may sleep for a second before it looks
            self._client.loop_stop()

    @property
    def trouble(self) -> str:
        if self._connected:
            return ""
        where = f"{self._settings.host}:{self._settings.port}"
        return (
            f"the broker at {where} does not take us: {self._trouble}; see that it runs, boxes keep telemetry till then"
        )

    # ---- TelemetryIn ----

    def receive(self, most: int, seconds: float) -> list[Message]:
        return self._inbox.take(most, seconds)

    def acknowledge(self, node: NodeId, payload: bytes) -> None:
        if self._connected:
            self._client.publish(topic(node, Channel.ACK), payload, qos=1)

    @property
    def waiting(self) -> Queued:
        return self._inbox.waiting

    @property
    def overflow(self) -> int:
        return self._inbox.overflow

    # ---- Notifier ----

    def hint(self, node: NodeId, generation: int, watch_until_unix_ms: int) -> None:
        payload = wire.hint(generation, watch_until_unix_ms)
        with self._lock:
            self._hints[node] = payload
            self._forgotten.discard(node)
        if self._connected:
            self._client.publish(topic(node, Channel.DESIRED), payload, qos=1, retain=True)

    def forget(self, node: NodeId) -> None:
        with self._lock:
            self._hints.pop(node, None)
            if not self._connected:
                self._forgotten.add(node)
                return
        self._clear(node)

    def _clear(self, node: NodeId) -> None:
        """An empty retained message takes the place of the one that is kept, and is kept itself by nobody."""
        for channel in (Channel.DESIRED, Channel.PRESENCE):
            self._client.publish(topic(node, channel), b"", qos=1, retain=True)

    # ---- in paho's thread ----

    def _make_client(self) -> _Client:
        mqtt5 = self._settings.mqtt5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.user,
            clean_session=None if mqtt5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
        )
        if self._settings.certificate is not None:
            client.tls_set_context(_tls_context(self._settings))
        client.max_queued_messages_set(MOST_OUTGOING)
        client.max_inflight_messages_set(100)
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda _client, _data: self._retry_later(self._client.trouble)
        client.on_disconnect = lambda _client, _data, _flags, code, _props: self._retry_later(
            self._refusal or str(code)
        )
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if code.is_failure:
            self._refusal = f"it refused us ({code})"
        else:
            client.subscribe([(filter_, 1) for filter_ in self._filters()])

    def _filters(self) -> list[str]:
        """The embedded broker (3.1.1) shares nothing."""
        telemetry = every_node(Channel.TELEMETRY)
        return [shared(telemetry, REPLICAS_GROUP) if self._settings.mqtt5 else telemetry, every_node(Channel.PRESENCE)]

    def _on_subscribe(
        self, client: paho.Client, _data: object, _packet: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        if any(code.is_failure for code in codes):
            self._refusal = "it refused our subscriptions; its rules must let the control plane read and write all"
            if isinstance(connection := client.socket(), socket.socket):
                connection.shutdown(socket.SHUT_RDWR)  # paho's disconnect() would be for good
            return
        log.info("connected to the broker at %s:%d", self._settings.host, self._settings.port)
        with self._lock:
            self._connected, self._failures, self._refusal = True, 0, ""
            hints, forgotten, self._forgotten = dict(self._hints), self._forgotten, set()
        for node in forgotten:
            self._clear(node)
        for node, payload in hints.items():
            client.publish(topic(node, Channel.DESIRED), payload, qos=1, retain=True)

    def _retry_later(self, why: str) -> None:
        """paho tries again after this delay; it is set anew each time, because paho itself knows no jitter."""
        if self._connected or self._failures == 0:
            log.warning("the broker at %s:%d is away: %s", self._settings.host, self._settings.port, why)
        self._connected, self._trouble = False, why
        plain = min(RETRY_LONGEST, RETRY_FIRST * 2.0 ** min(self._failures, 10))
        delay = plain * (0.5 + self._chance())
        self._failures += 1
        self._client.reconnect_delay_set(delay, delay)  # type: ignore[arg-type]  # it only adds it to a time

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            node, channel = topics.parse(message.topic)
        except Rejected as error:
            log.debug("%s", error)
            return
        received = int(self._clock.unix() * 1000)
        payload = bytes(message.payload)
        waits = channel is Channel.TELEMETRY and wire.historical(payload)
        self._inbox.put(Message(node, channel, payload, received, message.retain, waits))


def _tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    """Raises Fatal when a file is missing or is no certificate."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(settings.ca))
        context.load_cert_chain(str(settings.certificate), str(settings.key))
    except OSError as error:  # ssl.SSLError is one
        raise Fatal(f"the control plane's certificate for the broker can't be used: {error}; restart it") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
