"""A notifier that remembers what it was told: for tests, and where there is no broker."""

from __future__ import annotations

from collections import deque

from protos.ids import NodeId

KEPT = 256


class MemoryNotifier:
    """Implements controlplane.ports.Notifier."""

    def __init__(self) -> None:
        self.hints: deque[tuple[NodeId, int, int]] = deque(maxlen=KEPT)
        self.forgotten: deque[NodeId] = deque(maxlen=KEPT)

    def hint(self, node: NodeId, generation: int, watch_until_unix_ms: int) -> None:
        self.hints.append((node, generation, watch_until_unix_ms))

    def forget(self, node: NodeId) -> None:
        self.forgotten.append(node)
