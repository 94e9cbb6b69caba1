"""`predict`: a release directory over a folder of pictures, through a real worker."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.predict import predict
from protos.errors import Rejected
from tests.sim.models import detector, sum_model
from tests.sim.release_folders import release_of


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    white = np.full((64, 64, 3), 255, np.uint8)
    cv2.imwrite(str(folder / "b.png"), white)
    cv2.imwrite(str(folder / "a.jpg"), white)
    cv2.imwrite(str(folder / "dark.png"), np.zeros((64, 64, 3), np.uint8))
    (folder / "c.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def test_every_picture_is_a_line_in_the_order_of_names(tmp_path: Path, pictures: Path) -> None:
    output = tmp_path / "results.jsonl"
    assert predict(release_of(detector(), tmp_path / "release"), pictures, output, 0.5) == 4
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["image"] for line in lines] == ["a.jpg", "b.png", "c.png", "dark.png"]
    for line in lines[:2]:
        assert line["boxes"][0] == pytest.approx([0.0, 0.25, 0.5, 0.75], abs=1e-6)
        assert line["scores"] == pytest.approx([0.9, 0.6])
        assert line["classes"] == [0, 1]
    assert "neither JPEG nor PNG" in lines[2]["error"]
    assert lines[3] == {"image": "dark.png", "boxes": [], "scores": [], "classes": []}


def test_a_file_that_changed_is_refused(tmp_path: Path, pictures: Path) -> None:
    folder = release_of(detector(), tmp_path / "release")
    (folder / "model.onnx").write_bytes(detector().spec.model + b"x")
    with pytest.raises(Rejected, match="not the file its manifest names"):
        predict(folder, pictures, tmp_path / "out", 0.5)


def test_a_folder_without_a_release_or_pictures_is_refused(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(Rejected, match=r"manifest\.json"):
        predict(pictures, pictures, tmp_path / "out", 0.5)
    folder = release_of(detector(), tmp_path / "release")
    with pytest.raises(Rejected, match="holds no"):
        predict(folder, folder, tmp_path / "out", 0.5)


def test_a_release_that_gives_no_boxes_is_refused(tmp_path: Path, pictures: Path) -> None:
    folder = release_of(sum_model(), tmp_path / "release")
    with pytest.raises(Rejected, match="no detection release"):
        predict(folder, pictures, tmp_path / "out", 0.5)
