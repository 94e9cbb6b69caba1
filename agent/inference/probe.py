"""What the worker libraries of this environment can do, as JSON on standard output: `python -m agent.inference.probe`.

A process of its own, since the agent's main process must not import these libraries, and a broken one may crash.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from protos.errors import Fatal


def _providers() -> list[str]:
    from agent.inference.session import providers

    return providers()


def _openvino() -> list[str]:
    from agent.inference.session_openvino import providers

    return providers()


def _gpu() -> list[str]:
    """Nothing; raises OSError with the first library that a runtime for GPUs misses."""
    from agent.inference.session import preload_gpu_libraries, providers

    missing = preload_gpu_libraries() if "cuda" in providers() else ""
    if missing:
        raise OSError(missing)
    return []


def _pictures() -> list[str]:
    import cv2

    return [suffix for suffix in ("jpg", "png") if cv2.haveImageWriter(f"x.{suffix}")]


def _video() -> list[str]:
    import av

    return [name for name in ("h264", "hevc", "mjpeg") if name in av.codecs_available]


def main() -> None:
    facts: dict[str, list[str] | str] = {}
    probes: dict[str, Callable[[], list[str]]] = {
        "providers": _providers,
        "openvino": _openvino,
        "gpu": _gpu,
        "pictures": _pictures,
        "video": _video,
    }
    for name, probe in probes.items():
        try:
            facts[name] = probe()
        except (ImportError, OSError, AttributeError, Fatal) as error:
            facts[f"{name}_error"] = str(error)
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main()
