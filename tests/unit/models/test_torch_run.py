"""Runs of real recipes with torch: they stop, go on as if nothing had been, and leave a release."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protos.manifest import parse
from tests.unit.models.training_environment import torch_command, torch_environment, torch_run

pytestmark = pytest.mark.torch

SMALL = {"epochs": 6, "seeds": 16, "batch": 16, "watched": 1, "scenes": 2, "threads": 1}


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    printed = torch_run(Path(__file__).with_name("torch_resume.py"), tmp_path_factory.mktemp("resumed"))
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


def test_a_training_that_was_stopped_takes_the_steps_it_would_have_taken(resumed: dict[str, Any]) -> None:
    assert resumed["moved"] > 1e-3
    assert resumed["apart"] <= 1e-6
    assert resumed["histories"][0] == resumed["histories"][1]
    assert len(resumed["histories"][0]) == 2


def test_a_damaged_checkpoint_is_named_and_left_alone(resumed: dict[str, Any]) -> None:
    assert "checkpoint.safetensors cannot be gone on from; remove it to begin again" in resumed["refused"]
    assert resumed["left"] == "half a file"


@pytest.mark.timeout(900)  # four starts of torch: a busy machine takes its time
def test_harbour_stops_at_sigterm_survives_sigkill_and_leaves_the_release_asked_for(tmp_path: Path) -> None:
    wanted = {**SMALL, "model": "yard", "version": "2.0.1"}
    (tmp_path / "settings.json").write_text(json.dumps(wanted))
    assert ended_by(signal.SIGTERM, tmp_path, bool) == 143
    assert {line["phase"] for line in progress(tmp_path)} == {"draw"}
    assert ended_by(signal.SIGTERM, tmp_path, lambda lines: judged(lines, 1)) == 143
    assert not (tmp_path / "release").exists()
    assert ended_by(signal.SIGKILL, tmp_path, lambda lines: judged(lines, 3)) == -signal.SIGKILL
    torch_run("-m", "models.harbour", "run", "--run", tmp_path, timeout=600)
    manifest = parse((tmp_path / "release" / "manifest.json").read_bytes())
    assert (manifest.name, manifest.version, manifest.task) == ("yard", "2.0.1", "detection")
    card = (tmp_path / "release" / "card.md").read_text()
    assert card.startswith("# yard 2.0.1\n")
    assert "On 2 held-out scenes" in card
    told = progress(tmp_path)
    assert {line["epoch"] for line in told if "metrics" in line} == set(range(1, 7))
    assert told[-1]["phase"] == "evaluate"


Lines = list[dict[str, Any]]


def ended_by(number: signal.Signals, folder: Path, when: Callable[[Lines], bool]) -> int:
    """Start the recipe; the signal goes to its whole group, as a control plane sends it. The exit code."""
    command = torch_command("-m", "models.harbour", "run", "--run", folder)
    with subprocess.Popen(
        command, env=torch_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while not when(progress(folder)):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, number)
        return process.wait(300)


def progress(folder: Path) -> Lines:
    file = folder / "progress.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def judged(lines: Lines, epoch: int) -> bool:
    return any("metrics" in line and line["epoch"] >= epoch for line in lines)
