"""Whether this box can run OpenVINO in the precision that was asked for. Pure over what is installed and the processor.

OpenVINO is an extra, beside ONNX Runtime, which says what a model answers in fp32. A precision that the processor lacks
is refused before anything is loaded: OpenVINO would take another one, and say nothing.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from agent.providers import OPENVINO

REQUIREMENT = "openvino>=2026.4.1,<2026.5"  # as in pyproject.toml; a test holds the two together
CPU = Path("/proc/cpuinfo")
# As the kernel calls what multiplies bf16: x86 with AVX-512 or AMX, or AVX2 of the newest small cores; Arm.
_BF16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})


def installed() -> str | None:
    """The version of OpenVINO in this environment."""
    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:
        return None


def abilities(path: Path = CPU) -> frozenset[str]:
    """Of the first processor, in the kernel's words."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    told = (line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features")))
    return frozenset(next(told, "").split())


def trouble(provider: str, version: str | None, abilities: frozenset[str], python: str = sys.executable) -> str | None:
    """What is wrong for this provider, with what mends it; None when nothing is."""
    precision = OPENVINO.get(provider)
    if precision is None:
        return None
    if version is None:
        return f"provider {provider!r} needs OpenVINO; install it with: {python} -m pip install '{REQUIREMENT}'"
    if precision == "bf16" and not abilities & _BF16:
        return f"this processor does not compute in bf16, which provider {provider!r} needs; choose --provider cpu"
    return None
