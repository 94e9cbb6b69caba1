"""The control plane at the broker: telemetry and presence in, acknowledgements and hints out. Its only user of paho.

Rules that hold here:

- one connection per process, because the broker admits one client per certificate: it is TelemetryIn and Notifier;
- paho's thread only sorts messages into a bounded queue; nobody waits in it;
- the broker may go and come back, or forget everything: subscriptions are made and hints told again at each connection;
- nothing raises: what can't be sent now is sent again later by somebody who waits for it.
"""

from __future__ import annotations

import logging
import queue
import random
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from controlplane.adapters.telemetry_memory import drained
from controlplane.ingest import wire
from controlplane.ports import Message
from controlplane.trust.domain import CONTROL_PLANE_USER
from protos import topics
from protos.errors import Fatal, Rejected
from protos.ids import NodeId
from protos.topics import NODE_WRITES, Channel, every_node, topic

KEEP_ALIVE_SECONDS = 15
RETRY_FIRST, RETRY_LONGEST = 0.5, 10.0  # seconds between connections, with jitter
MOST_QUEUED = 4_000  # messages that wait for the database; boxes send again what does not fit
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


class _Client(paho.Client):
    """paho, remembering why a connection could not be made: its callback does not tell."""

    trouble: str = ""

    def reconnect(self) -> MQTTErrorCode:
        try:
            return super().reconnect()
        except OSError as error:
            self.trouble = str(error)
            raise


class MqttIn:
    """Implements controlplane.ports.TelemetryIn and Notifier. `start`, then `stop`."""

    def __init__(self, settings: BrokerSettings, chance: Callable[[], float] = random.random) -> None:
        self._settings = settings
        self._chance = chance
        self._messages: queue.Queue[Message] = queue.Queue(MOST_QUEUED)
        self._overflow = 0
        self._hints: dict[NodeId, bytes] = {}
        self._lock = threading.Lock()  # of _hints
        self._failures = 0
        self._connected = False
        self._trouble = "not connected yet"
        self._client = self._make_client()

    def start(self) -> None:
        """Connect, and again whenever it breaks, until `stop`."""
        self._client.connect_async(self._settings.host, self._settings.port, KEEP_ALIVE_SECONDS)
        self._client.loop_start()

    def stop(self) -> None:
        was_connected, self._connected = self._connected, False
        self._client.disconnect()
        if was_connected:  # else paho's thread ends by itself; it may sleep for a second before it looks
            self._client.loop_stop()

    @property
    def trouble(self) -> str:
        """Why no telemetry comes, one sentence; empty when all is well."""
        if self._connected:
            return ""
        return f"the broker at {self._settings.host}:{self._settings.port} is away: {self._trouble}"

    # ---- TelemetryIn ----

    def receive(self, most: int, seconds: float) -> list[Message]:
        return drained(self._messages, most, seconds)

    def acknowledge(self, node: NodeId, payload: bytes) -> None:
        if self._connected:
            self._client.publish(topic(node, Channel.ACK), payload, qos=1)

    @property
    def overflow(self) -> int:
        return self._overflow

    # ---- Notifier ----

    def hint(self, node: NodeId, generation: int, watch_until_unix_ms: int) -> None:
        payload = wire.hint(generation, watch_until_unix_ms)
        with self._lock:
            self._hints[node] = payload
        if self._connected:
            self._client.publish(topic(node, Channel.DESIRED), payload, qos=1, retain=True)

    # ---- in paho's thread ----

    def _make_client(self) -> _Client:
        mqtt5 = self._settings.mqtt5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=CONTROL_PLANE_USER,
            clean_session=None if mqtt5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
        )
        if self._settings.certificate is not None:
            client.tls_set_context(_tls_context(self._settings))
        client.max_queued_messages_set(MOST_OUTGOING)
        client.max_inflight_messages_set(100)
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda _client, _data: self._retry_later(self._client.trouble)
        client.on_disconnect = lambda _client, _data, _flags, code, _properties: self._retry_later(str(code))
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if not code.is_failure:
            client.subscribe([(every_node(channel), 1) for channel in NODE_WRITES])

    def _on_subscribe(
        self, client: paho.Client, _data: object, _packet: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        if any(code.is_failure for code in codes):
            self._trouble = "it refused our subscriptions; its rules must let the control plane read and write all"
            log.error("%s", self.trouble)
            return
        log.info("connected to the broker at %s:%d", self._settings.host, self._settings.port)
        self._connected, self._failures = True, 0
        with self._lock:
            hints = dict(self._hints)
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
        try:
            self._messages.put_nowait(Message(node, channel, bytes(message.payload), message.retain))
        except queue.Full:
            self._overflow += 1


def _tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    """Raises Fatal when a file is missing or is no certificate."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(settings.ca))
        context.load_cert_chain(str(settings.certificate), str(settings.key))
    except OSError as error:  # ssl.SSLError is one
        raise Fatal(f"the control plane's certificate for the broker can't be used: {error}; restart it") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
