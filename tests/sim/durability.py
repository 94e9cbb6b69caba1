"""How durable the SQLite connections of a test were, told by each of them as it closes."""

from __future__ import annotations

import functools
import sqlite3

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
