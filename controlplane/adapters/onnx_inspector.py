"""Has ONNX files looked at in a short-lived process of their own, bounded in memory, time and files (`onnx_child`).

A file that makes the parser crash, hang or swell costs that process, not the control plane.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import controlplane
from controlplane.registry.outline import Outline
from protos.errors import Rejected, Retryable
from protos.manifest import Manifest

SECONDS = 60.0  # parsing 1 GB takes about 5; a file that needs longer is not looked at further
_ROOT = Path(controlplane.__file__).parent.parent  # where `-m` finds us, installed or not


class OnnxInspector:
    """Implements controlplane.registry.ports.Inspector."""

    def inspect(self, path: str, content: Iterable[bytes], manifest: Manifest) -> None:
        _answer(path, _question(path, manifest), content)

    def outline(self, path: str, content: Iterable[bytes], size: int) -> Outline:
        found: Outline = _answer(path, {"bytes": size}, content)["outline"]
        return found


def _answer(path: str, question: dict[str, Any], content: Iterable[bytes]) -> dict[str, Any]:
    """What the child says of the file. Raises Rejected, Retryable."""
    with subprocess.Popen(
        [sys.executable, "-m", "controlplane.adapters.onnx_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    ) as child:
        watchdog = threading.Timer(SECONDS, child.kill)
        watchdog.start()
        try:
            answer = _ask(child, json.dumps(question).encode() + b"\n", content)
        finally:
            watchdog.cancel()
            child.kill()
    return _judge(path, answer, child.returncode)


def _question(path: str, manifest: Manifest) -> dict[str, Any]:
    image = manifest.input
    wanted = {"name": image.name, "height": image.height, "width": image.width} if image else None
    size = manifest.file(path).size
    return {"task": manifest.task, "input": wanted, "bytes": size}


def _ask(child: subprocess.Popen[bytes], question: bytes, content: Iterable[bytes]) -> bytes:
    assert child.stdin
    assert child.stdout
    with suppress(BrokenPipeError):  # it has seen enough
        child.stdin.write(question)
        for chunk in content:
            child.stdin.write(chunk)
    with suppress(BrokenPipeError):
        child.stdin.close()
    answer = child.stdout.read(65_536)
    child.wait()
    return answer


def _judge(path: str, answer: bytes, returncode: int) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(answer)
        problem = said["problem"]
    except (ValueError, KeyError) as error:
        if returncode > 0:
            raise Retryable(f"{path} could not be looked at; see that the 'onnx' package is whole") from error
        raise Rejected(f"{path} is no ONNX file that can be read within bounds; export the model again") from error
    if problem:
        raise Rejected(f"{path} {problem}")
    return said


def _environment() -> dict[str, str]:
    """Ours without our settings, which may hold secrets; one thread is enough."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LONGSHORE_")}
    path = os.pathsep.join([str(_ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
