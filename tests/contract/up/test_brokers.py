"""What both brokers of `longshore up` promise: one body, run against mosquitto and the embedded one, with paho."""

from __future__ import annotations

import os
import queue
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from controlplane.adapters.authority_files import load_or_create, write_pair
from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.ports import MAX_MESSAGE_BYTES
from controlplane.trust.domain import CONTROL_PLANE_USER
from controlplane.up import plan
from controlplane.up.broker_rules import Listener, mosquitto_acl, mosquitto_conf
from protos.ids import node_id
from protos.topics import Channel, every_node, topic
from tests.servers.ports import free_port, wait_for
from tests.servers.require import program

NOW = 1_795_000_000.0
QUAY_1, QUAY_2 = node_id("quay-1"), node_id("quay-2")
SECONDS = 10.0


@dataclass
class Broker:
    """A running broker and the CA it trusts."""

    folder: Path
    listener: Listener
    authority: LocalAuthority
    clients: list[paho.Client] = field(default_factory=list)

    def connect(
        self,
        user: str,
        *,
        client_id: str = "",
        authority: LocalAuthority | None = None,
        certificate: bool = True,
        will: str = "",
    ) -> Mailbox:
        """A connected client with a certificate in the name of `user`."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or user, protocol=MQTTProtocolVersion.MQTTv311
        )
        context = ssl.create_default_context(cafile=str(self.listener.ca))
        if certificate:
            pair = (authority or self.authority).issue_client(user, NOW, 36_500)
            context.load_cert_chain(*map(str, write_pair(self.folder, f"client-{len(self.clients)}", pair)))
        client.tls_set_context(context)
        if will:
            client.will_set(topic(node_id(user), Channel.PRESENCE), will, qos=1, retain=True)
        self.clients.append(client)
        mailbox = Mailbox(client)
        client.connect("127.0.0.1", self.listener.port)
        client.loop_start()
        return mailbox


class Mailbox:
    """A client, what it received, and whether it was let in."""

    def __init__(self, client: paho.Client) -> None:
        self.client = client
        self.received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.events: queue.Queue[str] = queue.Queue()
        client.on_message = lambda _c, _u, message: self.received.put((message.topic, bytes(message.payload)))
        client.on_connect = lambda _c, _u, _f, reason, _p: self.events.put("refused" if reason.is_failure else "in")
        client.on_disconnect = lambda *_: self.events.put("out")
        client.on_subscribe = lambda _c, _u, _m, reasons, _p: self.events.put(f"subscribed {reasons[0]}")

    def expect(self, event: str) -> None:
        assert self.events.get(timeout=SECONDS) == event

    def subscribe(self, filter_: str) -> str:
        """The broker's answer."""
        self.client.subscribe(filter_, qos=1)
        return self.events.get(timeout=SECONDS)

    def publish(self, where: str, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(where, payload, qos=1, retain=retain).wait_for_publish(SECONDS)

    def next(self, channel: Channel) -> tuple[str, bytes]:
        """What comes next on `channel`; a broker may also send again what it retains elsewhere."""
        while True:
            where, payload = self.received.get(timeout=SECONDS)
            if where.endswith(f"/{channel}"):
                return where, payload


def _command(kind: str, folder: Path, listener: Listener) -> tuple[str, ...]:
    if kind == "embedded":
        return plan.embedded_broker(listener, CONTROL_PLANE_USER).command
    acl, conf = folder / "acl", folder / "mosquitto.conf"
    acl.write_text(mosquitto_acl(CONTROL_PLANE_USER))
    conf.write_text(mosquitto_conf(listener, acl, as_root=os.geteuid() == 0))
    return plan.mosquitto(program("mosquitto", "mosquitto"), conf, listener).command


@pytest.fixture(scope="module", params=[pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    authority = load_or_create(folder, NOW)
    files = write_pair(folder, "broker", authority.issue_server(("localhost", "127.0.0.1"), NOW, 36_500))
    listener = Listener("127.0.0.1", free_port(), folder / "ca.pem", *files)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(_command(request.param, folder, listener), stdout=log, stderr=log)
    wait_for(listener.port, process)
    yield Broker(folder, listener, authority)
    process.terminate()
    assert process.wait(timeout=SECONDS) in (0, -15)


@pytest.fixture
def connect(broker: Broker) -> Iterator[Callable[..., Mailbox]]:
    yield broker.connect
    for client in broker.clients:
        client.disconnect()
        client.loop_stop()
    broker.clients.clear()


@pytest.fixture
def control_plane(connect: Callable[..., Mailbox]) -> Mailbox:
    mailbox = connect(CONTROL_PLANE_USER)
    mailbox.expect("in")
    assert mailbox.subscribe(every_node(Channel.TELEMETRY)) == "subscribed Granted QoS 1"
    return mailbox


def try_to_connect(broker: Broker, context: ssl.SSLContext | None) -> None:
    """Raises when the broker ends the connection; TLS 1.3 tells a client without a certificate at its first read."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=QUAY_1)
    if context:
        client.tls_set_context(context)
    client.connect("127.0.0.1", broker.listener.port)
    while client.loop(0.1) is paho.MQTT_ERR_SUCCESS:
        assert not client.is_connected()
    raise ConnectionError


def test_a_client_without_a_certificate_is_refused(broker: Broker) -> None:
    context = ssl.create_default_context(cafile=str(broker.listener.ca))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        try_to_connect(broker, context)


def test_a_plain_connection_is_refused(broker: Broker) -> None:
    with pytest.raises(ConnectionError):
        try_to_connect(broker, None)


def test_a_certificate_of_another_ca_is_refused(broker: Broker) -> None:
    stranger = LocalAuthority(*new_ca(NOW)).issue_client(QUAY_1, NOW, 36_500)
    context = ssl.create_default_context(cafile=str(broker.listener.ca))
    context.load_cert_chain(*map(str, write_pair(broker.folder, "stranger", stranger)))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        try_to_connect(broker, context)


def test_telemetry_of_a_box_reaches_the_control_plane(connect: Callable[..., Mailbox], control_plane: Mailbox) -> None:
    box = connect(QUAY_1)
    box.expect("in")
    box.publish(topic(QUAY_1, Channel.TELEMETRY), b"batch")
    assert control_plane.next(Channel.TELEMETRY) == (topic(QUAY_1, Channel.TELEMETRY), b"batch")


def test_an_acknowledgement_reaches_its_box_and_no_other(
    connect: Callable[..., Mailbox], control_plane: Mailbox
) -> None:
    first, second = connect(QUAY_1), connect(QUAY_2)
    for box, node in ((first, QUAY_1), (second, QUAY_2)):
        box.expect("in")
        assert box.subscribe(topic(node, Channel.ACK)) == "subscribed Granted QoS 1"
    control_plane.publish(topic(QUAY_1, Channel.ACK), b"one")
    control_plane.publish(topic(QUAY_2, Channel.ACK), b"two")
    assert first.next(Channel.ACK) == (topic(QUAY_1, Channel.ACK), b"one")
    assert second.next(Channel.ACK) == (topic(QUAY_2, Channel.ACK), b"two")


def test_a_box_cannot_speak_for_another(connect: Callable[..., Mailbox], control_plane: Mailbox) -> None:
    box = connect(QUAY_1)
    box.expect("in")
    # Not waited for: a broker may refuse by silence or by closing the connection.
    box.client.publish(topic(QUAY_2, Channel.TELEMETRY), b"forged", qos=0)
    honest = connect(QUAY_2)
    honest.expect("in")
    honest.publish(topic(QUAY_2, Channel.TELEMETRY), b"honest")
    assert control_plane.next(Channel.TELEMETRY) == (topic(QUAY_2, Channel.TELEMETRY), b"honest")


def test_a_box_cannot_listen_to_another(connect: Callable[..., Mailbox], control_plane: Mailbox) -> None:
    box = connect(QUAY_1)
    box.expect("in")
    box.subscribe(topic(QUAY_2, Channel.ACK))
    box.subscribe("#")
    box.subscribe(topic(QUAY_1, Channel.ACK))
    control_plane.publish(topic(QUAY_2, Channel.ACK), b"not yours")
    control_plane.publish(topic(QUAY_1, Channel.ACK), b"yours")
    assert box.next(Channel.ACK) == (topic(QUAY_1, Channel.ACK), b"yours")


def test_a_box_that_comes_later_gets_the_retained_hint(connect: Callable[..., Mailbox], control_plane: Mailbox) -> None:
    control_plane.publish(topic(QUAY_1, Channel.DESIRED), b"generation 7", retain=True)
    box = connect(QUAY_1)
    box.expect("in")
    box.subscribe(topic(QUAY_1, Channel.DESIRED))
    assert box.next(Channel.DESIRED) == (topic(QUAY_1, Channel.DESIRED), b"generation 7")


def test_a_packet_above_the_limit_ends_its_connection_and_nobody_elses(
    connect: Callable[..., Mailbox], control_plane: Mailbox
) -> None:
    greedy, honest = connect(QUAY_1), connect(QUAY_2)
    for box in (greedy, honest):
        box.expect("in")
    greedy.client.publish(topic(QUAY_1, Channel.TELEMETRY), bytes(MAX_MESSAGE_BYTES + 1), qos=1)
    greedy.expect("out")
    honest.publish(topic(QUAY_2, Channel.TELEMETRY), bytes(MAX_MESSAGE_BYTES - 1000))
    assert len(control_plane.next(Channel.TELEMETRY)[1]) == MAX_MESSAGE_BYTES - 1000


def test_another_box_with_the_same_client_id_does_not_throw_the_first_out(
    connect: Callable[..., Mailbox], control_plane: Mailbox
) -> None:
    first = connect(QUAY_1)
    first.expect("in")
    first.subscribe(topic(QUAY_1, Channel.ACK))
    thief = connect(QUAY_2, client_id=QUAY_1)
    thief.events.get(timeout=SECONDS)
    first.publish(topic(QUAY_1, Channel.TELEMETRY), b"still here")
    assert control_plane.next(Channel.TELEMETRY) == (topic(QUAY_1, Channel.TELEMETRY), b"still here")
    control_plane.publish(topic(QUAY_1, Channel.ACK), b"still heard")
    assert first.next(Channel.ACK) == (topic(QUAY_1, Channel.ACK), b"still heard")
    assert first.events.empty()


def test_the_last_will_of_a_box_that_vanishes_is_delivered(
    connect: Callable[..., Mailbox], control_plane: Mailbox
) -> None:
    control_plane.subscribe(every_node(Channel.PRESENCE))
    box = connect(QUAY_2, will="offline")
    box.expect("in")
    socket = box.client.socket()
    assert socket is not None
    socket.close()  # no DISCONNECT: a power cut
    assert control_plane.next(Channel.PRESENCE) == (topic(QUAY_2, Channel.PRESENCE), b"offline")


def test_a_box_that_returns_gets_nothing_that_is_retained_for_others(
    connect: Callable[..., Mailbox], control_plane: Mailbox
) -> None:
    control_plane.publish(topic(QUAY_2, Channel.DESIRED), b"not yours", retain=True)
    connect(QUAY_2).subscribe(topic(QUAY_2, Channel.DESIRED))
    first = connect(QUAY_1)
    first.expect("in")
    first.client.disconnect()
    again = connect(QUAY_1)
    again.expect("in")
    again.subscribe(topic(QUAY_1, Channel.ACK))
    control_plane.publish(topic(QUAY_1, Channel.ACK), b"last")
    received = []
    while (message := again.received.get(timeout=SECONDS))[1] != b"last":
        received.append(message)
    assert (topic(QUAY_2, Channel.DESIRED), b"not yours") not in received
