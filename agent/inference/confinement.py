"""What workers of an engine keep: on the CPU nothing but their channel, on a GPU the driver's devices and libraries.

OpenVINO compiles while it runs, so its memory may become code.

Entered once: by an engine when it is told what to load and before it looks at the model, since by then it knows which
libraries it needs; by a decoder at its start.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from agent.inference.messages import Load
from agent.inference.runtime import GPU_PROVIDERS
from agent.providers import OPENVINO
from sandbox import profiles
from sandbox.entry import enter
from sandbox.report import Confined

# Measured on ONNX Runtime 1.32: loading takes 3 to 6 times a model of 90 to 190 MB, frames of 640 pixels 0.1 GB, a
# thread 0.1 GB. Requests may bring 0.25 GB, and batches more inside the graph. Whoever asks for 16 GB finds an end.
ROOM = 4 << 30  # bytes, beside what the model's own size explains
ROOM_ON_GPU = 8 << 30  # bytes: the driver's own, and a graph that is compiled
TIMES_MODEL = 12  # twice what was measured
DECODER_ROOM = 2 << 30  # bytes of address space: four pictures of the largest size, twice each, and a thread for each

_DRIVER = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local", "/etc/ld.so.cache", "/usr/share/nvidia")
_KERNEL = ("/proc/self", "/proc/driver/nvidia", "/proc/devices", "/proc/meminfo", "/proc/cpuinfo", "/sys")
_DEVICES = ("nvidia*", "nvidia-caps/*", "dri/*", "nvhost*", "nvmap", "nvgpu/**/*")


def confine(load: Load, model_bytes: int) -> Confined:
    """Give up all else."""
    if load.provider in GPU_PROVIDERS:
        return confine_compiler()
    if load.provider in OPENVINO:
        return enter(profiles.engine_that_compiles(os.getpid(), room(load.provider, model_bytes)))
    return enter(profiles.engine(os.getpid(), room(load.provider, model_bytes)))


def room(provider: str, model_bytes: int) -> int:
    """Bytes of memory that an engine of this model, or its compiler, may take beyond what it has at its start."""
    return (ROOM_ON_GPU if provider in GPU_PROVIDERS else ROOM) + TIMES_MODEL * model_bytes


def confine_compiler() -> Confined:
    """As an engine on a GPU, which is what graphs are compiled for."""
    return enter(profiles.engine_on_gpu(os.getpid(), _folders(), _devices()))


def confine_decoder() -> Confined:
    """Give up all else; its libraries are loaded."""
    return enter(profiles.pictures(os.getpid(), DECODER_ROOM))


def _folders() -> tuple[Path, ...]:
    """Where a driver's libraries lie, and what it asks of the system. None of it is a secret."""
    ours = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return tuple(Path(place) for place in (*_DRIVER, *_KERNEL, *sorted(ours)))


def _devices() -> tuple[Path, ...]:
    return tuple(path for pattern in _DEVICES for path in Path("/dev").glob(pattern) if not path.is_dir())
