"""Telemetry of boxes without a broker, for tests: implements controlplane.ports.TelemetryIn."""

from __future__ import annotations

import queue

from controlplane.ports import Message
from protos.ids import NodeId


class MemoryTelemetryIn:
    """`put` messages, look at `acknowledged`."""

    def __init__(self, most: int = 10_000) -> None:
        self.acknowledged: list[tuple[NodeId, bytes]] = []
        self._messages: queue.Queue[Message] = queue.Queue(most)
        self._overflow = 0

    def start(self) -> None:
        return

    def stop(self) -> None:
        return

    def put(self, message: Message) -> None:
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            self._overflow += 1

    def receive(self, most: int, seconds: float) -> list[Message]:
        return drained(self._messages, most, seconds)

    def acknowledge(self, node: NodeId, payload: bytes) -> None:
        self.acknowledged.append((node, payload))

    @property
    def overflow(self) -> int:
        return self._overflow


def drained(messages: queue.Queue[Message], most: int, seconds: float) -> list[Message]:
    """See TelemetryIn.receive."""
    try:
        found = [messages.get(timeout=seconds)]
    except queue.Empty:
        return []
    while len(found) < most:
        try:
            found.append(messages.get_nowait())
        except queue.Empty:
            break
    return found
