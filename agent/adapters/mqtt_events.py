"""Events to a broker of the box's own, for applications beside it: plain MQTT on loopback.

Rules that hold here: nothing waits; an event that can't go out now is dropped, so that a broker that is
away or slow costs events and nothing else.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from protos import topics
from protos.errors import Rejected
from protos.ids import CameraName, NodeId

KEEP_ALIVE_SECONDS = 15
RETRY_FIRST, RETRY_LONGEST = 1, 15  # seconds between connections
MOST_UNSENT = 32  # events that paho has not written to the socket yet
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    host: str
    port: int


def place(url: str) -> Place:
    """Raises Rejected when `url` is no plain broker on this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 1883
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if parts.scheme != "mqtt" or host not in _LOOPBACK or parts.username:
        raise Rejected(f"the events broker {url!r} must be one on this box, such as mqtt://127.0.0.1:1883")
    return Place(host, port)


class MqttEvents:
    """`start`, then `tell` from any thread, then `close`."""

    def __init__(self, node: NodeId, where: Place) -> None:
        self._node = node
        self._where = where
        self._lock = threading.Lock()
        self._unsent: set[int] = set()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"longshore-events-{node}")
        self._client.reconnect_delay_set(RETRY_FIRST, RETRY_LONGEST)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish

    def start(self) -> None:
        self._client.connect_async(self._where.host, self._where.port, KEEP_ALIVE_SECONDS)
        self._client.loop_start()

    def tell(self, camera: CameraName, payload: bytes) -> bool:
        """False: dropped."""
        with self._lock:
            if not self._client.is_connected() or len(self._unsent) >= MOST_UNSENT:
                return False
            sent = self._client.publish(topics.events(self._node, camera), payload)
            if sent.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                return False
            self._unsent.add(sent.mid)
            return True

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    # ---- in paho's thread ----

    def _on_connect(self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _more: object) -> None:
        where = f"{self._where.host}:{self._where.port}"
        if code.is_failure:
            log.warning("the events broker at %s refused us: %s", where, code)
        else:
            log.info("events go to the broker at %s", where)

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _more: object
    ) -> None:
        with self._lock:
            self._unsent.clear()
        log.warning("the events broker is away: %s", code)

    def _on_publish(self, _client: paho.Client, _data: object, mid: int, _code: object, _more: object) -> None:
        with self._lock:
            self._unsent.discard(mid)
