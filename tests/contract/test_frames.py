"""`longshore-agent frames`: written by the agent, read by the control plane, and the same pixels an engine gets."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras import drawing
from agent.cameras.picture import RgbPicture
from agent.inference.pictures import fit
from agent.trial.frames import write
from agent.types import ModelInput, View
from controlplane.quantizing import frames
from protos.errors import Rejected
from tests.sim.clips import write_clip
from tests.sim.models import detector, sum_model
from tests.sim.release_folders import release_of

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Takes 64×32 pictures, letterboxed."""
    return release_of(detector(), tmp_path / "release")


def test_pictures_lie_in_the_input_as_on_a_box_and_bring_their_place(release: Path, tmp_path: Path) -> None:
    path = tmp_path / "square.png"
    assert cv2.imwrite(str(path), np.full((64, 64, 3), 255, np.uint8))
    stream = io.BytesIO()
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    trouble = write(release, None, [str(path), str(tmp_path / "torn.jpg")], 0, stream)
    assert len(trouble) == 1
    assert "torn.jpg" in trouble[0]
    stream.seek(0)
    (frame,) = frames.read(stream)
    assert (frame.name, frame.pixels.shape) == (str(path), (32, 64, 3))
    assert frame.window == (0.25, 0.0, 0.5, 1.0)
    assert frame.pixels[:, 16:48].min() == 255
    assert np.all(frame.pixels[:, :16] == 114)


def test_a_box_comes_back_to_the_picture_clipped_and_what_lies_in_the_bars_goes() -> None:
    frame = frames.Frame("a", np.zeros((32, 64, 3), np.uint8), (0.25, 0.0, 0.5, 1.0))
    boxes = np.array([[0.25, 0.0, 0.5, 0.5], [0.0, 0.0, 0.2, 1.0], [0.7, 0.5, 1.0, 1.5], [0.3, 0.1, 0.4, 0.2]])
    found = frames.on_picture(boxes, np.array([0.9, 0.8, 0.7, 0.0]), np.array([0, 1, 2, 3]), frame)
    assert found.boxes.tolist() == [pytest.approx([0.0, 0.0, 0.5, 0.5]), pytest.approx([0.9, 0.5, 1.0, 1.0])]
    assert found.classes.tolist() == [0, 2]


def test_a_picture_that_is_sent_comes_as_the_cloud_node_gets_it_and_says_what_that_took(
    release: Path, tmp_path: Path
) -> None:
    path = tmp_path / "noise.png"
    pixels = np.random.default_rng(3).integers(0, 256, (64, 128, 3), np.uint8)
    assert cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    stream, views = io.BytesIO(), [View(128, 90), View(64, 30)]
    assert write(release, None, [str(path)], 0, stream, views) == []
    stream.seek(0)
    fine, coarse = frames.read(stream)
    sent = [drawing.encode(RgbPicture(pixels), view) for view in views]
    assert [(each.quality, each.max_side, each.bytes) for each in (fine, coarse)] == [
        (90, 128, len(sent[0])),
        (30, 64, len(sent[1])),
    ]
    taken = np.empty((32, 64, 3), np.uint8)
    fit(memoryview(sent[1]), ModelInput(32, 64, "letterbox", 114), taken)
    assert np.array_equal(coarse.pixels, taken)
    assert not np.array_equal(fine.pixels, coarse.pixels)


def test_a_picture_that_is_not_sent_says_nothing_of_it(release: Path, tmp_path: Path) -> None:
    stream = io.BytesIO()
    write(release, write_clip(tmp_path / "clip.mp4"), [], 1, stream)
    stream.seek(0)
    (frame,) = frames.read(stream)
    assert (frame.quality, frame.max_side, frame.bytes) == (0, 0, 0)


@pytest.mark.parametrize(("count", "names"), [(4, [1, 4, 7, 10]), (100, list(range(1, 13)))])
def test_of_a_film_pictures_are_taken_all_over_it(release: Path, tmp_path: Path, count: int, names: list[int]) -> None:
    stream = io.BytesIO()
    write(release, write_clip(tmp_path / "clip.mp4"), [], count, stream)
    stream.seek(0)
    assert [int(frame.name) for frame in frames.read(stream)] == names


def test_a_stream_that_breaks_off_in_a_picture_is_refused(release: Path, tmp_path: Path) -> None:
    stream = io.BytesIO()
    write(release, write_clip(tmp_path / "clip.mp4"), [], 2, stream)
    with pytest.raises(Rejected, match="broke off in a picture"):
        list(frames.read(io.BytesIO(stream.getvalue()[:-1])))


def test_a_tensor_release_takes_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="takes no pictures"):
        write(release_of(sum_model(), tmp_path / "sum"), None, [], 1, io.BytesIO())


def test_a_reader_that_has_enough_is_no_error(release: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "agent.main",
        "frames",
        str(release),
        "--film",
        str(write_clip(tmp_path / "c.mp4")),
    ]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stderr is not None
        agent.stdout.close()
        said = agent.stderr.read()
    assert (agent.returncode, said) == (0, b"")
