"""What a box gets: the agent's environment stays small, and its main process loads no pixels, engines or frameworks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.require import unmet

CHECKOUT = Path(__file__).parents[3]
NEVER_ON_A_BOX = {"torch", "fastapi", "starlette", "kubernetes", "sqlalchemy", "alembic", "amqtt", "onnx", "pydantic"}
NEVER_IN_MAIN = {
    "torch",
    "fastapi",
    "kubernetes",
    "sqlalchemy",
    "cv2",
    "av",
    "onnxruntime",
    "pydantic",
    "rich",
    "numpy",
}
LOADED = "import sys, agent.main; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def packages(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", (CHECKOUT / "requirements" / lock).read_text(), re.MULTILINE))


def loaded_by_main(python: Path) -> set[str]:
    done = subprocess.run([python, "-c", LOADED], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("lock", ["agent-cpu.lock", "agent-gpu.lock"])
def test_an_agent_lock_has_no_framework_of_the_control_plane(lock: str) -> None:
    assert not packages(lock) & NEVER_ON_A_BOX


def test_each_agent_lock_has_its_own_onnx_runtime() -> None:
    assert "onnxruntime" in packages("agent-cpu.lock") - packages("agent-gpu.lock")
    assert "onnxruntime-gpu" in packages("agent-gpu.lock") - packages("agent-cpu.lock")


def test_importing_the_agents_main_loads_nothing_heavy() -> None:
    assert not loaded_by_main(Path(sys.executable)) & NEVER_IN_MAIN


@pytest.mark.e2e
def test_the_agent_runs_from_its_own_lock_alone(capsys: pytest.CaptureFixture[str]) -> None:
    python = CHECKOUT / ".venv-agent" / "bin" / "python"
    if not python.exists():
        unmet("the agent's own environment is not there; make it with: scripts/bootstrap agent")
    assert "click" in loaded_by_main(python)
    installed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout.lower()
    assert not set(installed.split()) & NEVER_ON_A_BOX
    size = sum(file.stat().st_size for file in (CHECKOUT / ".venv-agent").rglob("*") if file.is_file())
    with capsys.disabled():
        print(f"\nagent environment: {size / 1e6:.0f} MB on disk, {len(packages('agent-cpu.lock'))} packages")
