"""Which GPU, driver and TensorRT this box has, from the files in which they say it: nothing is loaded or run.

NVIDIA's driver for servers and desktops names its GPUs below /proc/driver/nvidia, a Jetson its board in the device
tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from agent.inference.compiled import Platform
from agent.inference.runtime import installed

_MODEL = re.compile(r"^Model:\s*(.+?)\s*$", re.MULTILINE)
_DRIVER = re.compile(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b")
_JETSON = re.compile(r"# (R\d+) \(release\), REVISION: ([\d.]+)")
_LIBRARIES = ("usr/lib", "usr/lib64", "usr/local/tensorrt", "usr/local/cuda/lib64")


def platform(root: Path = Path("/")) -> Platform | None:
    """None where no GPU says what it is: what is compiled there could be bound to nothing."""
    driver = _driver(_text(root / "proc/driver/nvidia/version"), _text(root / "etc/nv_tegra_release"))
    gpus = _gpus(root)
    if not gpus or not driver:
        return None
    runtime = " ".join(f"{name} {version}" for name, version in sorted(installed().items()))
    return Platform(gpus, driver, runtime, ", ".join(_tensorrt(root)))


def _gpus(root: Path) -> tuple[str, ...]:
    told = (_text(path) for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information")))
    named = sorted(found[1] for text in told if (found := _MODEL.search(text)))
    board = _text(root / "proc/device-tree/model").strip("\0\n ")
    return tuple(named) or ((board,) if board else ())


def _driver(version: str, tegra: str) -> str:
    if found := _DRIVER.search(version.partition("\n")[0]):
        return found[1]
    return " ".join(found.groups()) if (found := _JETSON.search(tegra)) else ""


def _tensorrt(root: Path) -> Iterable[str]:
    """From pip's records, and from the names of libraries that a package of the system put there."""
    wheels = ((each.metadata["Name"] or "", each.version) for each in metadata.distributions())
    found = {f"{name} {version}" for name, version in wheels if name.lower().startswith("tensorrt")}
    for folder in _LIBRARIES:
        found.update(path.name for path in (root / folder).glob("**/libnvinfer.so.*.*"))
    return sorted(found)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
