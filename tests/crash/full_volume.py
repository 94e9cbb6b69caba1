"""Runs a story of `outbox_volume` where its folder is a small tmpfs that nobody else sees."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.crash.power_cuts import ROOT

STORIES = ("ours", "others", "killed")
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
MISSING = "this machine lets nobody mount a small disk (there is no unshare, or user namespaces are off)"
SIZE = "6m"


def possible(folder: Path) -> bool:
    return shutil.which("unshare") is not None and _within(folder, ["true"]).returncode == 0


def told(folder: Path, story: str, without: str = "") -> dict[str, Any]:
    """What was seen. Raises RuntimeError with what the story's process said when it fails."""
    volume = folder / story
    volume.mkdir()
    words = [sys.executable, "-m", "tests.crash.outbox_volume", str(volume), str(folder / f"{story}.notes"), story]
    ran = _within(volume, [*words, *([without] if without else [])])
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr)
    seen: dict[str, Any] = json.loads(ran.stdout)
    return seen


def _within(volume: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    script = f"mount -t tmpfs -o size={SIZE} tmpfs {shlex.quote(str(volume))} && exec {shlex.join(command)}"
    return subprocess.run(
        [*NAMESPACE, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=120, cwd=ROOT
    )
