"""`longshore plan`: words go to the agent's process as they are, and its errors come back as one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from controlplane.cli import trying
from tests.sim.command import Run
from tests.sim.models import detector
from tests.sim.release_folders import release_of

SMALL = ["plan", "--cameras", "1", "--rate", "1", "--size", "small=12ms:0.61"]


def test_a_plan_needs_no_box_no_release_and_no_control_plane(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "controlplane.cli.main", *SMALL, "--link", "4Mbit/s", "-o", "json"]
    environment = {"PYTHONPATH": str(Path(trying.__file__).parents[2]), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["asked"]["linkBitsPerSecond"] == 4e6
    assert found["shares"]["inTime"] > 0.9


def test_a_box_of_which_nothing_is_known_is_refused(run: Run, tmp_path: Path) -> None:
    release = release_of(detector(), tmp_path / "release")
    assert run("plan", str(release), "--cameras", "2").code == 1


def test_what_the_agent_finds_wrong_is_headed_by_the_command_that_was_typed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "controlplane.cli.main", *SMALL, "--rate", "nan"]
    environment = {"PYTHONPATH": str(Path(trying.__file__).parents[2]), "HOME": str(tmp_path)}
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    headed = refused.stderr.startswith("Usage: longshore plan [OPTIONS]")
    assert (refused.returncode, headed) == (2, True), refused.stderr


def test_what_is_no_release_is_refused_before_an_agent_starts(run: Run, tmp_path: Path) -> None:
    refused = run("plan", str(tmp_path / "nowhere"), "--cameras", "2")
    assert (refused.code, "is not there" in refused.err) == (1, True)
