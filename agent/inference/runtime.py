"""Which ONNX Runtime is installed, and whether that can work. Pure over the installed distributions.

`onnxruntime` and `onnxruntime-gpu` install the same files over each other, and pip cannot know that they exclude each
other. With both, whichever came last decides, and removing one breaks the other. So both at once are a mistake, to be
mended before anything is loaded: found at the agent's start and by `doctor`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata

from agent import providers

CPU, GPU = "onnxruntime", "onnxruntime-gpu"
# As in pyproject.toml; a test holds the two together.
REQUIREMENT = {CPU: "onnxruntime>=1.32,<1.33", GPU: "onnxruntime-gpu>=1.31,<1.32"}
GPU_PROVIDERS = frozenset(providers.GPU)
GPU_LIBRARIES = "onnxruntime-gpu[cuda,cudnn]>=1.31,<1.32"  # the same, with CUDA and cuDNN beside it


def installed() -> dict[str, str]:
    """The ONNX Runtime distributions of this environment, with their versions."""
    found = {}
    for name in (CPU, GPU):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def reinstall(name: str, python: str = sys.executable) -> str:
    """The line that installs this distribution anew."""
    return f"{python} -m pip install --force-reinstall '{REQUIREMENT[name]}'"


def trouble(distributions: Mapping[str, str], provider: str = "cpu", python: str = sys.executable) -> str | None:
    """What is wrong with them for this provider, with the exact line that mends it; None when nothing is."""
    wanted = GPU if provider in GPU_PROVIDERS else CPU
    install = f"{python} -m pip install '{REQUIREMENT[wanted]}'"
    if CPU in distributions and GPU in distributions:
        return (
            f"onnxruntime and onnxruntime-gpu are both installed and overwrite each other; mend it with: "
            f"{python} -m pip uninstall --yes onnxruntime onnxruntime-gpu && {install}"
        )
    if not distributions:
        return f"ONNX Runtime is not installed; install it with: {install}"
    if wanted not in distributions and wanted == GPU:
        return (
            f"provider {provider!r} needs onnxruntime-gpu, but onnxruntime is installed; mend it with: "
            f"{python} -m pip uninstall --yes onnxruntime && {install}"
        )
    return None
