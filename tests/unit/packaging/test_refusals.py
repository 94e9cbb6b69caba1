"""What cannot be packaged is refused in one sentence: why, and the nearest thing that would work."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from controlplane.packaging import folding, form
from controlplane.packaging.wish import Wish
from protos.errors import Rejected
from tests.sim import exports
from tests.sim.exported import saying
from tests.sim.exports import WIDTH, Net
from tests.unit.packaging.folded import LABELS, fold

IMAGES = {"images": ("float32", (1, 3, 64, 96))}
ROWS = np.zeros((7, 126), "f4")


def of(outputs: dict[str, Any], inputs: Any = None, **notes: str) -> ModelProto:
    model = saying(inputs or IMAGES, outputs)
    helper.set_model_props(model, notes)
    return model


def short() -> ModelProto:
    """A constant that holds fewer numbers than its sides say."""
    model = exports.yolov8(Net())
    next(each for each in model.graph.initializer if each.dims == [3]).dims[0] = 2
    return model


def opset(version: int) -> ModelProto:
    model = of({"output0": ROWS})
    model.opset_import[0].version = version
    return model


def wide() -> ModelProto:
    model = exports.yolov8(Net())
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("f8"), tensor.name))
    return model


def grey() -> ModelProto:
    return of({"output0": ROWS}, {"images": ("float32", (1, 1, 64, 96))})


def text(width: Any = WIDTH) -> ModelProto:
    """PaddleOCR, tools/infer/predict_rec.py: x [N,3,48,W] → softmax [N,W/8,characters]; here 40 of them."""
    net = Net(opset=12)
    turned = net.node("Transpose", net.reshape(net.conv("x", 16, 8, 1.0), 16, -1), perm=[0, 2, 1])
    logits = net.node("MatMul", turned, net.constant(net.random.normal(0, 1, (16, 40))))
    return net.model([("x", (3, 64, width))], [(net.node("Softmax", logits, axis=2), "softmax_11.tmp_0", ("w", 40))])


def line() -> ModelProto:
    """A CRNN, as ddddocr's common.onnx: input1 [1,1,64,W] → LSTM → [W/8,1,characters], places first."""
    net = Net(batch=1)
    places = net.node("Transpose", net.reshape(net.conv("input1", 12, 8, 1.0), 12, -1), perm=[2, 0, 1])
    weights = [net.constant(net.random.normal(size=shape)) for shape in ((1, 160, 12), (1, 160, 40))]
    read = net.node("Squeeze", net.node("LSTM", places, *weights, hidden_size=40), net.constant([1], np.int64))
    model = net.model([("input1", (3, 16, WIDTH))], [(read, "output", (1, 40))])
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 24
    return model


TEXT = "looks like a sequence of character scores .CTC.*--task tensor"
CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "masks": (
        lambda: of({"output0": np.zeros((39, 126), "f4"), "output1": np.zeros((32, 16, 24), "f4")}),
        {"head": "yolov8"},
        "'output1' holds masks, which cameras have no form for; export the detection sibling",
    ),
    "a pose": (lambda: of({"output0": ROWS}, task="pose"), {}, "a model for 'pose'.*yolo11n.pt.*--task tensor"),
    "no boxes": (
        lambda: of({"mask": np.zeros((21, 64, 96), "f4")}),
        {},
        "no known head gives mask  float .*--task tensor",
    ),
    "ssd without boxes": (lambda: of({"x": np.zeros((5, 9), "f4")}), {"head": "ssd"}, "none ends in 4 numbers"),
    "ssd without scores": (lambda: of({"boxes": np.zeros((5, 4), "f4")}), {"head": "ssd"}, "no output holds scores"),
    "two pictures": (
        lambda: of({"output0": ROWS}, {**IMAGES, "other": ("float32", (1, 3, 64, 96))}),
        {},
        "a camera gives one picture, but this model's inputs are: images .* other .*--task tensor",
    ),
    "a batch of four": (
        lambda: of({"output0": ROWS}, {"images": ("float32", (4, 3, 64, 96))}),
        {},
        "takes 4 pictures at a time, never fewer; export it with batch 1",
    ),
    "any size": (
        lambda: of({"output0": ROWS}, {"images": ("float32", (1, 3, "h", "w"))}),
        {},
        "pictures of any size; say --size 640",
    ),
    "a size for one side": (
        lambda: of({"output0": ROWS}, {"images": ("float32", (1, 1, 64, "w"))}),
        {},
        "takes grey pictures 64 high and of any width; say --size 320x64 as width x height",
    ),
    "a size that does not fit one side": (
        lambda: of({"output0": ROWS}, {"images": ("float32", (1, 3, "h", 96))}),
        {"size": (64, 128)},
        "--size 128x64 does not fit: the graph takes pictures 96 wide and of any height only",
    ),
    "the order of one channel": (grey, {"channels": "bgr"}, "--channels has nothing to act on: .* grey"),
    "ImageNet in grey": (grey, {"pixels": "imagenet"}, "imagenet is for three channels, .* takes grey"),
    "three means of one channel": (grey, {"mean": (1.0, 2.0, 3.0)}, "--mean wants one number: .* grey"),
    "text": (text, {}, TEXT),
    "text as a detector": (text, {"head": "detr"}, TEXT),
    "text of any width": (lambda: text(width="w"), {}, TEXT),
    "text read by a recurrent layer": (line, {}, r"output  float \[24,1,40\] " + TEXT),
    "a score for each pixel": (
        lambda: of({"map": np.zeros((1, 64, 96), "f4")}),
        {},
        r"no known head gives map  float .*; map looks like a score for each pixel \(segmentation.*--task tensor",
    ),
    "strides apart": (
        lambda: of({f"out{at}": np.zeros((rows, 32), "f4") for at, rows in enumerate((96, 24, 6, 96, 24, 6))}),
        {},
        "out3  float .* and 2 more; the nearest is ssd, but scores and boxes of each stride are apart",
    ),
    "rows of no place": (
        lambda: of({"output": np.zeros((200, 8), "f4")}),
        {},
        r"the nearest are rows of a YOLO, of which pictures of 96×64 have 126 \(yolov8, yolox\) or 378 .*--size",
    ),
    "another size": (lambda: of({"output0": ROWS}), {"size": (640, 640)}, "--size 640x640 does not fit: .* 96×64 only"),
    "no channels": (
        lambda: of({"output0": ROWS}, {"images": ("float32", (1, 8, 64, 96))}),
        {},
        "no side of 3 \\(or 1\\) channels is seen in images",
    ),
    "other names": (lambda: of({"output0": ROWS}), {"labels": ("a", "b")}, "gives 3 classes, but there are 2 names"),
    "no names": (lambda: of({"output0": ROWS}), {"labels": ()}, "of 3 classes needs their names: add --labels FILE"),
    "rows of another size": (
        lambda: of({"output": np.zeros((200, 8), "f4")}),
        {"head": "yolox"},
        "output gives 200 rows, but a picture of 96×64 has 126 places .*--size",
    ),
    "few anchors": (
        lambda: exports.yolov5(Net(), bare="5"),
        {"anchors": (1.0, 2.0)},
        "--anchors wants 18 numbers for 3 maps, not 2",
    ),
    "anchors backwards": (
        lambda: exports.yolov5(Net(), bare="5"),
        {"anchors": tuple(float(number) for number in range(18, 0, -1))},
        "from the finest map to the coarsest",
    ),
    "whole pixels and a mean": (
        lambda: of({"output0": ROWS}, {"images": ("uint8", (1, 3, 64, 96))}),
        {"mean": (1.0,)},
        "takes whole pixels .*nothing to act on",
    ),
    "layers of float64": (wide, {}, "layers are float64, which no box computes; export it in float32"),
    "a name of ours": (lambda: of({"boxes": ROWS}), {"head": "ssd"}, "none ends in 4 numbers .boxes  float"),
    "an ancient opset": (lambda: opset(6), {}, "of opset 6, known are 7 to .*export it with opset 17"),
    "an opset to come": (lambda: opset(999), {}, "of opset 999, known are 7 to"),
    "half a constant": (short, {}, r"no sound ONNX model \('w\d+' is not as long as it says\); export it again"),
    "no graph": (ModelProto, {}, "of opset 0, known are 7 to"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_with_the_reason_and_the_nearest_thing(name: str) -> None:
    make, wish, said = CASES[name]
    with pytest.raises(Rejected, match=said) as refused:
        fold(make(), **wish)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"top_k": 0}, "--top-k must be from 1 to 2000"),
        ({"score": 1.5}, "--score must be from 0 to 1"),
        ({"iou": -1.0}, "--iou must be from 0 to 1"),
        ({"scale": (0.0,)}, "--scale must not be 0"),
        ({"mean": (1.0, 2.0)}, "--mean wants one number or three"),
    ],
)
def test_a_wish_that_cannot_be(wish: dict[str, Any], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        fold(of({"output0": ROWS}), **wish)


SOUND = exports.yolox(Net(batch=1)).SerializeToString()


@pytest.mark.parametrize("name", [b"main_graph", b"images", b"output", b"Conv_1"])
def test_a_name_that_is_no_text_is_refused_as_damage(name: bytes) -> None:
    damaged = SOUND.replace(name, b"\x80" + name[1:])
    assert damaged != SOUND
    with pytest.raises(Rejected, match="no text"):
        form.parsed(damaged)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_no_damage_to_a_file_gets_past_as_anything_but_a_sentence(data: st.DataObject) -> None:
    content = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 6))):
        # Names, shapes and attributes lie at the ends of the file, weights between.
        where = data.draw(st.one_of(st.integers(0, 1500), st.integers(len(content) - 2500, len(content) - 1)))
        content[where] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Rejected):
        source = folding.opened(form.parsed(bytes(content)))
        folding.fold(source, folding.plan(source, Wish(labels=LABELS)))


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"head": "yolox", "anchors": (1.0,)}, "--anchors has nothing to act on with the yolox head"),
        ({"head": "yolox", "units": "pixels"}, "--units has nothing to act on with the yolox head"),
        ({"head": "yolox", "background": "first"}, "--background has nothing to act on with the yolox head"),
        ({"head": "yolox", "task": "classification"}, "--head has nothing to act on with a classifier"),
    ],
)
def test_what_would_be_forgotten_in_silence_is_refused(wish: dict[str, Any], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        fold(exports.yolox(Net()), **wish)
