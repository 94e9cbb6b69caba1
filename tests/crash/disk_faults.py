"""Every n-th operation on the outbox's files fails, with each error of a bad disk."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.crash.power_cuts import MEMORY, ROOT
from tests.sim.disk import shim

ERRORS = ("EIO", "ENOSPC", "EROFS")
KINDS = {"w": "write", "s": "sync", "t": "truncate", "o": "create", "u": "remove"}


def swept(every: int, workers: int = 1, kinds: str = "wstou", without: str = "") -> dict[str, dict[str, Any]]:
    """Kind and error -> what `outbox_faults` found. Raises subprocess.CalledProcessError."""
    cases = list(itertools.product(kinds, ERRORS))
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda case: _swept(case[0], case[1], every, without), cases)
        return {f"{KINDS[kind]} {error}": one for (kind, error), one in zip(cases, found, strict=True)}


def _swept(kind: str, error: str, every: int, without: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        command = [sys.executable, "-m", "tests.crash.outbox_faults", folder, kind, error, str(every), without]
        ran = subprocess.run(
            command, env=shim.environment(Path(folder)), cwd=ROOT, check=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(ran.stdout)
        return found
