"""How a process of the gate gives up its rights: none but to compute, on what it is handed, for a while.

The sandbox is that of the boxes' workers (docs/adr/0017). Beside it: bounds of processor time, no file to write, no
life beyond the one who started it. Packages are loaded, and used once, before.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

from sandbox import profiles
from sandbox.entry import enter

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}


def lock(growth: int, cpu_seconds: int) -> list[str]:
    """For good: `growth` bytes more than now, so many seconds from its start. The layers that do not hold."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    word = enter(profiles.gate(os.getpid(), growth))
    return [f"{layer.name} ({layer.detail})" for layer in word.missing]


def environment(ours: Mapping[str, str], root: Path) -> dict[str, str]:
    """Without our settings, which may hold secrets; one thread, and nothing told to the runtime's maker."""
    kept = {key: value for key, value in ours.items() if not key.startswith("LONGSHORE_")}
    path = os.pathsep.join([str(root), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, **ENVIRONMENT, "PYTHONPATH": path}


class Peak:
    """The most memory that this process held; opened before the lock, which forbids opening."""

    def __init__(self) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # else it is counted from the process's start
            Path("/proc/self/clear_refs").write_text("5")
        self.before = self.bytes

    @property
    def bytes(self) -> int:
        lines = os.pread(self._status, 8192, 0).decode().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
