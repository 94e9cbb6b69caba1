"""From fp32 to fp16: what is halved, what keeps its precision, what the gate refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from controlplane.quantizing import domain, halves
from controlplane.quantizing.domain import Attempt
from controlplane.quantizing.judges import judge
from controlplane.quantizing.runtime_ort import Graph, Prepared, halved
from controlplane.quantizing.service import Job, Passed, make
from protos.errors import Rejected
from tests.sim import exports
from tests.unit.packaging.folded import fold, pictures
from tests.unit.quantizing.conftest import plain

Export = Callable[[exports.Net], onnx.ModelProto]


def halve(model: Path, target: Path, beside: tuple[Path, ...] = ()) -> Passed:
    held = plain(40, seed=1)
    job = Job("fp16", model, [], lambda: held, judge("detection", None), beside=beside)
    return make(job, target, lambda *_: None)


def weights(path: Path) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}


def test_layers_are_halved_and_what_goes_in_and_out_stays(sound: Path, tmp_path: Path) -> None:
    made = halve(sound, tmp_path / "fp16.onnx")
    assert (made.measure.share >= domain.GATE, made.calibration, made.attempt.name) == (True, 0, "all layers")
    kinds = weights(tmp_path / "fp16.onnx")
    assert {kinds[name] for name in ("w0", "w1", "w2")} == {TensorProto.FLOAT16}
    assert kinds["one_boxes"] == TensorProto.FLOAT, "boxes are drawn behind the last layer"
    graph = onnx.load(tmp_path / "fp16.onnx").graph
    assert {each.type.tensor_type.elem_type for each in graph.input} == {TensorProto.UINT8}
    assert TensorProto.FLOAT16 not in {each.type.tensor_type.elem_type for each in graph.output}
    onnx.checker.check_model(str(tmp_path / "fp16.onnx"), full_check=True)


def test_a_graph_that_halves_cannot_hold_is_refused_with_both_numbers(loud: Path, tmp_path: Path) -> None:
    """Its sums go beyond 65504."""
    with pytest.raises(Rejected, match=r"fp16 refused: .* against 1\.0000 of fp32 .*best of 3 ways.*--exclude"):
        halve(loud, tmp_path / "fp16.onnx")
    assert not (tmp_path / "fp16.onnx").exists()


def test_without_the_gate_it_would_have_passed(loud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "GATE", 0.0)
    assert halve(loud, tmp_path / "fp16.onnx").measure.variant < 0.5


def test_the_other_variants_are_measured_with_it(sound: Path, tmp_path: Path) -> None:
    made = halve(sound, tmp_path / "fp16.onnx", beside=(sound, sound))
    assert len(made.beside_costs) == 2
    assert all(cost.seconds > 0 for cost in (made.fp32_cost, made.cost, *made.beside_costs))


def decoding() -> onnx.ModelProto:
    """A layer, then numbers that half precision cannot hold: 2049 has no fp16 of its own."""
    value, node = helper.make_tensor_value_info, helper.make_node
    constants = {"w": np.ones((1, 1, 1, 1), np.float32), "far": np.array(2048, np.float32)}
    nodes = [
        node("Conv", ["x", "w"], ["layer"], name="layer"),
        node("Add", ["layer", "far"], ["moved"], name="moved"),
        node("Neg", ["moved"], ["left"], name="left"),
        node("Identity", ["moved"], ["right"], name="right"),
    ]
    shape = [1, 1, 1, 1]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, shape)],
        [value(name, TensorProto.FLOAT, shape) for name in ("left", "right", "moved")],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(model: Path) -> list[Any]:
    one = np.ones((1, 1, 1, 1), np.float32)
    return [float(each.item()) for each in ort.InferenceSession(str(model)).run(None, {"x": one})]


def test_what_stays_in_fp32_is_not_rounded_on_its_way(tmp_path: Path) -> None:
    onnx.save(decoding(), tmp_path / "model.onnx")
    prepared = Prepared(tmp_path / "model.onnx", tmp_path)
    halved(prepared, Attempt("all layers"), tmp_path / "fp16.onnx", tmp_path / "rehearsal.onnx")
    assert answers(tmp_path / "fp16.onnx") == [-2049.0, 2049.0, 2049.0]


def test_without_the_tidying_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "_without_round_trips", lambda nodes, outputs: nodes)
    onnx.save(decoding(), tmp_path / "model.onnx")
    halved(
        Prepared(tmp_path / "model.onnx", tmp_path), Attempt("all layers"), tmp_path / "fp16.onnx", tmp_path / "x.onnx"
    )
    assert 2049.0 not in answers(tmp_path / "fp16.onnx")


def test_the_gate_hears_what_a_gpu_would_answer_not_this_processor(loud: Path, tmp_path: Path) -> None:
    """A CPU computes the fp16 graph in fp32: it would have passed."""
    files = tmp_path / "fp16.onnx", tmp_path / "rehearsal.onnx"
    halved(Prepared(loud, tmp_path), Attempt("all layers"), *files)
    here, rehearsed = (Graph(file).run(plain(1)[0].pixels)["scores"] for file in files)
    assert np.isfinite(here).all()
    assert not np.isfinite(rehearsed).any()


@pytest.mark.parametrize("export", [exports.yolov8, exports.yolov5, exports.yolox, exports.ssd, exports.detr])
def test_heads_of_public_exporters_are_halved_and_answer_alike(export: Export, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(fold(export(exports.Net()))[0])
    files = tmp_path / "fp16.onnx", tmp_path / "rehearsal.onnx"
    halved(Prepared(tmp_path / "model.onnx", tmp_path), Attempt("all layers"), *files)
    shown = pictures(1, exports.HEIGHT, exports.WIDTH)[0]
    whole, *made = (Graph(path).run(shown)["scores"] for path in (tmp_path / "model.onnx", *files))
    assert TensorProto.FLOAT16 in weights(files[0]).values()
    for scores in made:
        assert np.abs(scores - whole).max() < 0.01


def test_halving_takes_no_ranges() -> None:
    assert [each.averaged for each in domain.attempts("fp16")] == [False] * 3
    assert len(domain.attempts("int8")) == 4
