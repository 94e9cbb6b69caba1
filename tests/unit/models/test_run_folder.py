"""The contract of a Run, as a recipe keeps it: settings in, progress out, release whole, a stop between two steps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.run.command import run
from models.run.folder import EVERY, RunFolder, Stopped
from models.run.settings import Asked, changed, resolved
from protos.errors import Rejected

ASKED = Asked("gate", "1.0.0")


@dataclass(frozen=True)
class Settings:
    epochs: int = 5
    rate: float = 0.1
    half: bool = True
    data: str = ""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


# --- settings


def test_a_setting_has_the_type_of_its_default() -> None:
    made = changed(Settings(), ["epochs=2", "rate=1", "half=false", "data=/pictures/2"])
    assert made == Settings(2, 1.0, False, "/pictures/2")
    assert isinstance(made.rate, float)


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("epoch=2", "no setting 'epoch'; there are: epochs, rate, half, data"),
        ("epochs=two", "'two' is no int; the default is 5"),
        ("epochs=2.5", "2.5 is no int"),
        ("half=1", "1 is no bool"),
        ("rate", "'' is no float"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_could(assignment: str, says: str) -> None:
    with pytest.raises(Rejected, match=says):
        changed(Settings(), [assignment])


def test_what_a_control_plane_wrote_is_what_counts(tmp_path: Path) -> None:
    document = {"epochs": 2, "rate": 1, "half": False, "data": "x", "model": "yard", "version": "3.1.0"}
    (tmp_path / "settings.json").write_text(json.dumps(document))
    assert resolved(Settings(), ASKED, tmp_path, []) == (Settings(2, 1.0, False, "x"), Asked("yard", "3.1.0"))


def test_settings_by_hand_are_kept_so_that_the_same_command_goes_on(tmp_path: Path) -> None:
    first = resolved(Settings(), ASKED, tmp_path, ["epochs=2"])
    assert json.loads((tmp_path / "settings.json").read_text())["epochs"] == 2
    assert resolved(Settings(), ASKED, tmp_path, ["epochs=2"]) == first
    assert resolved(Settings(), ASKED, tmp_path, []) == first
    with pytest.raises(Rejected, match="other settings"):
        resolved(Settings(), ASKED, tmp_path, ["epochs=3"])


# --- progress


def test_progress_is_one_object_a_line_and_no_flood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    folder = RunFolder(tmp_path, clock)
    for step in range(1, 101):
        clock.now += 0.1
        folder.progress("train", step, 100, epoch=1, epochs=1, loss=1 / step)
    written = lines(tmp_path)
    assert written[0] == {"phase": "train", "step": 1, "steps": 100, "epoch": 1, "epochs": 1, "loss": 1.0}
    assert written[-1]["step"] == 100
    assert len(written) <= 10 / EVERY + 2
    assert "epoch 1/1  loss 1.000  9.9 s left" not in capsys.readouterr().out


def test_metrics_are_always_noted_and_time_left_comes_from_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    folder = RunFolder(tmp_path, clock)
    folder.progress("train", 100, 400)
    clock.now += 1.0
    folder.progress("train", 200, 400, metrics={"mAP50": 0.4})
    assert lines(tmp_path)[-1]["metrics"] == {"mAP50": 0.4}
    assert "train    200/400  mAP50 0.400  2 s left" in capsys.readouterr().out


# --- release


def test_a_release_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    (folder.cache / "stills").mkdir(parents=True)
    folder.write_release({"manifest.json": b"1", "model.onnx": b"2"})
    assert {file.name: file.read_bytes() for file in folder.release.iterdir()} == {
        "manifest.json": b"1",
        "model.onnx": b"2",
    }
    assert not folder.cache.exists()
    folder.release.rename(tmp_path / "elsewhere")
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError("the power went")))
    with pytest.raises(OSError, match="power"):
        folder.write_release({"manifest.json": b"1"})
    assert not folder.release.exists()


# --- the command around a recipe's work


def options(folder: Path, *assignments: str) -> Any:
    @dataclass
    class Options:
        run: Path
        set: list[str]

    return Options(folder, list(assignments))


def test_a_stop_between_steps_ends_with_143_and_no_release(tmp_path: Path) -> None:
    def work(_: Settings, __: Asked, folder: RunFolder) -> dict[str, bytes]:
        os.kill(os.getpid(), signal.SIGTERM)
        folder.breathe()
        return {"manifest.json": b""}

    before = signal.getsignal(signal.SIGTERM)
    assert run(Settings(), ASKED, options(tmp_path), work) == 143
    assert not (tmp_path / "release").exists()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("error", [BrokenProcessPool("a worker"), subprocess.CalledProcessError(-15, ["agent"])])
def test_a_worker_that_the_signal_ended_before_us_is_a_stop_and_else_an_error(tmp_path: Path, error: Exception) -> None:
    def work(_: Settings, __: Asked, folder: RunFolder) -> dict[str, bytes]:
        folder.stopping = stopping
        raise error

    stopping = True
    assert run(Settings(), ASKED, options(tmp_path), work) == 143
    stopping = False
    with pytest.raises(type(error)):
        run(Settings(), ASKED, options(tmp_path), work)


def test_a_run_that_ended_well_does_not_begin_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[Settings] = []

    def work(settings: Settings, _: Asked, __: RunFolder) -> dict[str, bytes]:
        begun.append(settings)
        return {"manifest.json": b""}

    assert [run(Settings(), ASKED, options(tmp_path), work) for _ in range(2)] == [0, 0]
    assert len(begun) == 1
    assert f"release gate 1.0.0 is in {tmp_path / 'release'}" in capsys.readouterr().out


def test_threads_that_wait_sleep_unless_somebody_wants_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def work(_: Settings, __: Asked, ___: RunFolder) -> dict[str, bytes]:
        seen.append(os.environ["OMP_WAIT_POLICY"])
        return {"manifest.json": b""}

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    run(Settings(), ASKED, options(tmp_path / "one"), work)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    run(Settings(), ASKED, options(tmp_path / "other"), work)
    assert seen == ["PASSIVE", "ACTIVE"]


def test_what_is_wrong_is_one_sentence_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: Settings, __: Asked, ___: RunFolder) -> dict[str, bytes]:
        raise Rejected("a.txt:3: class 7 is not in data.yaml")

    assert run(Settings(), ASKED, options(tmp_path), work) == 1
    assert capsys.readouterr().err == "a.txt:3: class 7 is not in data.yaml\n"


def test_an_environment_without_torch_is_told_which_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: Settings, __: Asked, ___: RunFolder) -> dict[str, bytes]:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    assert run(Settings(), ASKED, options(tmp_path), work) == 1
    assert "torch is not in this environment; use .venv-train/bin/python" in capsys.readouterr().err


def test_nothing_stops_before_it_is_asked_to(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.breathe()
    folder.stopping = True
    with pytest.raises(Stopped):
        folder.breathe()
