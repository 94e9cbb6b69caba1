"""What an earlier release left on disk (tests/fixtures), laid out as that release had it: copies for today's code."""

from __future__ import annotations

import atexit
import json
import shutil
import sqlite3
import tarfile
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from controlplane.db import Database

KEPT = Path(__file__).parents[1] / "fixtures" / "0.1.0"
BOX = "north-quay"
PRIVATE = ("*.key", "key.pem", "admin.token")  # git keeps no modes


def _unpacked() -> Path:
    """What the release left, for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="longshore-0.1.0-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with tarfile.open(KEPT / "state.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder


FIRST = _unpacked()


def control_plane(state: Path) -> Path:
    """The control plane's state below `state`, on SQLite."""
    folder = _copied(FIRST / "controlplane", state / "controlplane", ignore="*.sql")
    shutil.copytree(FIRST / "blobs", folder / "blobs" / "sha256")
    with sqlite3.connect(folder / "longshore.db") as database:
        database.executescript((FIRST / "controlplane" / "longshore.sqlite.sql").read_text())
    database.close()
    return folder


def fill_postgres(url: str) -> None:
    """The same rows as the release's own tables on PostgreSQL."""
    database = Database(url)
    with database.engine.begin() as connection:
        dump = (FIRST / "controlplane" / "longshore.postgres.sql").read_text()
        connection.connection.cursor().execute(dump)
    database.close()


def box(state_dir: Path, https: int = 0, grpc: int = 0) -> Path:
    """The box's state directory. Ports: where its control plane answers on this machine now."""
    _copied(FIRST / "box", state_dir)
    shutil.copytree(FIRST / "blobs", state_dir / "blobs" / "sha256")
    told = state_dir / "identity" / "node.json"
    member = json.loads(told.read_text())
    moved = {"url": f"https://127.0.0.1:{https}", "fleetAddress": f"127.0.0.1:{grpc}"} if grpc else {}
    told.write_text(json.dumps({**member, **moved}))
    return state_dir


def wire() -> FileDescriptorSet:
    return FileDescriptorSet.FromString((KEPT / "wire.binpb").read_bytes())


def commit() -> str:
    """Of the release's code."""
    return (KEPT / "COMMIT").read_text().strip()


def _copied(source: Path, target: Path, ignore: str = "") -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(ignore))
    for pattern in PRIVATE:
        for path in target.rglob(pattern):
            path.chmod(0o600)
    return target
