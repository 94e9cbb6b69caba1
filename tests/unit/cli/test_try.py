"""`longshore try`: the release found, the agent run, the next step said."""

from __future__ import annotations

import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from controlplane.cli import trying
from controlplane.fleet import specs
from tests.sim.clips import write_clip
from tests.sim.command import Run
from tests.sim.models import detector
from tests.sim.release_folders import release_of


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "white.png"
    assert cv2.imwrite(str(path), np.full((64, 64, 3), 255, np.uint8))
    return str(path)


def test_a_folder_is_shown_with_a_deployment_to_apply(run: Run, tmp_path: Path, image: str) -> None:
    release = release_of(detector(), tmp_path / "release")
    shown = run("try", str(release), "--source", image, "--min-score", "0.5")
    home = tmp_path / "home"
    assert (shown.code, f"longshore push {release}" in shown.out) == (0, True)
    assert (home / "harbour-1-try" / "white.jpg").exists()
    file = home / "harbour-1-try" / "deployment.yaml"
    assert file.stat().st_mode & 0o777 == 0o600, "the source may hold a password"
    document = yaml.safe_load(file.read_text())
    assert specs.deployment_spec(document["spec"]).min_score == 0.5
    assert run("try", str(release), "--source", image, "--min-score", "0.5").code == 0
    assert (home / "harbour-1-try-2").exists(), "a second try leaves the first alone"


def test_files_of_one_name_become_cameras_of_two(longshore: Run, tmp_path: Path, quay: str) -> None:
    release = release_of(detector(), tmp_path / "release")
    clips = []
    for folder in "abc":
        (tmp_path / folder).mkdir()
        clips.append(write_clip(tmp_path / folder / "quay.mp4", pictures=2))

    def proposed(clip: Path) -> str:
        shown = longshore("try", str(release), "--source", str(clip), "--min-score", "0.5").out
        return shown.partition("deployment.yaml: camera ")[2].partition(" ")[0]

    assert [proposed(clips[number]) for number in (0, 1, 0)] == ["harbour-quay", "harbour-quay-2", "harbour-quay"]
    known = {"node": quay, "source": "file:///elsewhere/quay.mp4"}
    fleet = {"apiVersion": "longshore/v1", "kind": "Camera", "metadata": {"name": "harbour-quay-3"}, "spec": known}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(fleet))
    assert longshore("apply", "-f", str(tmp_path / "fleet.yaml")).code == 0
    assert proposed(clips[2]) == "harbour-quay-4"


def test_a_tar_is_shown_as_the_folder_in_it(run: Run, tmp_path: Path, image: str) -> None:
    release = release_of(detector(), tmp_path / "release")
    with tarfile.open(tmp_path / "release.tar.gz", "w:gz") as tar:
        tar.add(release, "release")
    assert run("try", str(tmp_path / "release.tar.gz"), "--source", image, "--min-score", "0.5").code == 0


def test_a_release_of_the_registry_is_fetched_and_mended_in_the_cache(
    longshore: Run, tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert longshore("push", str(release_of(detector(), tmp_path / "release"))).code == 0
    shown = longshore("try", "harbour@1", "--source", image, "--min-score", "0.5")
    assert (shown.code, "longshore apply" in shown.out, "longshore push" in shown.out) == (0, True, False)
    (kept,) = (tmp_path / "cache" / "longshore" / "releases").iterdir()
    (kept / "model.onnx").write_bytes(b"bitten by the disk")
    assert longshore("try", "harbour@1", "--source", image, "--min-score", "0.5").code == 0


def test_name_and_version_mean_the_registry_whatever_lies_here(longshore: Run, tmp_path: Path, image: str) -> None:
    release_of(detector(), tmp_path / "home" / "harbour@1")
    words = ("--source", image, "--min-score", "0.5")
    refused = longshore("try", "harbour@1", *words)
    assert (refused.code, "what lies here under that name is ./harbour@1" in refused.err) == (4, True)
    for path in ("./harbour@1", "harbour@1/"):
        shown = longshore("try", path, *words)
        assert (shown.code, "longshore push" in shown.out) == (0, True), shown.err


def test_a_release_that_the_registry_has_not_is_said(longshore: Run, image: str) -> None:
    assert longshore("try", "harbour@9", "--source", image).code == 4


def test_what_is_no_release_is_refused_before_an_agent_starts(run: Run, tmp_path: Path, image: str) -> None:
    (tmp_path / "x.onnx").write_bytes(b"")
    assert "longshore package" in run("try", str(tmp_path / "x.onnx"), "--source", image).err
    assert "holds no manifest.json" in run("try", str(tmp_path), "--source", image).err
    assert "is not there" in run("try", str(tmp_path / "nowhere"), "--source", image).err


def test_an_environment_without_an_agent_says_how_to_add_it(
    run: Run, tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "_NEEDED", ("agent", "no_such_module"))
    shown = run("try", str(release_of(detector(), tmp_path / "release")), "--source", image)
    assert (shown.code, "no_such_module not there" in shown.err, "agent-cpu" in shown.err) == (1, True, True)
