"""The machine a figure was taken on, without its name or any path."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from agent.bench.machine import cpu_model


def describe() -> dict[str, str | int]:
    memory = Path("/proc/meminfo").read_text().splitlines()
    total = next((line.split()[1] for line in memory if line.startswith("MemTotal")), "0")
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()) or platform.machine(),
        "cores": os.cpu_count() or 0,
        "memory_mib": int(total) // 1024,
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
    }


def commit() -> str:
    """What was measured: the commit of this checkout, with a + where files differ from it; "" where that is not known.

    Results differ whenever a bench ran, and are not looked at.
    """
    name = _git("rev-parse", "--short=12", "HEAD")
    return name and name + ("+" if _git("status", "--porcelain", "--", ".", ":!bench/results") else "")


def _git(*words: str) -> str:
    root = Path(__file__).parents[1]
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
