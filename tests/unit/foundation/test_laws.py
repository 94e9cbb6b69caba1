"""The laws of the folders hold, and each is seen to fail when broken: one violation planted per contract."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
CONTRACTS = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

# contract id -> (module to plant in, what it must not import)
VIOLATIONS = {
    "contract": ("protos/ids.py", "import agent.types"),
    "sandbox": ("sandbox/entry.py", "import protos.ids"),
    "siblings": ("agent/config.py", "import controlplane.config"),
    "models-are-run": ("controlplane/up/demo.py", "import models.harbour.plan"),
    "models-see": ("models/harbour/plan.py", "import agent.types"),
    "drawing": ("agent/cameras/harbour_scene/scene.py", "import protos.ids"),
    "launcher": ("agent/launcher.py", "import protos.ids"),
    "torch": ("agent/inference/session.py", "import torch"),
    "agent-environment": ("agent/config.py", "import pydantic"),
    "main-touches-no-pixels": ("agent/pipeline/lane.py", "import cv2"),
    "pure": ("agent/offload/policy.py", "import time"),
    "agent-layers": ("agent/ports.py", "import agent.offload.policy"),
    "controlplane-layers": ("controlplane/identity/domain.py", "import controlplane.identity.repository"),
    "use-cases-see-ports": ("controlplane/identity/service.py", "import controlplane.adapters.clock"),
    "cli": ("controlplane/cli/output.py", "import controlplane.db"),
    "wire": ("agent/update/machine.py", "import protos.fleet_pb2"),
    "vendor-paho": ("agent/telemetry/sender.py", "import paho.mqtt.client"),
    "vendor-grpc": ("agent/pipeline/run.py", "import grpc"),
    "vendor-cryptography": ("controlplane/trust/domain.py", "import cryptography.x509"),
    "vendor-onnxruntime": ("agent/inference/worker.py", "import onnxruntime"),
    "vendor-openvino": ("agent/inference/trusted.py", "import openvino"),
    "vendor-onnx": ("controlplane/registry/service.py", "import onnx"),
    "vendor-markdown": ("controlplane/ui/routes.py", "import markdown_it"),
    "vendor-uvicorn": ("controlplane/up/tree.py", "import uvicorn"),
    "vendor-av": ("agent/cameras/pacer.py", "import av"),
    "vendor-sqlalchemy": ("controlplane/identity/service.py", "import sqlalchemy"),
    "vendor-arro3": ("controlplane/history/service.py", "import arro3.core"),
    "vendor-httpx": ("controlplane/up/tree.py", "import httpx"),
    "vendor-tuf": ("controlplane/trust/judging.py", "import tuf.api.metadata"),
    "vendor-amqtt": ("controlplane/up/tree.py", "import amqtt.broker"),
}
# Where a whole part of the agent belongs: contract id -> such violations, which are seen together.
PARTS = {
    "agent-layers": {
        "agent/adapters/carried_folder.py": "agent.carried.nearest",
        "agent/berths/update.py": "agent.adapters.berths_disk",
        "agent/trust/service.py": "agent.adapters.tuf_metadata",
        "agent/trust/kept.py": "agent.update.store",
    },
    "pure": {
        "agent/berths/ports.py": "os",
        "agent/carried/sealed.py": "tempfile",
        "agent/trust/metadata.py": "asyncio",
    },
}


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    command = [str(linter), "--cache-dir", str(folder / "cache"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's Python files and configuration, to break."""
    folder = tmp_path_factory.mktemp("checkout")
    for package in ("agent", "controlplane", "protos", "sandbox", "models"):
        source = CHECKOUT / package
        shutil.copytree(source, folder / package, ignore=lambda where, names: _others(Path(where), names))
    shutil.copy(CHECKOUT / "pyproject.toml", folder)
    return folder


def _others(where: Path, names: list[str]) -> set[str]:
    return {name for name in names if not name.endswith(".py") and not (where / name).is_dir()}


def test_all_laws_hold(copied: Path) -> None:
    done = lint(copied)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_law_has_a_planted_violation() -> None:
    assert [contract["id"] for contract in CONTRACTS] == list(VIOLATIONS)


def broken(copied: Path, contract: str, lines: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """With `lines` at the ends of these files."""
    honest = {copied / module: (copied / module).read_text() for module in lines}
    for module, line in lines.items():
        (copied / module).write_text(f"{honest[copied / module]}\n{line}\n")
    try:
        return lint(copied, "--contract", contract)
    finally:
        for path, text in honest.items():
            path.write_text(text)


@pytest.mark.parametrize("contract", PARTS)
def test_each_part_is_bound_by_the_laws_of_its_place(copied: Path, contract: str) -> None:
    done = broken(copied, contract, {module: f"import {other}" for module, other in PARTS[contract].items()})
    told = " ".join(done.stdout.split())
    for module, other in PARTS[contract].items():
        name = module.removesuffix(".py").replace("/", ".")
        assert f"{name} -> {other}" in told, done.stdout


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_broken_law_is_seen(copied: Path, contract: str) -> None:
    module, line = VIOLATIONS[contract]
    done = broken(copied, contract, {module: line})
    name = next(each["name"] for each in CONTRACTS if each["id"] == contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{name} BROKEN" in done.stdout.replace("\n", " ")
