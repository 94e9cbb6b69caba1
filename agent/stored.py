"""What the state directory says, read beside an agent that may be running: the originals are copied, never opened.

A running agent has its databases to itself. A copy that was taken in the middle of a write is a database after a power
cut, which SQLite reads.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from protos.fleet_pb2 import DesiredState

_KEY = "desired"  # agent.link.loop.KEY


def desired_state(state_dir: Path) -> DesiredState:
    """As kept; empty when none came yet, or when it cannot be read."""
    with contextlib.suppress(OSError, sqlite3.Error, DecodeError), copied(state_dir / "state.db") as database:
        row = database.execute("SELECT value FROM state WHERE key = ?", (_KEY,)).fetchone()
        return DesiredState.FromString(row[0]) if row else DesiredState()
    return DesiredState()


@contextlib.contextmanager
def copied(path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of the database at `path`. Raises OSError, sqlite3.Error."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            source = path.with_name(path.name + suffix)
            if not suffix or source.exists():
                shutil.copyfile(source, Path(folder) / source.name)
        with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as database:
            yield database
