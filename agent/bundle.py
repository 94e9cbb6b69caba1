"""What `longshore-agent support-bundle` packs on a box: findings, configuration, what it was told, what lies where.

Keys are never read, of the state only names and sizes are told, and every text goes through the same redaction. What
cannot be had is in the bundle as the sentence that came instead: a bundle is made when things are broken.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from agent import doctor, stored
from agent.adapters import outbox_tables
from agent.adapters.x509 import X509Keys
from agent.config import PREFIX, AgentConfig
from agent.install.unit import NAME, UNIT
from agent.version import VERSION
from protos.errors import LongshoreError, Rejected

JOURNAL_LINES = 2000
_SECONDS = 20.0  # of a program of the system
_LIBRARIES = (
    "av",
    "cryptography",
    "grpcio",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python-headless",
    "protobuf",
    "securesystemslib",
    "tuf",
)


def gather(config: AgentConfig, environment: Mapping[str, str] = os.environ) -> Iterator[tuple[str, Any]]:
    """Files and their documents, not redacted yet."""
    parts: dict[str, Callable[[], Any]] = {
        "doctor.json": lambda: [asdict(finding) for finding in doctor.examine(config)],
        "engines.json": lambda: doctor.gather(config).capabilities,
        "config.json": lambda: _configured(config, environment),
        "desired.json": lambda: json_format.MessageToDict(stored.desired_state(config.state_dir)),
        "identity.json": lambda: _identity(config.state_dir / "identity"),
        "trust.json": lambda: asdict(stored.trust(config.state_dir)),
        "state.json": lambda: list(_listing(config.state_dir)),
        "outbox.json": lambda: _outbox(config.state_dir / "outbox.db"),
        "versions.json": _versions,
        "journal.json": _journal,
    }
    for name, part in parts.items():
        try:
            yield name, part()
        except (LongshoreError, OSError, sqlite3.Error, ValueError) as error:
            yield name, {"error": f"{type(error).__name__}: {error}"}


def _configured(config: AgentConfig, environment: Mapping[str, str]) -> dict[str, Any]:
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    return {"config": {name: str(value) for name, value in asdict(config).items()}, "environment": given}


def _identity(folder: Path) -> dict[str, Any]:
    """Who the box is; its key is not looked at."""
    facts = X509Keys().facts((folder / "cert.pem").read_bytes())
    ends = datetime.fromtimestamp(facts.not_after, UTC).isoformat()
    return {"member": json.loads((folder / "node.json").read_bytes()), "node": facts.node_id, "certificateEnds": ends}


def _listing(state_dir: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(state_dir.rglob("*")):
        about = path.lstat()
        changed = datetime.fromtimestamp(about.st_mtime, UTC).isoformat(timespec="seconds")
        name = str(path.relative_to(state_dir))
        yield {"path": name, "bytes": about.st_size, "mode": oct(about.st_mode), "owner": about.st_uid, "at": changed}


def _outbox(path: Path) -> dict[str, Any]:
    with stored.copied(path) as database:
        books = outbox_tables.load(database)
    waiting = [
        {
            "epoch": epoch.name,
            "class": epoch.record_class.word,
            "start": epoch.start,
            "accepted": epoch.accepted,
            "dropped": epoch.dropped,
            "records": epoch.held.rows,
            "bytes": epoch.held.bytes,
        }
        for epoch in books.epochs.values()
    ]
    said = books.summary()
    totals = {"accepted": said.accepted, "dropped": said.dropped_rows, "oldestUnixMs": said.oldest_unix_ms}
    return {"start": said.start, "before": said.before, **totals, "waiting": waiting}


def _versions() -> dict[str, Any]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    system = {"platform": platform.platform(), "python": sys.version, "cores": os.cpu_count(), "user": os.geteuid()}
    return {"agent": VERSION, "libraries": found, **system}


def _journal() -> dict[str, Any]:
    """Of the service, where there is one and this user may read it."""
    if shutil.which("journalctl") is None:
        raise Rejected("journalctl is not here; add the agent's log by hand")
    lines = _said("journalctl", "--unit", UNIT, "--lines", str(JOURNAL_LINES), "--output", "cat", "--no-pager")
    return {"status": _said("systemctl", "show", NAME, "--property", "ActiveState,NRestarts,Result"), "lines": lines}


def _said(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace")
    except subprocess.TimeoutExpired:
        return [f"{command[0]} did not answer within {_SECONDS:.0f} s"]
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]
