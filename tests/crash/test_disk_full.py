"""The disk fills while a release is pulled: told, nothing damaged, the old one answers, and it goes on by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.world import OLD

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def small_disk(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run `command` where `folder` is a tmpfs of 2 MiB that nobody else sees."""
    script = f"mount -t tmpfs -o size=2m tmpfs {folder} && exec {command}"
    return subprocess.run([*NAMESPACE, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("mode", ["checked", "surprised"])
def test_a_disk_that_fills_while_pulling_is_waited_out(tmp_path: Path, mode: str) -> None:
    if small_disk(tmp_path, "true").returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk (user namespaces are off)")
    ran = small_disk(tmp_path, f"{sys.executable} -m tests.crash.full_disk {tmp_path} {mode}")
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert "free some" in seen["told"]
    assert seen["during"] == OLD.digest
    assert seen["violations"] == []
    assert seen["after"] == "new"
