"""What a trained release is worth: pictures held out, laid out, and looked at by packaging's evaluation."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from controlplane.quantizing import datasets
from models import worth
from models.dataset.held_out import as_class_folders, as_yolo
from models.dataset.items import Item
from models.dataset.pictures import Placed, Seen
from models.harbour import __main__ as harbour
from models.release import Facts
from models.run.folder import RunFolder, Stopped
from models.worth import Worth, evaluated
from protos.errors import Rejected
from tests.sim.models import BOXES, layered

SIDE = 32
FACTS = Facts("boats", "1.0.0", "detection", SIDE, ("boat", "truck"))
BOTH = tuple(tuple(float(side) for side in box) for box in BOXES[:2])
NOWHERE = ((0.0, 0.0, 0.1, 0.1), (0.9, 0.0, 1.0, 0.1))


def seen(file: Path, row: int, boxes: Any = BOTH, classes: tuple[int, ...] = (0, 1)) -> Seen:
    """A bright picture, written anew."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((SIDE, SIDE, 3), 250, np.uint8))
    return Seen(Item(file, boxes, classes), row, f"{row}", Placed(0.0, 0.0, 1.0, 1.0))


def held_out(folder: Path, count: int, boxes: Any = BOTH) -> list[Seen]:
    return [seen(folder / f"{row}.png", row, boxes) for row in range(count)]


# --- laid out


def test_packaging_reads_the_boxes_that_were_held_out(tmp_path: Path) -> None:
    pictures = [
        seen(tmp_path / "a" / "1.JPG", 4),
        seen(tmp_path / "b" / "1.bmp", 5),
        seen(tmp_path / "2.png", 6, (), ()),
    ]
    as_yolo(pictures, tmp_path / "out")
    found = datasets.opened(tmp_path / "out", "detection", FACTS.labels)
    assert [file.name for file in found.boxes] == ["000004.jpg", "000005.png", "000006.png"]
    whole, anew, empty = found.boxes.values()
    assert whole.boxes == pytest.approx(np.array(BOTH), abs=1e-6)
    assert (list(whole.classes), list(anew.classes), len(empty.boxes)) == ([0, 1], [0, 1], 0)
    assert found.pictures[0].resolve() == pictures[0].item.picture
    assert np.asarray(cv2.imread(str(found.pictures[1]))).mean() == 250


def test_packaging_reads_the_classes_that_were_held_out(tmp_path: Path) -> None:
    pictures = [seen(tmp_path / "set" / f"{row}.png", row, (), (row % 2,)) for row in range(3)]
    as_class_folders(pictures, ("good", "broken", "none of it"), tmp_path / "out")
    found = datasets.opened(tmp_path / "out", "classification", ("good", "broken", "none of it"))
    assert {file.stem: number for file, number in found.classes.items()} == {"000000": 0, "000001": 1, "000002": 0}


def test_classes_that_differ_in_case_alone_stay_apart(tmp_path: Path) -> None:
    pictures = [seen(tmp_path / "set" / f"{row}.png", row, (), (row,)) for row in range(2)]
    as_class_folders(pictures, ("Pier", "pier"), tmp_path / "out")
    found = datasets.opened(tmp_path / "out", "classification", ("Pier", "pier"))
    assert {file.stem: number for file, number in found.classes.items()} == {"000000": 0, "000001": 1}


# --- evaluated


def of(pictures: list[Seen], run: RunFolder) -> Worth:
    return evaluated(FACTS, layered().spec.model, partial(as_yolo, pictures), run)


def test_what_packaging_measured_is_what_the_release_tells(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    told = of(held_out(tmp_path / "set", 32), run).judged
    assert told is not None
    assert (told.metric, told.pictures, told.objects) == ("mAP50", 32, 64)
    assert (told.variants[0].metric, told.variants[0].right) == (1.0, 1.0)
    assert told.variants[0].confidence
    assert {point.max_side for point in told.jpeg} == {32, 24, 16}
    assert list(run.cache.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "boxes", "why"),
    [
        (31, BOTH, "31 pictures to judge by are too few; give at least 32"),
        (32, NOWHERE, "fp32 itself reaches a mAP50 of 0.000 there, so nothing can be told"),
    ],
)
def test_too_few_pictures_or_too_short_a_training_leave_it_out_and_say_so(
    count: int, boxes: Any, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = of(held_out(tmp_path / "set", count, boxes), RunFolder(tmp_path / "run"))
    assert found.judged is None
    assert found.why_not.startswith(why)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"the release does not tell what it is worth, and boxes take careful priors: {why}")


def test_a_machine_without_an_agent_leaves_it_out_and_says_what_to_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worth, "AGENT_PYTHON", tmp_path / "none")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert of(held_out(tmp_path / "set", 2), RunFolder(tmp_path / "run")).judged is None
    assert "make an environment that has one with scripts/bootstrap" in capsys.readouterr().out


def test_a_stop_ends_the_evaluation_and_what_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = tmp_path / "python"
    endless.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec {sys.executable} -c 'import time; time.sleep(600)'\n")
    endless.chmod(0o755)
    monkeypatch.setattr(worth, "AGENT_PYTHON", endless)
    run = RunFolder(tmp_path / "run")
    run.stopping = True
    with pytest.raises(Stopped):
        of(held_out(tmp_path / "set", 2), run)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_refusal_of_the_command_is_the_sentence_it_said(tmp_path: Path) -> None:
    refusing = tmp_path / "python"
    refusing.write_text("#!/bin/sh\necho 'looking at pictures 10 %' >&2\necho 'error: no' >&2\nexit 1\n")
    refusing.chmod(0o755)
    with pytest.raises(Rejected, match=r"^no$"):
        worth.section(tmp_path, tmp_path, str(refusing))


def test_the_sample_models_recipe_leaves_it_out_too_when_the_command_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(*_: object) -> dict[str, Any]:
        raise Rejected("fp32 itself reaches a mAP50 of 0.010 there, so nothing can be told")

    monkeypatch.setattr(harbour, "worth", refuses)
    assert harbour.told_worth(40, RunFolder(tmp_path)) == {}
    assert harbour.told_worth(8, RunFolder(tmp_path)) == {}
    short, few = capsys.readouterr().out.splitlines()
    assert short == f"{worth.UNTOLD}: fp32 itself reaches a mAP50 of 0.010 there, so nothing can be told"
    assert few == f"{worth.UNTOLD}: fewer than 32 scenes were measured on"
