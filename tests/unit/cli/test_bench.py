"""`longshore bench`: the release found, the agent run, its files beside the user."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.cli import trying
from tests.sim.clips import write_clip
from tests.sim.command import Run
from tests.sim.models import detector
from tests.sim.release_folders import release_of


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    release, clip = release_of(detector(), tmp_path / "release"), write_clip(tmp_path / "clip.mp4")
    return ["bench", str(release), "--source", str(clip), "--seconds", "1"]


def test_figures_and_plot_lie_beside_the_user(run: Run, words: list[str], tmp_path: Path) -> None:
    assert run(*words).code == 0
    made = tmp_path / "home" / "harbour-1-bench"
    assert {path.name for path in made.iterdir()} == {"figures.json", "plot.svg"}
    assert run(*words, "--folder", str(tmp_path / "named"), "--variant", "fp32", "--threads", "1").code == 0
    assert (tmp_path / "named" / "plot.svg").exists()
    assert run(*words, "--folder", str(tmp_path / "named")).code == 1


def test_json_goes_to_standard_output_and_leaves_no_folder(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "controlplane.cli.main", *words, "-o", "json"]
    environment = {"PYTHONPATH": str(Path(trying.__file__).parents[2]), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["variants"][0]["name"] == "fp32"
    assert not list(tmp_path.glob("*-bench"))


def test_what_is_no_release_is_refused_before_an_agent_starts(run: Run, tmp_path: Path) -> None:
    refused = run("bench", str(tmp_path / "nowhere"))
    assert (refused.code, "is not there" in refused.err) == (1, True)
