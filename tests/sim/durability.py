"""How durable what a test writes is: SQLite connections tell as they close, files as they get their names."""

from __future__ import annotations

import functools
import os
import sqlite3
from pathlib import Path

import pytest

FULL = 2  # PRAGMA synchronous: each commit waits until the disk has it


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The `synchronous` level of each connection that was opened from now on and has been closed."""
    levels: list[int] = []

    class Telling(sqlite3.Connection):
        def close(self) -> None:
            levels.append(self.execute("PRAGMA synchronous").fetchone()[0])
            super().close()

    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Telling))
    return levels


def named(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to files from now on: `file` and `folder` are synced, `rename` is done."""
    order: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")  # noqa: PTH112
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    return order
