"""Compiled graphs on the box's disk: one file each, written whole, proven when it is read.

    STATE/compiled/KEY      one JSON line {"sha256": …, "platform": …}, then the graph

A file's time is that of its last use. What is damaged is thrown away and compiled anew.
"""

from __future__ import annotations

import contextlib
import os
from hashlib import sha256
from pathlib import Path

import msgspec

from agent.adapters.files import make_directory, write_atomic
from agent.inference.compiled import Kept


class _Head(msgspec.Struct):
    sha256: str
    platform: str


class CompiledStore:
    """One state directory's. Blocks; `key` is a hash in hexadecimal."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "compiled"

    def get(self, key: str) -> bytes | None:
        """The graph, used now; None where there is none that is whole."""
        path = self._folder / key
        try:
            line, _, content = path.read_bytes().partition(b"\n")
            if msgspec.json.decode(line, type=_Head).sha256 == sha256(content).hexdigest():
                os.utime(path)
                return content
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError):
            pass
        self.drop(key)
        return None

    def put(self, key: str, platform: str, content: bytes) -> None:
        """Raises DiskFull, Fatal, Retryable."""
        make_directory(self._folder, 0o700)
        head = msgspec.json.encode(_Head(sha256(content).hexdigest(), platform))
        write_atomic(self._folder / key, head + b"\n" + content, 0o600)

    def kept(self) -> list[Kept]:
        """All that lie there; what cannot be read belongs to no platform."""
        return [self._kept(path) for path in sorted(self._folder.glob("[0-9a-f]*")) if path.is_file()]

    def drop(self, key: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / key).unlink()

    def _kept(self, path: Path) -> Kept:
        known = path.stat()
        platform = ""
        with contextlib.suppress(OSError, msgspec.MsgspecError), path.open("rb") as file:
            platform = msgspec.json.decode(file.readline(1024), type=_Head).platform
        return Kept(path.name, platform, known.st_size, known.st_mtime)
