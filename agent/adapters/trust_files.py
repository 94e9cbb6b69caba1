"""What trust keeps beside the identity: identity/root.json, trusted first, and identity/floors.json, the second copy.

Both 0600, whole and durable (agent.adapters.files).
"""

from __future__ import annotations

from pathlib import Path

from agent.adapters import files

_PRIVATE = 0o600


class TrustFiles:
    """See agent.trust.kept.SecondPlace and agent.trust.service.FirstRoot."""

    def __init__(self, identity: Path) -> None:
        self._floors = identity / "floors.json"
        self._root = identity / "root.json"

    def floors(self) -> bytes:
        return _read(self._floors)

    def keep_floors(self, content: bytes) -> None:
        files.write_atomic(self._floors, content, _PRIVATE)

    def root(self) -> bytes:
        return _read(self._root)

    def keep_root(self, content: bytes) -> None:
        files.write_atomic(self._root, content, _PRIVATE)


def _read(path: Path) -> bytes:
    with files.translated(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""
