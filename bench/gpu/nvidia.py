"""The GPU and how busy it is, from NVIDIA's own `nvidia-smi`; where that is not, there is no GPU."""

from __future__ import annotations

import shutil
import statistics
import subprocess
from dataclasses import dataclass

NAMES = ("name", "compute_cap", "driver_version", "memory.total")
EVERY = 200  # milliseconds between samples


@dataclass(frozen=True)
class Gpu:
    name: str
    compute_capability: str
    driver: str
    memory_mib: int


def parsed(text: str) -> Gpu | None:
    """The first GPU of a CSV without head and units; None where there is none. Pure."""
    fields = [field.strip() for field in text.partition("\n")[0].split(",")]
    if len(fields) != len(NAMES) or not fields[3].isdigit():
        return None
    return Gpu(fields[0], fields[1], fields[2], int(fields[3]))


def busy_of(text: str) -> float | None:
    """The mean share of samples in percent, one a line; None without any. Pure."""
    shares = [int(line) / 100 for line in text.splitlines() if line.strip().isdigit()]
    return statistics.fmean(shares) if shares else None


def gpu() -> Gpu | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    asked = [program, f"--query-gpu={','.join(NAMES)}", "--format=csv,noheader,nounits"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
    return parsed(said.stdout) if said.returncode == 0 else None


class Watch:
    """Samples while it is entered; `busy` afterwards, None where there is no GPU."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.busy: float | None = None

    def __enter__(self) -> Watch:
        if program := shutil.which("nvidia-smi"):
            asked = [program, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--loop-ms={EVERY}"]
            self._process = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self.busy = busy_of(self._process.communicate()[0])
