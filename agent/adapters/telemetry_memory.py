"""A broker in memory and its link, for tests: behaves like the MQTT one.

The hub can be taken away (`cut`), refuse (`deny`), and loses what nobody listens to, as a broker does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from agent.ports import Undelivered
from agent.telemetry.silence import NOBODY
from protos.ids import CameraName, NodeId
from protos.topics import Channel, events, topic

Handler = Callable[[bytes], None]


class MemoryHub:
    """Topics, retained messages, subscribers. Wills are sent by `cut`."""

    def __init__(self) -> None:
        self.up = True
        self.deny = ""  # why every publish is refused
        self.retained: dict[str, bytes] = {}
        self._subscribers: dict[str, list[Handler]] = defaultdict(list)
        self._links: list[MemoryLink] = []

    def subscribe(self, where: str, handler: Handler) -> None:
        self._subscribers[where].append(handler)
        if where in self.retained:
            handler(self.retained[where])

    def publish(self, where: str, payload: bytes, *, retain: bool = False) -> int:
        """How many got it."""
        if retain:
            self.retained[where] = payload
        for handler in self._subscribers[where]:
            handler(payload)
        return len(self._subscribers[where])

    def add(self, link: MemoryLink) -> None:
        self._links.append(link)

    def cut(self) -> None:
        """Broker gone."""
        self.up = False
        for link in self._links:
            link.changed()

    def restore(self) -> None:
        self.up = True
        for link in self._links:
            link.changed()


class MemoryLink:
    """See agent.ports.TelemetryOut."""

    def __init__(self, hub: MemoryHub, node: NodeId, birth: bytes = b"", will: bytes = b"", beat: bytes = b"") -> None:
        self._hub = hub
        self._node = node
        self._birth, self._will, self._beat = birth, will, beat
        self._on_connection: list[Callable[[bool], None]] = []
        self._connected = False
        self._closed = False

    def start(self) -> None:
        self._hub.add(self)
        self.changed()

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def trouble(self) -> str:
        return "" if self._connected else "the broker is away; telemetry waits on this box"

    def on_ack(self, handler: Handler) -> None:
        self._hub.subscribe(topic(self._node, Channel.ACK), self._while_open(handler))

    def on_hint(self, handler: Handler) -> None:
        self._hub.subscribe(topic(self._node, Channel.DESIRED), self._while_open(handler))

    def _while_open(self, handler: Handler) -> Handler:
        return lambda payload: None if self._closed else handler(payload)

    def on_connection(self, handler: Callable[[bool], None]) -> None:
        self._on_connection.append(handler)

    async def publish(self, payload: bytes) -> None:
        await self._publish(Channel.TELEMETRY, payload)

    async def beat(self) -> None:
        await self._publish(Channel.PRESENCE, self._beat)

    async def _publish(self, channel: Channel, payload: bytes) -> None:
        await asyncio.sleep(0)
        if not self._connected:
            raise Undelivered(self.trouble, "not connected")
        if self._hub.deny:
            raise Undelivered(f"the broker did not deliver telemetry: {self._hub.deny}", self._hub.deny)
        if not self._hub.publish(topic(self._node, channel), payload):
            raise Undelivered(f"the broker did not deliver telemetry: {NOBODY}", NOBODY)

    def tell(self, camera: CameraName, payload: bytes) -> bool:
        if self._connected:
            self._hub.publish(events(self._node, camera), payload)
        return self._connected

    async def close(self) -> None:
        self._closed = True
        self.changed()

    def changed(self) -> None:
        """The hub came or went, or this link closed."""
        connected = self._hub.up and not self._closed
        if connected == self._connected:
            return
        self._connected = connected
        said = self._birth if connected else self._will
        self._hub.publish(topic(self._node, Channel.PRESENCE), said, retain=True)
        for handler in self._on_connection:
            handler(connected)
