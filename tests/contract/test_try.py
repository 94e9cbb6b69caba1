"""`longshore-agent try`: releases over films, pictures and live sources, through a real worker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.trial.run import Wish, run
from protos.errors import LongshoreError, Rejected
from tests.sim.clips import played, write_clip
from tests.sim.models import classifier, detector, identity, sum_model
from tests.sim.release_folders import release_of

CHECKOUT = Path(__file__).parents[2]
SURE = 0.5  # leaves out the detector's class without a name


def tried(
    release: Path, source: Path | str, output: Path, min_score: float = SURE, seconds: float | None = None
) -> str:
    """What people read."""
    said: list[str] = []
    assert run(Wish(release, str(source), output, seconds, min_score), said.append)
    return "\n".join(said)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return release_of(detector(), tmp_path / "release")


def picture(path: Path, colour: tuple[int, int, int] = (255, 255, 255)) -> Path:
    """Blue, green, red."""
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), np.full((60, 90, 3), colour, np.uint8))
    return path


def test_a_film_of_another_size_than_the_models_comes_out_whole_in_its_own(release: Path, tmp_path: Path) -> None:
    clip, output = write_clip(tmp_path / "clip.mp4"), tmp_path / "out"
    said = tried(release, clip, output)
    assert played(output / "annotated.mp4") == [(200, 120)] * 12
    figures = json.loads((output / "figures.json").read_text())
    assert figures["classes"]["boat"]["pictures"] == figures["pictures"] == 12
    assert figures["classes"]["truck"]["best"] == pytest.approx(0.6, abs=0.01)
    assert set(figures["stages"]) == {"decode", "inference", "draw"}
    assert "12 pictures of 200×120" in said
    drawn = cv2.imread(str(output / "first.jpg"))
    assert drawn is not None
    assert drawn.min() < 100, "boxes are drawn on the white picture"


def test_things_have_their_numbers_in_a_film_and_none_in_pictures(release: Path, tmp_path: Path) -> None:
    """A thing is known at its second sighting: until then its score stands there, as in a camera's live pictures."""
    tried(release, write_clip(tmp_path / "white.mp4"), tmp_path / "film")
    film = cv2.VideoCapture(str(tmp_path / "film" / "annotated.mp4"))
    first, second, third = (np.asarray(film.read()[1], np.int16) for _ in range(3))
    assert np.abs(second - first).max() > 100, "a number where the score stood"
    assert np.abs(third - second).max() < 60, "and the same one from then on"
    for name in ("a.png", "b.png"):
        picture(tmp_path / "in" / name)
    tried(release, tmp_path / "in", tmp_path / "pictures")
    one, other = ((tmp_path / "pictures" / name).read_bytes() for name in ("a.jpg", "b.jpg"))
    assert one == other


def test_seconds_end_a_film(release: Path, tmp_path: Path) -> None:
    tried(release, write_clip(tmp_path / "clip.mp4"), tmp_path / "out", seconds=0.5)
    assert len(played(tmp_path / "out" / "annotated.mp4")) == 5


def test_a_slow_look_at_a_film_ends_when_it_took_long_enough_unless_a_length_was_asked_for(
    release: Path, tmp_path: Path
) -> None:
    clip, said = str(write_clip(tmp_path / "clip.mp4")), list[str]()
    assert run(Wish(release, clip, tmp_path / "out", min_score=SURE, patience=0.0), said.append)
    assert len(played(tmp_path / "out" / "annotated.mp4")) == 1
    assert "--seconds says how much of it to take" in "\n".join(said)
    assert run(Wish(release, clip, tmp_path / "whole", 99.0, SURE, patience=0.0), said.append)
    assert len(played(tmp_path / "whole" / "annotated.mp4")) == 12


def test_odd_sides_lose_their_last_line_in_the_film(release: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", pictures=2, size=(91, 61), codec="ffv1")
    tried(release, clip, tmp_path / "out")
    assert played(tmp_path / "out" / "annotated.mp4") == [(90, 60)] * 2


def test_pictures_come_out_under_their_names_and_a_damaged_one_stops_none(release: Path, tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "a.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    said = tried(release, tmp_path / "in", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.jpg", "a-2.jpg", "b.jpg", "figures.json"}
    assert "1 of 4 could not be read" in said
    assert "torn.jpg" in said


def test_a_live_source_is_looked_at_for_so_many_seconds(release: Path, tmp_path: Path) -> None:
    tried(release, "synthetic://harbour?seed=1&width=128&height=64", tmp_path / "out", seconds=1.0)
    assert 1 <= len(played(tmp_path / "out" / "annotated.mp4")) <= 11


def test_a_film_that_breaks_off_is_shown_as_far_as_it_goes_and_says_so(release: Path, tmp_path: Path) -> None:
    whole = (CHECKOUT / "controlplane" / "up" / "demo" / "harbour.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 4])  # its index lies in front
    said = tried(release, tmp_path / "cut.mp4", tmp_path / "out")
    assert "cut off or damaged" in said
    assert 1 <= len(played(tmp_path / "out" / "annotated.mp4")) < 200


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"no film" * 99, "no video that can be decoded"), (bytes(5000), "no video that can be")],
)
def test_what_is_no_film_is_refused_and_nothing_is_written(
    release: Path, tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(Rejected, match=sentence):
        tried(release, tmp_path / "clip.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_film_without_pictures_is_refused(release: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", pictures=0)
    with pytest.raises(Rejected, match="no video that can be decoded"):
        tried(release, tmp_path / "clip.mp4", tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere.mp4", "is not there"),
        (".", r"holds no \.jpg"),
        ("ftp://x/y", "must start with one of"),
        ("rtsp://127.0.0.1:1/x", "nobody listens"),
    ],
)
def test_a_source_that_is_none_is_refused(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LongshoreError, match=sentence):
        tried(release, source, tmp_path / "out")


def test_a_class_without_a_name_is_refused(release: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="class number 7, but the release names 2 classes"):
        tried(release, picture(tmp_path / "in" / "a.png"), tmp_path / "out", min_score=0.25)


def test_a_folder_without_a_manifest_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="is no release"):
        tried(tmp_path, picture(tmp_path / "in" / "a.png"), tmp_path / "out")


def test_what_lies_in_the_output_folder_stays(release: Path, tmp_path: Path) -> None:
    mine = picture(tmp_path / "out" / "a.jpg").read_bytes()
    with pytest.raises(Rejected, match="not empty"):
        tried(release, picture(tmp_path / "in" / "a.png"), tmp_path / "out")
    assert (tmp_path / "out" / "a.jpg").read_bytes() == mine


def test_a_classification_release_names_its_best_class(tmp_path: Path) -> None:
    release = release_of(classifier(), tmp_path / "release")
    said = tried(release, picture(tmp_path / "in" / "a.png", (200, 0, 30)), tmp_path / "out", min_score=0.1)
    assert "blue" in said
    assert "red" not in said


def test_a_classification_release_with_other_labels_than_scores_is_refused(tmp_path: Path) -> None:
    release = release_of(classifier(labels=("red", "green")), tmp_path / "release")
    with pytest.raises(Rejected, match="3 scores, but the release names 2 classes"):
        tried(release, picture(tmp_path / "in" / "a.png"), tmp_path / "out")


def test_a_tensor_release_shows_shapes_and_ranges(tmp_path: Path) -> None:
    image = picture(tmp_path / "in" / "a.png")
    said = tried(release_of(identity("FP32", (-1, 3, 8, 6)), tmp_path / "picture"), image, tmp_path / "out")
    assert "given the picture as 'x'" in said
    assert said.splitlines()[-1].split() == ["y", "FP32", "1×3×8×6", "1", "1", "1"]
    said = tried(release_of(sum_model(), tmp_path / "sum"), image, tmp_path / "out")
    assert "given zeros" in said
    assert said.splitlines()[-1].split() == ["total", "FP32", "1×3", "0", "0", "0"]


def test_ctrl_c_keeps_a_film_that_plays(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    words = [release, "--source", "synthetic://harbour?width=128&height=64", "--seconds", "600", "--output", output]
    command = [sys.executable, "-m", "agent.main", "try", *map(str, words), "--min-score", "1"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (output / "first.jpg").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "whole up to there" in said
    assert played(output / "annotated.mp4")
