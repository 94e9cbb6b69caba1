"""Telemetry of boxes without a broker: for tests, and for a control plane that was given none and hears nothing."""

from __future__ import annotations

from controlplane.adapters.inbox import MOST_BYTES, Inbox
from controlplane.ports import Message, Queued
from protos.ids import NodeId


class MemoryTelemetryIn:
    """Implements controlplane.ports.TelemetryIn: `put` messages, look at `acknowledged`."""

    def __init__(self, trouble: str = "", most_bytes: int = MOST_BYTES) -> None:
        self.acknowledged: list[tuple[NodeId, bytes]] = []
        self._trouble = trouble
        self._inbox = Inbox(most_bytes)

    def start(self) -> None:
        return

    def stop(self) -> None:
        return

    def put(self, message: Message) -> None:
        self._inbox.put(message)

    def receive(self, most: int, seconds: float) -> list[Message]:
        return self._inbox.take(most, seconds)

    def acknowledge(self, node: NodeId, payload: bytes) -> None:
        self.acknowledged.append((node, payload))

    @property
    def waiting(self) -> Queued:
        return self._inbox.waiting

    @property
    def overflow(self) -> int:
        return self._inbox.overflow

    @property
    def trouble(self) -> str:
        return self._trouble
