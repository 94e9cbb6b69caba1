"""`longshore-agent bench`: small releases of each kind through a real worker, beside real raw calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from agent.bench import films
from agent.bench.run import Wish, run
from agent.trial import feed
from protos.errors import LongshoreError, Rejected
from protos.ids import digest_of
from protos.manifest import FileEntry, Variant, parse, to_bytes
from tests.sim.clips import write_clip
from tests.sim.models import classifier, detector, sum_model
from tests.sim.release_folders import release_of

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return release_of(detector(), tmp_path / "release")


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "clip.mp4"))


def with_variant(release: Path, name: str, content: bytes) -> Path:
    """The same release with another ONNX file."""
    manifest = parse((release / "manifest.json").read_bytes())
    (release / f"{name}.onnx").write_bytes(content)
    entry = FileEntry(f"{name}.onnx", digest_of(content), len(content), "model")
    variants = (*manifest.variants, Variant(name, name, entry.path))
    grown = replace(manifest, variants=variants, files=(*manifest.files, entry))
    (release / "manifest.json").write_bytes(to_bytes(grown))
    return release


def measured(release: Path, source: str = "", **wishes: Any) -> dict[str, Any]:
    said: list[str] = []
    assert run(Wish(release, source, seconds=1.0, form="json", **wishes), said.append)
    document: dict[str, Any] = json.loads("".join(said))
    return document


def test_a_detector_is_measured_beside_raw_and_cameras_are_counted(release: Path, clip: str, tmp_path: Path) -> None:
    said: list[str] = []
    assert run(Wish(release, clip, tmp_path / "out", seconds=1.0), said.append)
    told = "\n".join(said)
    assert "one alone" in told
    assert "(200×120, 10 a second)" in told
    assert "cameras that fit with fp32" in told
    assert "plot.svg" in told
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    (variant,) = figures["variants"]
    assert variant["rounds"] == 3
    assert variant["alone"]["agent"]["medianSeconds"] > 0
    assert variant["cameras"][0]["cameras"] >= 1
    assert figures["film"]["pictures"] > 12, "a short film is read again and again"
    assert ET.parse(tmp_path / "out" / "plot.svg").getroot().tag.endswith("svg")


def test_a_camera_is_named_without_its_password(release: Path, clip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "opened", lambda _, seconds: feed.opened(clip, seconds))
    assert measured(release, "rtsp://viewer:secret@10.0.0.7/live")["film"]["source"] == "rtsp://***@10.0.0.7/live"


def test_nothing_is_left_open(release: Path, clip: str) -> None:
    measured(release, clip)
    before = len(list(Path("/proc/self/fd").iterdir()))
    measured(release, clip)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_without_a_source_a_film_is_drawn(release: Path) -> None:
    film = measured(release)["film"]
    assert (film["width"], film["height"], film["picturesPerSecond"]) == (640, 360, 10)


def test_a_live_source_is_measured_at_its_own_rate(release: Path) -> None:
    film = measured(release, "synthetic://harbour?seed=1&width=128&height=64")["film"]
    assert film["width"] == 128
    assert film["picturesPerSecond"] > 0


def test_every_variant_that_runs_is_measured_and_one_that_does_not_says_why(release: Path, clip: str) -> None:
    with_variant(with_variant(release, "int8", detector().spec.model), "fp16", b"no model")
    figures = measured(release, clip)
    assert [each["name"] for each in figures["variants"]] == ["fp32", "int8"]
    assert "damaged or no ONNX file" in figures["refused"]["fp16"]
    int8 = measured(release, clip, variant="int8")
    assert [each["name"] for each in int8["variants"]] == ["int8"]
    assert int8["chosen"] == figures["chosen"] == "fp32", "what a box runs, whatever is measured"
    with pytest.raises(Rejected, match="damaged or no ONNX file"):
        measured(release, clip, variant="fp16")
    with pytest.raises(Rejected, match="has no variant 'fp8'"):
        measured(release, clip, variant="fp8")


def test_releases_that_find_no_boxes_are_measured_without_cameras(tmp_path: Path, clip: str) -> None:
    classes = measured(release_of(classifier(), tmp_path / "classes"), clip)
    assert classes["variants"][0]["alone"]["ofRaw"] > 0
    assert classes["variants"][0]["cameras"] == []
    tensors = measured(release_of(sum_model(), tmp_path / "sum"))
    assert tensors["variants"][0]["atOnce"]["agent"]["callsPerSecond"] > 0
    assert tensors["film"] is None


def test_cores_can_be_kept_from_it(release: Path, clip: str) -> None:
    there = len(os.sched_getaffinity(0))
    assert measured(release, clip, threads=1)["machine"]["cores"] == 1
    assert measured(release, clip, threads=there + 7)["machine"]["cores"] == there


def test_pictures_are_no_film(release: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    assert cv2.imwrite(str(image), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(Rejected, match="is no film"):
        measured(release, str(image))
    with pytest.raises(LongshoreError, match="nobody listens"):
        measured(release, "rtsp://127.0.0.1:1/x")


def test_what_lies_in_the_folder_stays(release: Path, clip: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="name another folder with --folder"):
        run(Wish(release, clip, tmp_path, seconds=1.0), print)


# The agent with a standard error that says it is a terminal, so that it draws its bar.
TERMINAL = "import sys; sys.stderr.isatty = lambda: True; from agent.main import main; main()"


def interrupted(mark: bytes, words: list[str]) -> tuple[int, str]:
    """Ctrl-C once the bar has shown `mark`; the exit code, and what was said."""
    command = [sys.executable, "-c", TERMINAL, "bench", *words]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        shown = b""
        while mark not in shown:
            read = os.read(process.stderr.fileno(), 4096)
            assert read, shown
            shown += read
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    return process.returncode, said.decode()


def test_ctrl_c_keeps_what_was_measured(release: Path, clip: str, tmp_path: Path) -> None:
    """The bar says that the first variant is through; the second would take as long."""
    with_variant(release, "int8", detector().spec.model)
    words = [str(release), "--source", clip, "--seconds", "10", "--folder", str(tmp_path / "out")]
    code, said = interrupted(b"int8: loading", words)
    assert (code, "stopped; what was measured up to there" in said) == (130, True), said
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures["stopped"] is True
    assert [each["name"] for each in figures["variants"]] == ["fp32"]


def test_ctrl_c_before_a_whole_round_leaves_nothing(release: Path, clip: str, tmp_path: Path) -> None:
    words = [str(release), "--source", clip, "--seconds", "600", "--folder", str(tmp_path / "out")]
    code, said = interrupted(b"round 1 of", words)
    assert (code, "nothing was measured" in said) == (130, True), said
    assert not (tmp_path / "out").exists()
