"""Many boxes at the broker over one connection: what they publish, and what was acknowledged to each.

It has a replica's name, because that one may speak for all of them; it subscribes to acknowledgements alone.
"""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.adapters.mqtt import TlsFiles
from controlplane.ingest.numbers import Numbers
from controlplane.trust.domain import CONTROL_PLANE_USER, REPLICAS, replica_user
from protos import telemetry_pb2 as wire
from protos import topics
from protos.ids import NodeId
from protos.topics import Channel, every_node, topic

USER = replica_user(CONTROL_PLANE_USER, REPLICAS)


class ManyBoxes:
    """Connected when made. `acknowledged` says by (box, epoch) what need not be sent again."""

    def __init__(self, port: int, files: TlsFiles, seconds: float = 15.0) -> None:
        self.acknowledged: dict[tuple[NodeId, str], Numbers] = {}
        self.acks = 0
        self._records = 0
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=USER, protocol=MQTTProtocolVersion.MQTTv5)
        context = ssl.create_default_context(cafile=str(files.ca))
        context.load_cert_chain(str(files.certificate), str(files.key))
        self._client.tls_set_context(context)
        self._client.max_inflight_messages_set(100)
        self._client.on_connect = lambda client, *_: client.subscribe(every_node(Channel.ACK), qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(seconds)

    def publish(self, node: NodeId, payload: bytes) -> paho.MQTTMessageInfo:
        return self._client.publish(topic(node, Channel.TELEMETRY), payload, qos=1)

    def records(self) -> int:
        """Acknowledged of all boxes."""
        return self._records

    def wait(self, records: int, seconds: float) -> bool:
        """Until so many are acknowledged; whether they are in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._records >= records, seconds)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        node, _ = topics.parse(message.topic)
        ack = wire.TelemetryAck.FromString(bytes(message.payload))
        told = [*([(1, ack.up_to)] if ack.up_to else []), *((each.first, each.last) for each in ack.stored)]
        with self._changed:
            self.acks += 1
            before = self.acknowledged.get((node, ack.epoch), Numbers())
            after = self.acknowledged[node, ack.epoch] = before.plus(sorted(told))
            self._records += after.count - before.count
            self._changed.notify_all()


def files_in(folder: Path) -> TlsFiles:
    """As tests.sim.telemetry_plane wants them."""
    return TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
