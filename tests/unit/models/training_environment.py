"""The training environment, as tests use it: scripts and recipes run there as processes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.servers.require import unmet

ROOT = Path(__file__).parents[3]
TORCH_PYTHON = ROOT / ".venv-train" / "bin" / "python"


def torch_run(*arguments: str | Path, timeout: float = 100.0, code: int = 0) -> str:
    """What a Python command printed there; its exit code has to be `code`."""
    done = subprocess.run(
        torch_command(*arguments), env=torch_environment(), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def torch_command(*arguments: str | Path) -> list[str]:
    if not TORCH_PYTHON.exists():
        unmet("torch has no environment; make it with: scripts/bootstrap train")
    return [str(TORCH_PYTHON), *map(str, arguments)]


def torch_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
