"""Exports of earlier years, of other precisions, of one picture at a time: they compute what they computed."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from controlplane.packaging import folding
from tests.sim import exports
from tests.sim.exported import saying
from tests.sim.exports import HEIGHT, WIDTH, Net
from tests.unit.packaging.folded import Array, fold, pictures, run
from tests.unit.packaging.test_parity import CASES, expected


def old(opset: int, mode: str = "nearest") -> ModelProto:
    """A yolov8-shaped graph of 2018: Upsample, BatchNormalization, Dropout, constants listed as inputs, IR 3."""
    random = np.random.default_rng(3)
    weights = {
        "depth": random.normal(0, 0.1, (7, 3, 16, 16)).astype("f4"),
        "gain": np.ones(7, "f4") * 3,
        "bias": np.array([0, 0, 5, 5, 0, 0, 0], "f4"),
        "mean": np.zeros(7, "f4"),
        "var": np.ones(7, "f4"),
        "scales": np.array([1, 1, 2, 2], "f4"),
        "rows": np.array([1, 7, -1], np.int64),
    }
    scale = {"scales": [1.0, 1.0, 2.0, 2.0]} if opset < 9 else {}
    nodes = [
        helper.make_node("Conv", ["images", "depth"], ["c"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("BatchNormalization", ["c", "gain", "bias", "mean", "var"], ["b"], epsilon=1e-5),
        helper.make_node("Upsample", ["b"] if scale else ["b", "scales"], ["u"], mode=mode, **scale),
        helper.make_node("Dropout", ["u"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["s"]),
        helper.make_node("Reshape", ["s", "rows"], ["output0"]),
    ]
    if scale:
        del weights["scales"]
    value = helper.make_tensor_value_info
    inputs = [value("images", TensorProto.FLOAT, (1, 3, HEIGHT, WIDTH))]
    inputs += [value(name, helper.np_dtype_to_tensor_dtype(each.dtype), each.shape) for name, each in weights.items()]
    outputs = [value("output0", TensorProto.FLOAT, (1, 7, 96))]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(w, n) for n, w in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [7, 8, 9])
def test_an_old_graph_with_its_constants_among_its_inputs(
    opset: int, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    model = old(opset, mode)
    folded, decided = fold(model, head="yolov8", score=0.0, top_k=96, iou=1.0)
    assert f"opset {opset} was raised to 11" in decided.notes
    assert any("constants were listed as inputs" in note for note in decided.notes)
    assert decided.frame.batch == 0
    shown = pictures(3, HEIGHT, WIDTH)
    capfd.readouterr()
    got = run(folded, image=shown)
    assert capfd.readouterr() == ("", "")  # no runtime complains of constants or of what is not used
    for at, picture in enumerate(shown):
        planes = (picture / np.float32(255)).transpose(2, 0, 1)[np.newaxis].astype("f4")
        (output,) = run(model.SerializeToString(), images=planes)
        np.testing.assert_allclose(got[1][at], np.sort(output[0, 4:].max(0))[::-1], atol=1e-3)


@pytest.mark.parametrize("name", ["yolov8", "yolov5 maps", "yolox", "ssd", "detr"])
@pytest.mark.parametrize("opset", [11, 12, 13, 18, 21])
def test_every_opset_that_is_kept(name: str, opset: int) -> None:
    case = CASES[name]
    model = case.make(Net(opset=opset))
    folded, decided = fold(model)
    assert not any("raised" in note for note in decided.notes)
    shown = pictures(2, HEIGHT, WIDTH)
    for got, wanted in zip(run(folded, image=shown), expected(case, model, shown, 100), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-3)


@pytest.mark.parametrize("name", ["yolov8", "yolov5", "ssd", "detr"])
def test_float16_goes_in_and_comes_out_as_float32(name: str) -> None:
    model = CASES[name].make(Net(element=TensorProto.FLOAT16))
    folded, decided = fold(model)
    assert decided.precision == "fp16"
    boxes, scores, classes = run(folded, image=pictures(2, HEIGHT, WIDTH))
    assert [each.dtype for each in (boxes, scores, classes)] == [np.float32, np.float32, np.int64]
    wide, _ = fold(CASES[name].make(Net()))
    best = run(wide, image=pictures(2, HEIGHT, WIDTH))
    np.testing.assert_allclose(scores[:, :5], best[1][:, :5], atol=2e-2)  # half has three digits


def test_a_graph_written_for_one_picture_stays_so_and_says_so() -> None:
    """Attention as PyTorch writes it has the batch in the middle and multiplies it into the heads."""
    net = Net(batch=1)
    flat = net.reshape(net.conv("images", 7, 8, 1.0), 7, -1)
    turned = net.node("Transpose", flat, perm=[2, 0, 1])  # [S, 1, 7]
    merged = net.node("Reshape", turned, net.constant([96, 7], np.int64))
    back = net.node("Transpose", net.node("Reshape", merged, net.constant([96, 1, 7], np.int64)), perm=[1, 2, 0])
    model = net.model([("images", (3, HEIGHT, WIDTH))], [(net.node("Sigmoid", back), "output0", (7, 96))])
    folded, decided = fold(model, head="yolov8")
    assert decided.frame.batch == 1
    assert any("the batch stays 1" in note for note in decided.notes)
    assert run(folded, image=pictures(1, HEIGHT, WIDTH))[0].shape == (1, 100, 4)


def test_names_of_ours_in_the_graph_give_way() -> None:
    net = Net()
    model = exports.yolov8(net)
    for node in model.graph.node:
        for side in (node.input, node.output):
            side[:] = ["image" if name == "images" else "boxes" if name == "output0" else name for name in side]
    model.graph.input[0].name, model.graph.output[0].name = "image", "boxes"
    folded, _ = fold(model)
    plain, _ = fold(exports.yolov8(Net()))
    shown = pictures(2, HEIGHT, WIDTH)
    for one, other in zip(run(folded, image=shown), run(plain, image=shown), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_file_and_flags_give_the_same_bytes() -> None:
    assert fold(exports.yolox(Net()))[0] == fold(exports.yolox(Net()))[0]


def test_outputs_that_are_not_used_take_their_part_of_the_graph_along() -> None:
    rows = np.zeros((7, 126), "f4")
    model = saying(
        {"images": ("float32", (1, 3, HEIGHT, WIDTH))}, {"output0": rows, "extra": np.zeros((9, 9, 9, 9, 9), "f4")}
    )
    folded = ModelProto.FromString(fold(model)[0])
    assert not any("extra" in tensor.name for tensor in folded.graph.initializer)


def shape_free(height: int, width: int) -> tuple[Array, folding.Plan]:
    model = exports.yolov8(Net(), bare=True, sides=("height", "width"))
    folded, decided = fold(model, size=(height, width))
    return run(folded, image=pictures(1, height, width))[1], decided


def test_a_free_size_is_set() -> None:
    scores, decided = shape_free(96, 160)
    assert (decided.frame.height, decided.frame.width) == (96, 160)
    assert scores.any()
