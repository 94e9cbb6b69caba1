"""`longshore train` as a user has it: the real command, a real control plane, a real recipe without torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_control_plane import Process
from tests.sim import recipes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SECONDS = 120.0


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Process]:
    recipes.write(tmp_path / "recipes")
    made = Process(tmp_path, "--recipes", str(tmp_path / "recipes"), "--train-python", sys.executable).start().ready()
    yield made
    if made.process.poll() is None:
        for run in made.call("GET", "/runs").json()["items"]:
            made.call("POST", f"/runs/{run['metadata']['name']}/cancel")
        until(lambda: not [each for each in phases(made) if each not in {"Succeeded", "Cancelled", "Failed"}])
        made.stop()


def phases(plane: Process) -> list[str]:
    return [run["status"]["phase"] for run in plane.call("GET", "/runs").json()["items"]]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def longshore(plane: Process, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "LONGSHORE_URL": plane.url, "LONGSHORE_TOKEN": plane.headers["Authorization"][7:]}
    command = [sys.executable, "-m", "controlplane.cli.main", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def step(plane: Process) -> int:
    return int(plane.call("GET", "/runs/tiny-1").json()["status"]["progress"]["step"])


def test_a_recipe_becomes_a_release_while_the_control_plane_is_killed_and_stopped(plane: Process) -> None:
    watching = longshore(plane, "train", str(plane.state / "recipes/tiny"), "--set", "ends=waits")
    until(lambda: phases(plane) == ["Running"] and step(plane) == 4)
    plane.stop(signal.SIGKILL)
    plane.start().ready()
    assert plane.call("GET", "/runs/tiny-1").json()["status"]["attempt"] == 1
    plane.stop(signal.SIGTERM)  # as Ctrl-C of `longshore up` does
    (plane.state / "runs/tiny-1/go").touch()
    plane.start().ready()
    told, complained = watching.communicate(timeout=SECONDS)
    assert watching.returncode == 0, complained
    assert "run/tiny-1 succeeded: release/tiny-1-0-0 (loss 0.1, mAP50 1.000)" in told
    assert "the control plane answers again" in complained
    assert plane.call("GET", "/releases/tiny-1-0-0").json()["spec"]["version"] == "1.0.0"
    status = plane.call("GET", "/runs/tiny-1").json()["status"]
    assert status["attempt"] == 2  # the kill cost none, the stop one
    points = plane.call("GET", "/runs/tiny-1/points").json()
    assert [at for at, _ in points["loss"]][-1] == 10
    assert "longshore_run_loss" in _figures(plane)


def _figures(plane: Process) -> str:
    return httpx.get(f"{plane.url}/metrics").text
