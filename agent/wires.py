"""What a box is connected to because desired state says so: its broker and its cloud node. Reconciled, never restarted
for nothing: the same wish again keeps the connection. A wish and a renewal that meet take turns, so that neither leaves
a second connection behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.adapters.cloud_grpc import ClientIdentity, GrpcCloud
from agent.adapters.mqtt import MqttLink, MqttSettings, TlsFiles
from agent.desired import Broker, CloudNode
from agent.identity.store import Identity
from agent.link.beats import Beats
from agent.ports import Clock, CloudInference, TelemetryOut
from agent.telemetry import records
from agent.types import Problem
from agent.version import VERSION
from protos.errors import LongshoreError
from protos.ids import CameraName

log = logging.getLogger(__name__)


@dataclass
class BrokerWire:
    """The MQTT connection. `attach` and `beats` hear of a new link, `hint` of "sync now"."""

    identity: Callable[[], Identity]
    tls: TlsFiles
    boot_id: str
    clock: Clock
    attach: Callable[[TelemetryOut | None], None]
    hint: Callable[[bytes], None]
    beats: Beats
    _broker: Broker | None = None
    _link: MqttLink | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def connect(self, broker: Broker | None) -> None:
        """Be connected to `broker`; telemetry waits while there is none."""
        async with self._turn:
            await self._connect(broker)

    async def renewed(self) -> None:
        """The certificate changed: the next handshake needs the new one."""
        async with self._turn:
            broker, self._broker = self._broker, None
            await self._connect(broker)

    def tell(self, camera: CameraName, payload: bytes) -> bool:
        """An event, to whoever listens at the fleet's broker now. False: dropped."""
        return self._link is not None and self._link.tell(camera, payload)

    def problems(self) -> list[Problem]:
        if self._link is None or self._link.connected:
            return []
        return [Problem("broker-away", self._link.trouble)]

    async def close(self) -> None:
        async with self._turn:
            await self._close()

    async def _connect(self, broker: Broker | None) -> None:
        if broker == self._broker:
            return
        await self._close()
        self._broker = broker
        if broker is not None:
            self._link = MqttLink(self._settings(broker))
            self._link.on_hint(self.hint)
            self.attach(self._link)
            self.beats.attach(self._link, broker.beat_seconds)
            self._link.start()

    async def _close(self) -> None:
        link, self._link = self._link, None
        self.attach(None)
        self.beats.attach(None, 0)
        if link is not None:
            await link.close()

    def _settings(self, broker: Broker) -> MqttSettings:
        def presence(*, online: bool) -> bytes:
            now = int(self.clock.unix() * 1000)
            return records.presence(online=online, at_unix_ms=now, boot_id=self.boot_id, agent_version=VERSION)

        return MqttSettings(
            node=self.identity().member.node_id,
            host=broker.host,
            port=broker.port,
            tls=self.tls if broker.tls else None,
            mqtt5=broker.mqtt5,
            birth=presence(online=True),
            will=presence(online=False),
            beat=records.beat(),
            beat_seconds=broker.beat_seconds,
        )


def chosen(node_id: str, nodes: Iterable[CloudNode]) -> CloudNode | None:
    """The cloud node this box asks: rendezvous hashing spreads boxes evenly and moves few when nodes come and go.

    Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
    """
    return max(nodes, key=lambda node: hashlib.sha256(f"{node_id}/{node.node_id}".encode()).digest(), default=None)


@dataclass
class CloudWire:
    """The channel to one cloud node. `offer` hears of it, or of None."""

    identity: Callable[[], Identity]
    offer: Callable[[CloudInference | None], None]
    _node: CloudNode | None = None
    _cloud: GrpcCloud | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def connect(self, nodes: Iterable[CloudNode]) -> None:
        async with self._turn:
            await self._connect(chosen(self.identity().member.node_id, nodes))

    async def renewed(self) -> None:
        async with self._turn:
            node, self._node = self._node, None
            await self._connect(node)

    async def close(self) -> None:
        async with self._turn:
            await self._close()

    async def _connect(self, wanted: CloudNode | None) -> None:
        if wanted == self._node:
            return
        await self._close()
        self._node = wanted
        if wanted is None:
            return
        try:
            self._cloud = GrpcCloud(wanted.node_id, wanted.url, self._client_identity)
        except LongshoreError as error:
            log.warning("%s", error)
        self.offer(self._cloud)

    async def _close(self) -> None:
        cloud, self._cloud = self._cloud, None
        self.offer(None)
        if cloud is not None:
            await asyncio.shield(cloud.close())

    def _client_identity(self) -> ClientIdentity:
        own = self.identity()
        return ClientIdentity(own.ca, own.certificate, own.key)
