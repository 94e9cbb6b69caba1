"""Small networks that write their heads as public exporters do: the same names, shapes and layouts; seeded weights.

Each is one convolution per stride, so that what comes out depends on every pixel, its channel and its place; what is
done with it afterwards (reshape, sigmoid, grid) follows the exporter named in the docstring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]
STRIDES = (8, 16, 32)
HEIGHT, WIDTH = 64, 96
CLASSES = 3
QUERIES = 20
PER_PLACE = 2  # boxes of an SSD
SPREAD = 1.5  # of what a convolution gives: scores all over 0..1, none of them equal
BINS = 16


class Net:
    """A graph under construction; `batch` is 1 for an export of one picture, 0 for a free one."""

    def __init__(self, batch: int = 0, opset: int = 17, element: int = TensorProto.FLOAT) -> None:
        self.batch, self.opset, self.element = batch, opset, element
        self.nodes: list[Any] = []
        self.weights: list[TensorProto] = []
        self.random = np.random.default_rng(7)

    @property
    def real(self) -> Any:
        return np.float16 if self.element == TensorProto.FLOAT16 else np.float32

    def constant(self, value: Any, dtype: Any = None) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype or self.real), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def reshape(self, source: str, *shape: int) -> str:
        """The first side is the batch, written as exporters do: 1 when fixed, else copied."""
        return self.node("Reshape", source, self.constant([self.batch, *shape], np.int64))

    def conv(self, source: str, out: int, stride: int, spread: float) -> str:
        depth = self.random.normal(0, spread / stride, (out, 3, stride, stride))
        bias = self.random.normal(-1, 1, out)
        sides = {"kernel_shape": [stride] * 2, "strides": [stride] * 2}
        return self.node("Conv", source, self.constant(depth), self.constant(bias), **sides)

    def part(self, source: str, axis: int, start: int, end: int) -> str:
        ends = (self.constant([number], np.int64) for number in (start, end, axis))
        return self.node("Slice", source, *ends)

    def model(
        self,
        inputs: Sequence[tuple[str, Sequence[Any]]],
        outputs: Sequence[tuple[str, str, Sequence[Any]]],
        **more: Any,
    ) -> ModelProto:
        """`outputs` are our tensor, the exporter's name, and the shape after the batch."""
        rows = self.batch or "batch"
        nodes = [*self.nodes, *(helper.make_node("Identity", [ours], [theirs]) for ours, theirs, _ in outputs)]
        given = [helper.make_tensor_value_info(name, self.element, [rows, *sides]) for name, sides in inputs]
        made = [helper.make_tensor_value_info(name, self.element, [rows, *sides]) for _, name, sides in outputs]
        graph = helper.make_graph(nodes, "main_graph", given, made, self.weights)
        version = helper.make_opsetid("", self.opset)
        return helper.make_model(graph, opset_imports=[version], ir_version=8, producer_name="pytorch", **more)


def cells(strides: Sequence[int] = STRIDES) -> int:
    return sum((HEIGHT // stride) * (WIDTH // stride) for stride in strides)


def _picture(net: Net) -> tuple[str, tuple[int, int, int]]:
    return "images", (3, HEIGHT, WIDTH)


def yolov8(net: Net, *, bare: bool = False, sides: Sequence[Any] = (HEIGHT, WIDTH)) -> ModelProto:
    """ultralytics, ultralytics/engine/exporter.py: images → output0 [N,4+C,S]; nn/modules/head.py: Detect, DFL.

    `bare` gives the three maps [N,64+C,h,w] that go into the decoding.
    """
    name, _ = _picture(net)
    maps = [net.conv(name, 4 * BINS + CLASSES, stride, SPREAD) for stride in STRIDES]
    if bare:
        shapes = [(4 * BINS + CLASSES, HEIGHT // stride, WIDTH // stride) for stride in STRIDES]
        outputs = [(each, f"output{at}", shape) for at, (each, shape) in enumerate(zip(maps, shapes, strict=True))]
        return net.model([(name, (3, *sides))], outputs)
    flat = [net.reshape(each, 4 * BINS + CLASSES, -1) for each in maps]
    both = net.node("Concat", *flat, axis=2)
    bins = net.reshape(net.part(both, 1, 0, 4 * BINS), 4, BINS, cells())
    likely = net.node("Softmax", net.node("Transpose", bins, perm=[0, 2, 1, 3]), axis=1)
    reach = net.node("Conv", likely, net.constant(np.arange(BINS).reshape(1, BINS, 1, 1)), kernel_shape=[1, 1])
    reach = net.reshape(reach, 4, cells())
    middle, steps = (net.constant(value.T[np.newaxis]) for value in grid(0.5))
    near = net.node("Sub", middle, net.part(reach, 1, 0, 2))
    far = net.node("Add", middle, net.part(reach, 1, 2, 4))
    centre = net.node("Div", net.node("Add", near, far), net.constant(2.0))
    boxes = net.node("Mul", net.node("Concat", centre, net.node("Sub", far, near), axis=1), steps)
    scores = net.node("Sigmoid", net.part(both, 1, 4 * BINS, 4 * BINS + CLASSES))
    output = net.node("Concat", boxes, scores, axis=1)
    return net.model([(name, (3, *sides))], [(output, "output0", (4 + CLASSES, cells()))])


def yolov5(net: Net, *, bare: str = "") -> ModelProto:
    """yolov5, export.py: images → output0 [N,S,5+C]; models/yolo.py: Detect.forward.

    `bare` "5" gives its training outputs [N,3,h,w,5+C], "4" the convolutions [N,3*(5+C),h,w].
    """
    name, sides = _picture(net)
    maps = [net.conv(name, 3 * (5 + CLASSES), stride, SPREAD) for stride in STRIDES]
    shapes = [(HEIGHT // stride, WIDTH // stride) for stride in STRIDES]
    if bare == "4":
        given = [(each, f"output{at}", (24, *shapes[at])) for at, each in enumerate(maps)]
        return net.model([(name, sides)], given)
    split = [net.reshape(each, 3, 5 + CLASSES, *shape) for each, shape in zip(maps, shapes, strict=True)]
    turned = [net.node("Transpose", each, perm=[0, 1, 3, 4, 2]) for each in split]
    if bare:
        fives = [(each, f"output{at}", (3, *shapes[at], 5 + CLASSES)) for at, each in enumerate(turned)]
        return net.model([(name, sides)], fives)
    rows = [net.reshape(each, -1, 5 + CLASSES) for each in (net.node("Sigmoid", each) for each in turned)]
    joined = net.node("Concat", *rows, axis=1)
    where, size, steps = _anchored()
    twice = net.node("Mul", net.part(joined, 2, 0, 4), net.constant(2.0))
    middle = net.node("Mul", net.node("Add", net.part(twice, 2, 0, 2), net.constant(where)), net.constant(steps))
    area = net.node("Mul", net.node("Pow", net.part(twice, 2, 2, 4), net.constant(2.0)), net.constant(size))
    output = net.node("Concat", middle, area, net.part(joined, 2, 4, 5 + CLASSES), axis=2)
    return net.model([(name, sides)], [(output, "output0", (3 * cells(), 5 + CLASSES))])


ANCHORS = np.array([10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326.0]).reshape(3, 3, 2)


def _anchored() -> tuple[Array, Array, Array]:
    """Of every row: its cell less a half, its anchor, its stride, each [1,S,n]."""
    where, size, steps = [], [], []
    for stride, anchors in zip(STRIDES, ANCHORS, strict=True):
        for anchor in anchors:
            for row in range(HEIGHT // stride):
                for column in range(WIDTH // stride):
                    where.append((column - 0.5, row - 0.5))
                    size.append(anchor)
                    steps.append([stride])
    return np.array([where]), np.array([size]), np.array([steps])


def grid(offset: float = 0.0) -> tuple[Array, Array]:
    """Of every place: column and row [S,2], and its stride [S,1]."""
    places = [
        (column + offset, row + offset, stride)
        for stride in STRIDES
        for row in range(HEIGHT // stride)
        for column in range(WIDTH // stride)
    ]
    found = np.array(places)
    return found[:, :2], found[:, 2:]


def yolox(net: Net, *, decoded: bool = False, logits: bool = False) -> ModelProto:
    """YOLOX, tools/export_onnx.py: images → output [N,S,5+C], with and without --decode_in_inference.

    yolox/models/yolo_head.py: sigmoid of objectness and classes, flatten, concatenate, permute.
    """
    name, sides = _picture(net)
    parts = []
    for stride in STRIDES:
        box = net.conv(name, 4, stride, 0.5 / 255)
        likely = net.conv(name, 1 + CLASSES, stride, SPREAD / 255)
        likely = likely if logits else net.node("Sigmoid", likely)
        parts.append(net.reshape(net.node("Concat", box, likely, axis=1), 5 + CLASSES, -1))
    output = net.node("Transpose", net.node("Concat", *parts, axis=2), perm=[0, 2, 1])
    if decoded:
        where, steps = (net.constant(value[np.newaxis]) for value in grid())
        middle = net.node("Mul", net.node("Add", net.part(output, 2, 0, 2), where), steps)
        size = net.node("Mul", net.node("Exp", net.part(output, 2, 2, 4)), steps)
        output = net.node("Concat", middle, size, net.part(output, 2, 4, 5 + CLASSES), axis=2)
    return net.model([(name, sides)], [(output, "output", (cells(), 5 + CLASSES))])


def ssd(net: Net, ending: str = "Softmax", *, classes: int = CLASSES + 1) -> ModelProto:
    """pytorch-ssd, convert_to_caffe2_models.py: input → scores [N,S,1+C] after softmax, boxes [N,S,4] in 0..1."""
    scores: list[str] = []
    corners: list[str] = []
    for stride in STRIDES:
        for out, found in ((classes, scores), (4, corners)):
            turned = net.node("Transpose", net.conv("input", PER_PLACE * out, stride, SPREAD), perm=[0, 2, 3, 1])
            found.append(net.reshape(turned, -1, out))
    raw = net.node("Sigmoid", net.node("Concat", *corners, axis=1))
    half = net.node("Mul", net.part(raw, 2, 2, 4), net.constant(0.3))
    middle = net.part(raw, 2, 0, 2)
    boxes = net.node("Concat", net.node("Sub", middle, half), net.node("Add", middle, half), axis=2)
    joined = net.node("Concat", *scores, axis=1)
    likely = joined if not ending else net.node(ending, joined, **({"axis": 2} if ending == "Softmax" else {}))
    outputs = [(likely, "scores", (PER_PLACE * cells(), classes)), (boxes, "boxes", (PER_PLACE * cells(), 4))]
    return net.model([("input", (3, HEIGHT, WIDTH))], outputs)


def detr(net: Net, *, classes: int = CLASSES + 1, names: tuple[str, str] = ("logits", "pred_boxes")) -> ModelProto:
    """transformers, models/detr: pixel_values → logits [N,Q,C+1] and pred_boxes [N,Q,4] as middle and size in 0..1."""
    name = "pixel_values"
    pooled = net.reshape(net.conv(name, 16, 32, 6), 96)
    logits = net.node("MatMul", pooled, net.constant(net.random.normal(0, 0.03, (96, QUERIES * classes))))
    boxes = net.node("MatMul", pooled, net.constant(net.random.normal(0, 0.05, (96, QUERIES * 4))))
    boxes = net.node("Sigmoid", net.reshape(boxes, QUERIES, 4))
    outputs = [(net.reshape(logits, QUERIES, classes), names[0], (QUERIES, classes)), (boxes, names[1], (QUERIES, 4))]
    return net.model([(name, (3, HEIGHT, WIDTH))], outputs)
