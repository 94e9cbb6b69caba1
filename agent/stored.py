"""What the state directory says, read beside an agent that may be running: databases are copied, never opened.

A running agent has its databases to itself. A copy that was taken in the middle of a write is a database after a power
cut, which SQLite reads.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from google.protobuf.message import DecodeError

from agent.adapters.trust_files import TrustFiles
from agent.trust import floors
from agent.trust.floors import Floors
from protos.errors import LongshoreError
from protos.fleet_pb2 import DesiredState

_KEY = "desired"  # agent.link.loop.KEY


@dataclass(frozen=True)
class TrustState:
    """What this box has proven of signed metadata. `expires`: of the timestamp it has, unix seconds, 0: it has none."""

    rooted: bool = False
    floors: Floors = Floors()  # noqa: RUF009  # frozen, and its fields are not written to
    expires: float = 0.0


def trust(state_dir: Path) -> TrustState:
    """As far as it can be read."""
    known, places, rooted = Floors(), TrustFiles(state_dir / "identity"), False
    with contextlib.suppress(LongshoreError):
        rooted = bool(places.root())
        known = floors.from_bytes(places.floors())
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        signed = json.loads((state_dir / "trust" / "timestamp.json").read_bytes())["signed"]
        return TrustState(rooted, known, datetime.fromisoformat(signed["expires"]).timestamp())
    return TrustState(rooted, known)


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
