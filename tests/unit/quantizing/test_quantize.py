"""From fp32 to int8 through ONNX Runtime: what passes, what is refused, and what a refusal says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from controlplane.quantizing import domain
from controlplane.quantizing.judges import judge
from controlplane.quantizing.service import Job, make
from protos.errors import Rejected
from tests.unit.quantizing.conftest import plain


def job(model: Path, calibration: int = 40, judged: int = 40, precision: str = "int8") -> Job:
    held = plain(judged, seed=1)
    return Job(precision, model, plain(calibration), lambda: held, judge("detection", None))


def test_a_graph_that_keeps_its_answers_passes(sound: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    made = make(job(sound), tmp_path / "int8.onnx", lambda doing, share: steps.append(doing))
    assert made.measure.share >= domain.GATE
    assert made.measure.name == "agreement with fp32's own detections"
    assert made.fp32_cost.seconds > 0
    assert made.cost.seconds > 0
    graph = onnx.load(tmp_path / "int8.onnx")
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.graph.node}
    assert [entry.domain for entry in graph.opset_import] == [""], "no domain that only the runtime knows"
    assert steps.count("calibrating, all layers") == 40


def test_a_graph_that_int8_ruins_is_refused_with_both_numbers_and_what_to_try(loud: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"int8 refused: .* against 1\.0000 of fp32 .*--exclude.*fp16") as caught:
        make(job(loud), tmp_path / "int8.onnx", lambda *_: None)
    assert "99% is wanted" in str(caught.value)
    assert not (tmp_path / "int8.onnx").exists()


def test_without_the_gate_the_ruined_graph_would_have_passed(
    loud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "GATE", 0.0)
    made = make(job(loud), tmp_path / "int8.onnx", lambda *_: None)
    assert made.measure.variant < 0.5


def test_leaving_the_guilty_layers_in_fp32_mends_it(loud: Path, tmp_path: Path) -> None:
    mended = replace(job(loud), exclude=("lou*", "head"))
    assert make(mended, tmp_path / "int8.onnx", lambda *_: None).measure.share >= domain.GATE


@pytest.mark.parametrize(
    ("exclude", "sentence"), [(("nothing*",), "matches no node; its layers are"), (("*",), "no layer left to change")]
)
def test_an_exclusion_that_means_nothing_or_everything_is_refused(
    sound: Path, tmp_path: Path, exclude: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(Rejected, match=sentence):
        make(replace(job(sound), exclude=exclude), tmp_path / "int8.onnx", lambda *_: None)


def test_too_few_pictures_are_refused(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="31 pictures to calibrate on are too few; give at least 32"):
        make(job(sound, calibration=31), tmp_path / "int8.onnx", lambda *_: None)
    with pytest.raises(Rejected, match="31 pictures to judge by are too few"):
        make(job(sound, judged=31), tmp_path / "int8.onnx", lambda *_: None)


def test_pictures_that_show_nothing_judge_nothing(sound: Path, tmp_path: Path) -> None:
    dark = [replace(frame, pixels=frame.pixels // 8) for frame in plain(40)]
    with pytest.raises(Rejected, match="0 objects to judge by are too few"):
        make(replace(job(sound), judged=lambda: dark), tmp_path / "int8.onnx", lambda *_: None)


def test_an_older_opset_is_raised(sound: Path, tmp_path: Path) -> None:
    """Ranges per channel came with opset 13."""
    graph = onnx.load(sound)
    graph.opset_import[0].version = 12  # its operators were the same there
    onnx.save(graph, sound)
    assert make(job(sound), tmp_path / "int8.onnx", lambda *_: None).measure.passes
    assert onnx.load(tmp_path / "int8.onnx").opset_import[0].version >= 13


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(Rejected, match=r"x\.onnx does not load"):
        make(job(tmp_path / "x.onnx"), tmp_path / "int8.onnx", lambda *_: None)
