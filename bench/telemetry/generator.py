"""Batches straight from memory to the broker, as fast as they are acknowledged: what ingest takes at most."""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.adapters.mqtt import TlsFiles
from agent.telemetry import payload, records
from agent.telemetry.outbox import Lane
from agent.telemetry.records import Waiting
from agent.telemetry.sender import MOST_RECORDS as MOST_OF_LANE
from bench.telemetry.history import Made
from protos import telemetry_pb2 as wire
from protos.ids import NodeId
from protos.topics import Channel, every_node, topic
from tests.sim.made import draft
from tests.sim.telemetry_box import MIX

USER = "generator"  # its certificate's name; the broker must let it write for every box
MOST_RECORDS = MOST_OF_LANE[Lane.HISTORICAL]  # of a batch, as of those that come from the dark
IN_THE_AIR = 100  # batches that nobody has acknowledged
SECONDS = 120.0


@dataclass(frozen=True)
class Load:
    """A batch of one node."""

    node: str
    payload: bytes


def loads(nodes: list[str], batches: int) -> list[Load]:
    """So many of each node, full ones of one class, with names that nobody had before; nodes by turns."""
    return [load for row in zip(*(_of(node, batches) for node in nodes), strict=True) for load in row]


def _of(node: str, batches: int) -> Iterator[Load]:
    run, now = secrets.token_hex(4), time.time_ns()
    epochs = {each: secrets.token_hex(8) for each in MIX}
    last = dict.fromkeys(MIX, 0)
    for number in range(batches):
        record_class = MIX[number % len(MIX)]
        first = last[record_class] + 1
        last[record_class] += MOST_RECORDS
        made = (Made(run, record_class, each) for each in range(first, first + MOST_RECORDS))
        rows = [_row(each, now) for each in made]
        batch = records.stamped(records.batch(epochs[record_class], rows), now // 1_000_000)
        yield Load(node, payload.compressed(batch))


def _row(made: Made, unix_ns: int) -> Waiting:
    made_of = draft(made, unix_ns)
    return Waiting(made_of.record_class, made.number, made_of.body)


@dataclass
class Generator:
    """One connection. `rate` may be asked again and again."""

    files: TlsFiles
    port: int
    _topics: frozenset[str] = frozenset()  # of acknowledgements that are its own: boxes get theirs meanwhile
    _stored: dict[tuple[str, str], int] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def rate(self, given: list[Load]) -> float:
        """Records a second, from the first publish to the last acknowledgement. Raises TimeoutError."""
        client = self._connected()
        self._stored.clear()
        self._topics = frozenset(topic(NodeId(load.node), Channel.ACK) for load in given)
        began = time.monotonic()
        for number, load in enumerate(given):
            self._wait(number - IN_THE_AIR)
            client.publish(topic(NodeId(load.node), Channel.TELEMETRY), load.payload, qos=1)
        self._wait(len(given))
        seconds = time.monotonic() - began
        client.disconnect()
        client.loop_stop()
        return len(given) * MOST_RECORDS / seconds

    def _wait(self, batches: int) -> None:
        """Until so many are acknowledged."""
        with self._changed:
            if not self._changed.wait_for(lambda: sum(self._stored.values()) >= batches * MOST_RECORDS, SECONDS):
                raise TimeoutError(
                    f"{sum(self._stored.values())} of {batches * MOST_RECORDS} records were acknowledged"
                )

    def _connected(self) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=USER, protocol=MQTTProtocolVersion.MQTTv5)
        context = ssl.create_default_context(cafile=str(self.files.ca))
        context.load_cert_chain(str(self.files.certificate), str(self.files.key))
        client.tls_set_context(context)
        client.max_inflight_messages_set(2 * IN_THE_AIR)
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = self._acknowledged
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        client.subscribe(every_node(Channel.ACK), qos=1)
        if not subscribed.wait(SECONDS):
            raise TimeoutError("the broker did not take the generator's subscription")
        return client

    def _acknowledged(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        """Batches of an epoch are sent in order, so the greatest number tells how many are stored."""
        if message.topic not in self._topics:
            return
        ack = wire.TelemetryAck.FromString(bytes(message.payload))
        last = max([ack.up_to, *(each.last for each in ack.stored)])
        with self._changed:
            key = message.topic, ack.epoch
            self._stored[key] = max(last, self._stored.get(key, 0))
            self._changed.notify()
