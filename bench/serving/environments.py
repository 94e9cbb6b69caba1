"""An environment of its own for each peer, made on first use in build/bench and kept there.

Versions are pinned to those that were seen to work; ONNX Runtime is the same everywhere, as the agent's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from protos.errors import Retryable

ONNX_RUNTIME = "onnxruntime==1.32.0"
FOLDER = Path(__file__).parents[2] / "build" / "bench"
PIP_SECONDS = 900


@dataclass(frozen=True)
class Environment:
    """`python`: who makes it."""

    name: str
    packages: tuple[str, ...]
    python: str = sys.executable

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def stamp(self) -> str:
        return "\n".join([*self.packages, self.python])


FASTAPI = Environment(
    "fastapi", ("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0", "numpy", ONNX_RUNTIME)
)
# uvloop 0.23, which its own pins allow, has no event loop where its worker looks for one: it does not start.
MLSERVER = Environment("mlserver", ("mlserver==1.7.1", "uvloop==0.21.0", ONNX_RUNTIME))
# Its Python backend is linked against the distribution's interpreter; models do not load under another 3.11.
TRITON = Environment("triton", ("nvidia-pytriton==0.7.0", ONNX_RUNTIME), "/usr/bin/python3")


def ready(environment: Environment) -> Path:
    """Its interpreter; made if need be. Raises Retryable with the reason where it cannot be."""
    stamp = environment.folder / "stamp"
    python = environment.folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == environment.stamp:
        return python
    shutil.rmtree(environment.folder, ignore_errors=True)
    print(f"making {environment.folder} ({', '.join(environment.packages)}; once)", file=sys.stderr)
    _run([environment.python, "-m", "venv", str(environment.folder)])
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    _run([*pip, *environment.packages])
    stamp.write_text(environment.stamp)
    return python


def _run(words: list[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Retryable(f"cannot be installed: {error}") from error
    if done.returncode:
        raise Retryable(f"cannot be installed: {last_line(done.stderr) or last_line(done.stdout)}")


def last_line(text: str) -> str:
    """The last that says something; "" where none does."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:300]
