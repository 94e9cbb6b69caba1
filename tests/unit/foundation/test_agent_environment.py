"""What a box gets: the agent's environment stays small, and its main process loads no pixels, engines or frameworks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from agent.cameras.harbour_scene import random_scene
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
    "openvino",
    "pydantic",
    "rich",
    "numpy",
}
# What the main process has loaded while it runs: main defers everything, so the modules it then takes are named too.
MAIN = "agent.main, agent.running, agent.joining"
LOADED = f"import sys, {MAIN}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
WORKERS = "import agent.inference.worker, agent.cameras.worker"


def packages(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", (CHECKOUT / "requirements" / lock).read_text(), re.MULTILINE))


def loaded_by_main(python: Path) -> set[str]:
    done = subprocess.run([python, "-c", LOADED], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def predicted(python: Path, folder: Path) -> int:
    """How many boxes that environment's agent finds in one drawn picture."""
    picture, _ = random_scene(7)
    (folder / "pictures").mkdir()
    assert cv2.imwrite(str(folder / "pictures" / "harbour.png"), picture[:, :, ::-1])
    release, output = CHECKOUT / "models" / "harbour" / "release", folder / "found.jsonl"
    command: list[str | Path] = [python, "-m", "agent.main", "predict", release]
    command += ["--images", folder / "pictures", "--output", output]
    subprocess.run([*command, "--min-score", "0.5"], cwd=CHECKOUT, check=True)
    return len(json.loads(output.read_text().splitlines()[0])["boxes"])


@pytest.mark.parametrize("lock", ["agent-cpu.lock", "agent-openvino.lock", "agent-gpu.lock"])
def test_an_agent_lock_has_no_framework_of_the_control_plane(lock: str) -> None:
    assert not packages(lock) & NEVER_ON_A_BOX


def test_each_agent_lock_has_its_own_onnx_runtime() -> None:
    assert "onnxruntime" in packages("agent-cpu.lock") - packages("agent-gpu.lock")
    assert "onnxruntime-gpu" in packages("agent-gpu.lock") - packages("agent-cpu.lock")
    beside = packages("agent-openvino.lock") - packages("agent-cpu.lock")
    assert beside == {"openvino", "openvino-telemetry"}, "the latter is never imported"


def test_importing_the_agents_main_loads_nothing_heavy() -> None:
    assert not loaded_by_main(Path(sys.executable)) & NEVER_IN_MAIN


def test_help_and_wrong_usage_come_before_anything_that_is_not_needed_for_them() -> None:
    asked = "import sys, agent.main; print(*sorted({'google.protobuf', 'msgspec', 'grpc'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.e2e
def test_the_agent_runs_from_its_own_lock_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    python = CHECKOUT / ".venv-agent" / "bin" / "python"
    if not python.exists():
        unmet("the agent's own environment is not there; make it with: scripts/bootstrap agent")
    assert not loaded_by_main(python) & NEVER_IN_MAIN
    for command in ((python, "-m", "pip", "check"), (python, "-c", WORKERS)):
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert predicted(python, tmp_path) > 0
    installed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout.lower()
    assert not set(installed.split()) & NEVER_ON_A_BOX
    size = sum(file.stat().st_size for file in (CHECKOUT / ".venv-agent").rglob("*") if file.is_file())
    with capsys.disabled():
        print(f"\nagent environment: {size / 1e6:.0f} MB on disk, {len(packages('agent-cpu.lock'))} packages")
