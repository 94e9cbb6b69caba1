"""StateStore in memory: for tests, and for a `predict` run that keeps nothing."""

from __future__ import annotations


class MemoryState:
    """See agent.ports.StateStore; nothing survives the process."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def put(self, key: str, value: bytes) -> None:
        self._values[key] = bytes(value)

    def delete(self, key: str) -> None:
        self._values.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self._values if key.startswith(prefix))

    def close(self) -> None:
        """Nothing to give back."""
