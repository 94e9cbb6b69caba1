"""`longshore train`, `cancel`, and Runs in the commands for every object; time passes where the command sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane.cli import training
from controlplane.training.ports import Trainer
from protos.errors import Rejected
from tests.sim import recipes
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane
from tests.sim.training import Yard

Plays = Callable[[], None]


@pytest.fixture
def yard(house: SimControlPlane) -> Yard:
    recipes.write(house.config.recipes)
    return Yard(house)


@pytest.fixture
def play(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens, one after the other, each time the command waits."""

    def by(*steps: Plays) -> None:
        left = iter(steps)

        def sleep(_: float) -> None:
            next(left, lambda: None)()
            yard.tick()

        monkeypatch.setattr(time, "sleep", sleep)

    return by


def test_a_run_is_watched_to_its_release_and_told_what_is_next(
    longshore: Run, yard: Yard, play: Callable[..., None]
) -> None:
    def trains() -> None:
        yard.tells(phase="train", step=5, steps=10, epoch=1, epochs=2, loss=0.25, metrics={"mAP50": 0.4})

    def ends() -> None:
        yard.leaves_release()
        yard.ends(0)

    play(lambda: None, lambda: None, trains, ends)
    done = longshore("train", "tiny", "--set", "epochs=2", "--version", "2.0.0")
    assert done.code == 0, done.err
    assert done.out.splitlines()[:3] == [
        "run/tiny-1 created: tiny 2.0.0",
        "run/tiny-1 succeeded: release/tiny-2-0-0 (loss 0.25, mAP50 0.400)",
        "  try it:    longshore try tiny@2.0.0 --source video.mp4",
    ]
    assert "run/tiny-1 Running: train 5/10, epoch 1/2, loss 0.25, mAP50 0.400" in done.err
    assert yard.job().job.settings["epochs"] == 2


def test_a_failed_run_shows_the_end_of_its_log(longshore: Run, yard: Yard, play: Callable[..., None]) -> None:
    def fails() -> None:
        yard.says("a\nno picture in /data\n")
        yard.ends(1)

    play(lambda: None, lambda: None, fails)
    done = longshore("train", "tiny")
    assert (done.code, "  no picture in /data\n" in done.err) == (1, True)
    assert "error: run tiny-1 failed: the recipe ended with exit code 1" in done.err


def test_ctrl_c_leaves_it_alone_and_says_how_to_come_back(
    longshore: Run, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    done = longshore("train", "tiny", "--name", "night")
    assert done.code == 130
    assert "longshore train --attach night" in done.err
    assert yard.phase("night") == "Pending"


def test_detached_it_ends_at_once_and_is_found_by_every_command(longshore: Run, yard: Yard) -> None:
    assert "longshore cancel run tiny-1" in longshore("train", "tiny", "-d").out
    yard.tick(2)
    yard.says("one\ntwo\nthree\n")
    assert longshore("get", "runs").out.splitlines()[1].split()[:6] == [
        "tiny-1",
        "tiny",
        "tiny",
        "1.0.0",
        "Running",
        "0%",
    ]
    assert longshore("logs", "run/tiny-1", "-n", "2").out == "two\nthree\n"
    assert "Training" in longshore("describe", "run", "tiny-1").out
    assert longshore("delete", "run", "tiny-1").code == 1
    assert longshore("cancel", "run", "tiny-1").out == "run/tiny-1 is stopping\n"
    yard.ends(143)
    yard.tick()
    assert longshore("cancel", "run/tiny-1").code == 1
    assert longshore("delete", "run", "tiny-1").out == "run/tiny-1 deleted\n"
    assert longshore("cancel", "run", "tiny-1").code == 4


def test_a_log_is_followed_to_its_end(longshore: Run, yard: Yard) -> None:
    longshore("train", "tiny", "-d")
    yard.tick(2)
    yard.says("last words")
    yard.ends(1)
    yard.tick()
    assert longshore("logs", "run/tiny-1", "-f").out == "last words\n"


def test_recipes_are_described_with_their_settings(longshore: Run, yard: Yard) -> None:
    assert longshore("get", "recipes").out.splitlines()[1].split() == ["tiny", "detection", "4", "For", "tests"]
    assert "epochs  int    5        times through" in longshore("describe", "recipe", "tiny").out
    assert "remove" in longshore("delete", "recipe", "tiny").err


def test_a_folder_here_must_be_the_recipe_that_is_there(longshore: Run, yard: Yard, tmp_path: Path) -> None:
    there = yard.plane.config.recipes / "tiny"
    assert longshore("train", str(there), "-d").code == 0
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/recipe.toml").write_text('name = "tiny"\n')
    changed = longshore("train", str(tmp_path / "tiny"))
    assert (changed.code, "differs from the recipe tiny" in changed.err) == (1, True)
    assert "has no recipe 'huge', and runs none that it is sent; it has tiny" in longshore("train", "models/huge").err


def test_where_nothing_can_train_it_says_why(longshore: Run, yard: Yard) -> None:
    yard.plane.executor.told = Trainer("local", False, False, "the disk is full", "make room")
    assert longshore("train", "tiny").err == "error: training cannot run there: the disk is full; make room\n"
    yard.plane.executor.told = Trainer("local", True, False, "the first run makes the environment: 0.7 GB")
    assert longshore("train", "tiny", "-d").err == "the first run makes the environment: 0.7 GB\n"


@pytest.mark.parametrize(
    "words",
    [("train",), ("train", "tiny", "--attach", "x"), ("train", "--attach", "x", "--set", "a=1"), ("cancel", "run")],
)
def test_a_wrong_command_line_is_told(longshore: Run, words: tuple[str, ...]) -> None:
    assert longshore(*words).code == 2


def test_what_has_no_end_cannot_be_cancelled(longshore: Run) -> None:
    assert "longshore cancel run NAME" in longshore("cancel", "camera", "gate").err


DETECTOR = {
    "spec": {
        "settings": [
            {"name": "data", "type": "str", "default": ""},
            {"name": "start", "type": "str", "default": "harbour"},
            {"name": "epochs", "type": "int", "default": 5},
        ]
    }
}


@pytest.mark.parametrize(
    ("pair", "sent"),
    [
        ("data=./yard", "{here}/yard"),
        ("data=yard", "{here}/yard"),
        ("data=gone", "gone"),
        ("data=/srv/yard", "/srv/yard"),
        ("start=harbour", "harbour"),  # though a folder of that name lies here
        ("start=harbour/w", "{here}/harbour/w"),
        ("epochs=2", "2"),
    ],
)
def test_a_path_of_this_folder_is_sent_whole(tmp_path: Path, pair: str, sent: str) -> None:
    for name in ("yard", "harbour", "harbour/w"):
        (tmp_path / name).mkdir()
    assert list(training.settings(DETECTOR, [pair], tmp_path).values()) == [sent.format(here=tmp_path)]


def test_a_setting_needs_a_value(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="NAME=VALUE"):
        training.settings(DETECTOR, ["epochs"], tmp_path)
