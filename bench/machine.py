"""The machine a figure was taken on, without its name or any path."""

from __future__ import annotations

import os
import platform
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
