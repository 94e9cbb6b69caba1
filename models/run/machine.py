"""What this machine trains on: a GPU where torch has one, else all threads; half precision where it is fast."""

import contextlib
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


@dataclass(frozen=True)
class Machine:
    device: Any  # torch.device
    half: bool  # bfloat16 convolutions while training; weights and sums stay float32
    words: str

    def autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)


def this_machine(threads: int = 0, *, half: bool = True) -> Machine:
    """Look, and set torch up. `threads` of 0 are as many as there are cores for us."""
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
        supported = half and torch.cuda.is_bf16_supported()
        return Machine(torch.device("cuda"), supported, torch.cuda.get_device_name())
    count = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(count)
    _keep_memory()
    return Machine(torch.device("cpu"), half and _fast_bfloat16(), f"{count} CPU threads")


def _fast_bfloat16() -> bool:
    """Without these instructions bfloat16 is emulated, and slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _keep_memory() -> None:
    """Have the allocator keep what a step frees for the next step: a fifth of the time went into page faults."""
    with contextlib.suppress(OSError, AttributeError):  # another C library: slower, nothing else
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
