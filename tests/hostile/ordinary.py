"""Ordinary architectures, small, built as exporters write them: what no rule of the gate may refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.hostile.building import BOOL, FLOAT, INT64, body, content, loop, value
from tests.sim import exports, models

Ordinary = tuple[str, Callable[[], bytes]]
HARBOUR = Path(__file__).parents[2] / "models" / "harbour" / "release" / "model.onnx"
_FLOAT32 = np.float32


class Layers:
    """One graph on its way; each method adds a layer and gives the name of its output."""

    def __init__(self, *sides: int | str, element: int = FLOAT, opset: int = 17) -> None:
        self._inputs = [value("x", element, sides)]
        self._nodes: list[Any] = []
        self._constants: list[TensorProto] = []
        self._random = np.random.default_rng(0)
        self._opset = opset

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"t{len(self._nodes)}_{at}" for at in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0]

    def weight(self, *sides: int) -> str:
        return self.constant((self._random.standard_normal(sides) * 0.1).astype(_FLOAT32))

    def constant(self, array: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def conv(self, x: str, before: int, after: int, size: int = 3, **attributes: Any) -> str:
        group = attributes.get("group", 1)
        pads = attributes.pop("pads", [size // 2] * 4)
        weights = self.weight(after, before // group, size, size)
        return self.node("Conv", x, weights, self.weight(after), pads=pads, kernel_shape=[size, size], **attributes)

    def norm(self, x: str, channels: int) -> str:
        spread = self.constant(np.ones(channels, _FLOAT32))
        return self.node("BatchNormalization", x, *(self.weight(channels) for _ in range(3)), spread)

    def dense(self, x: str, before: int, after: int) -> str:
        return self.node("Add", self.node("MatMul", x, self.weight(before, after)), self.weight(after))

    def head(self, x: str, channels: int) -> str:
        pooled = self.node("Flatten", self.node("GlobalAveragePool", x))
        return self.node("Gemm", pooled, self.weight(10, channels), self.weight(10), transB=1)

    def attention(self, x: str, width: int, mask: str = "") -> str:
        q, k, v = (self.dense(x, width, width) for _ in range(3))
        scores = self.node("MatMul", q, self.node("Transpose", k, perm=[0, 2, 1]))
        scores = self.node("Div", scores, self.constant(_FLOAT32(width**0.5)))
        if mask:
            scores = self.node("Add", scores, mask)
        return self.dense(self.node("MatMul", self.node("Softmax", scores, axis=-1), v), width, width)

    def layer_norm(self, x: str, width: int) -> str:
        return self.node("LayerNormalization", x, self.weight(width), self.weight(width), axis=-1)

    def block(self, x: str, width: int, mask: str = "") -> str:
        x = self.node("Add", x, self.attention(self.layer_norm(x, width), width, mask))
        wide = self.dense(self.layer_norm(x, width), width, 4 * width)
        erf = self.node("Erf", self.node("Div", wide, self.constant(_FLOAT32(2**0.5))))
        gelu = self.node("Mul", wide, self.node("Add", erf, self.constant(_FLOAT32(1))))
        return self.node("Add", x, self.dense(gelu, 4 * width, width))

    def model(self, x: str, rank: int = 2, element: int = FLOAT, **others: Any) -> bytes:
        output = value(x, element, [f"side{at}" for at in range(rank)])
        graph = helper.make_graph(self._nodes, "main_graph", self._inputs, [output], self._constants)
        opsets = [helper.make_opsetid("", self._opset), *others.pop("opsets", ())]
        return content(helper.make_model(graph, opset_imports=opsets, ir_version=8, **others))


def resnet() -> bytes:
    net = Layers("N", 3, 32, 32)
    x = net.node("MaxPool", net.conv("x", 3, 16, 7, strides=[2, 2]), kernel_shape=[2, 2], strides=[2, 2])
    for _ in range(3):
        inner = net.node("Relu", net.norm(net.conv(x, 16, 16), 16))
        x = net.node("Relu", net.node("Add", x, net.norm(net.conv(inner, 16, 16), 16)))
    return net.model(net.head(x, 16))


def mobilenet() -> bytes:
    net = Layers("N", 3, 32, 32)
    x = net.node("HardSwish", net.conv("x", 3, 8, strides=[2, 2]))
    for _ in range(3):
        wide = net.node("HardSwish", net.conv(x, 8, 32, 1))
        deep = net.node("Clip", net.conv(wide, 32, 32, group=32), net.constant(_FLOAT32(0)), net.constant(_FLOAT32(6)))
        squeezed = net.node("HardSigmoid", net.conv(net.node("GlobalAveragePool", deep), 32, 32, 1))
        x = net.node("Add", x, net.conv(net.node("Mul", deep, squeezed), 32, 8, 1))
    return net.model(net.head(x, 8))


def vgg() -> bytes:
    net = Layers(1, 3, 32, 32, opset=11)
    x, channels = "x", 3
    for after in (8, 16, 32):
        x = net.node("MaxPool", net.node("Relu", net.conv(x, channels, after)), kernel_shape=[2, 2], strides=[2, 2])
        channels = after
    x = net.node("Dropout", net.node("Reshape", x, net.constant(np.array([1, -1]))))
    return net.model(net.node("Softmax", net.node("Gemm", x, net.weight(512, 10), net.weight(10)), axis=1))


def densenet() -> bytes:
    net = Layers("N", 3, 16, 16)
    parts = [net.conv("x", 3, 8)]
    for _ in range(4):
        joined = net.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        parts.append(net.conv(net.node("Relu", net.norm(joined, 8 * len(parts))), 8 * len(parts), 8))
    return net.model(net.head(net.node("Concat", *parts, axis=1), 40))


def inception() -> bytes:
    net = Layers("N", 3, 16, 16)
    pooled = net.node("AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1])
    parts = [net.conv("x", 3, 4, 1), net.conv("x", 3, 4, 3), net.conv("x", 3, 4, 5), net.conv(pooled, 3, 4, 1)]
    return net.model(net.head(net.node("LRN", net.node("Concat", *parts, axis=1), size=5), 16))


def squeezenet() -> bytes:
    net = Layers("N", 3, 16, 16)
    squeezed = net.node("Relu", net.conv("x", 3, 4, 1))
    wide = net.node("Concat", net.conv(squeezed, 4, 8, 1), net.conv(squeezed, 4, 8, 3), axis=1)
    return net.model(net.node("Flatten", net.node("GlobalAveragePool", net.conv(wide, 16, 10, 1))))


def efficientnet() -> bytes:
    net = Layers("N", 3, 32, 32)
    x = net.conv("x", 3, 8)
    x = net.node("Mul", x, net.node("Sigmoid", x))
    mean = net.node("ReduceMean", x, axes=[2, 3], keepdims=1)
    return net.model(net.head(net.node("Mul", x, net.node("Sigmoid", net.conv(mean, 8, 8, 1))), 8))


def shufflenet() -> bytes:
    net = Layers("N", 8, 16, 16)
    x = net.conv("x", 8, 8, 1, group=2)
    x = net.node("Reshape", x, net.constant(np.array([0, 2, 4, 16, 16])))
    x = net.node("Reshape", net.node("Transpose", x, perm=[0, 2, 1, 3, 4]), net.constant(np.array([0, 8, 16, 16])))
    return net.model(net.head(net.conv(x, 8, 8, group=8), 8))


def convnext() -> bytes:
    net = Layers("N", 8, 16, 16)
    x = net.node("Transpose", net.conv("x", 8, 8, 7, group=8), perm=[0, 2, 3, 1])
    x = net.dense(net.layer_norm(x, 8), 8, 8)
    return net.model(net.head(net.node("Add", "x", net.node("Transpose", x, perm=[0, 3, 1, 2])), 8))


def unet() -> bytes:
    net = Layers("N", 3, 32, 32)
    first = net.node("Relu", net.conv("x", 3, 8))
    deep = net.node("Relu", net.conv(net.node("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2]), 8, 16))
    up = net.node("ConvTranspose", deep, net.weight(16, 8, 2, 2), strides=[2, 2], kernel_shape=[2, 2])
    again = net.node("Resize", deep, "", net.constant(np.array([1, 1, 2, 2], _FLOAT32)), mode="linear")
    joined = net.node("Concat", first, up, again, axis=1)
    return net.model(net.node("Sigmoid", net.conv(joined, 32, 1)), 4)


def autoencoder() -> bytes:
    net = Layers("N", 1, 16, 16)
    x = net.node("LeakyRelu", net.conv("x", 1, 8, strides=[2, 2]))
    x = net.node("InstanceNormalization", x, net.weight(8), net.weight(8))
    return net.model(net.node("Tanh", net.node("DepthToSpace", net.conv(x, 8, 4), blocksize=2)), 4)


def segmenter() -> bytes:
    net = Layers("N", 3, 32, 32)
    parts = [net.conv("x", 3, 4, 3, dilations=[d, d], pads=[d] * 4) for d in (1, 2, 4)]
    x = net.conv(net.node("Concat", *parts, axis=1), 12, 5, 1)
    return net.model(net.node("ArgMax", x, axis=1, keepdims=0), 3, INT64)


def transformer_of_pictures() -> bytes:
    net = Layers("N", 3, 32, 32)
    x = net.conv("x", 3, 16, 8, strides=[8, 8], pads=[0] * 4)
    x = net.node("Transpose", net.node("Reshape", x, net.constant(np.array([0, 16, -1]))), perm=[0, 2, 1])
    x = net.node("Add", x, net.weight(1, 16, 16))
    for _ in range(2):
        x = net.block(x, 16)
    first = net.node("Gather", net.layer_norm(x, 16), net.constant(np.array(0)), axis=1)
    return net.model(net.dense(first, 16, 10))


def windowed_transformer() -> bytes:
    net = Layers(1, 64, 16)
    ends = [net.constant(np.array([each])) for each in (4, 1 << 40, 0, 4, 1)]
    rolled = net.node(
        "Concat",
        net.node("Slice", "x", ends[0], ends[1], ends[4]),
        net.node("Slice", "x", ends[2], ends[3], ends[4]),
        axis=1,
    )
    windows = net.node("Reshape", rolled, net.constant(np.array([4, 16, 16])))
    return net.model(net.node("Reshape", net.block(windows, 16), net.constant(np.array([1, 64, 16]))), 3)


def encoder_of_text() -> bytes:
    net = Layers("N", "T", element=INT64)
    x = net.node("Gather", net.weight(100, 16), "x")
    return net.model(net.node("Tanh", net.dense(net.block(x, 16), 16, 16)), 3)


def decoder_of_text() -> bytes:
    net = Layers("N", 8, element=INT64)
    x = net.node("Gather", net.weight(100, 16), "x")
    seen = net.node("Trilu", net.constant(np.ones((8, 8), _FLOAT32)), upper=0)
    seen = net.node("Cast", seen, to=BOOL)
    mask = net.node("Where", seen, net.constant(_FLOAT32(0)), net.constant(_FLOAT32(-1e9)))
    return net.model(net.dense(net.block(x, 16, mask), 16, 100), 3)


def _recurrent(kind: str, gates: int) -> Callable[[], bytes]:
    def build() -> bytes:
        net = Layers(8, "N", 4)
        weights = [net.weight(2, gates * 6, 4), net.weight(2, gates * 6, 6), net.weight(2, 2 * gates * 6)]
        x = net.node(kind, "x", *weights, hidden_size=6, direction="bidirectional")
        return net.model(x, 4)

    return build


def temporal_convolutions() -> bytes:
    net = Layers("N", 4, 64)
    x = "x"
    for dilation in (1, 2, 4):
        padded = net.node("Pad", x, net.constant(np.array([0, 0, 2 * dilation, 0, 0, 0])))
        x = net.node("Relu", net.node("Conv", padded, net.weight(4, 4, 3), dilations=[dilation]))
    return net.model(x, 3)


def spatial_transformer() -> bytes:
    net = Layers(1, 1, 8, 8)
    grid = net.constant(np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 2)).astype(_FLOAT32))
    return net.model(net.node("GridSample", "x", grid), 4)


def two_stage_regions() -> bytes:
    net = Layers(1, 4, 16, 16)
    boxes = net.constant(np.array([[0, 0, 8, 8], [4, 4, 12, 12]], _FLOAT32))
    x = net.node("RoiAlign", "x", boxes, net.constant(np.array([0, 0])), output_height=2, output_width=2)
    return net.model(net.node("Flatten", x))


def picked_boxes() -> bytes:
    net = Layers(1, 8, 4)
    scores = net.constant(np.linspace(0, 1, 8, dtype=_FLOAT32).reshape(1, 1, 8))
    limits = [
        net.constant(np.array([5])),
        net.constant(np.array([0.5], _FLOAT32)),
        net.constant(np.array([0.1], _FLOAT32)),
    ]
    return net.model(net.node("NonMaxSuppression", "x", scores, *limits), 2, INT64)


def linear_attention() -> bytes:
    net = Layers("N", 8, 16)
    return net.model(net.node("Einsum", net.node("Softplus", "x"), "x", equation="bij,bik->bjk"), 3)


def search_that_ends_by_itself() -> bytes:
    """As torch.jit writes a while loop: no count, a condition that is computed."""
    net = Layers(1, 4)
    compared = helper.make_node("Less", ["round", "ten"], ["still"])
    ten = numpy_helper.from_array(np.array(10), "ten")
    inner = body([compared], "", [ten])
    count = net.constant(np.array((1 << 63) - 1))
    net._nodes.append(loop(count, net.constant(np.array(True)), inner, ["found"]))
    return net.model("found")


def scanned() -> bytes:
    net = Layers(8, 4)
    inner = helper.make_graph(
        [helper.make_node("Add", ["state", "row"], ["next"]), helper.make_node("Identity", ["next"], ["seen"])],
        "body",
        [value("state", FLOAT, [4]), value("row", FLOAT, [4])],
        [value("next", FLOAT, [4]), value("seen", FLOAT, [4])],
    )
    net._nodes.append(
        helper.make_node(
            "Scan", [net.constant(np.zeros(4, _FLOAT32)), "x"], ["last", "all"], body=inner, num_scan_inputs=1
        )
    )
    return net.model("all")


def branched() -> bytes:
    net = Layers(1, 4)
    total = net.node("ReduceSum", "x", keepdims=0)
    way = net.node("Greater", total, net.constant(_FLOAT32(0)))
    sides = [
        helper.make_graph([helper.make_node(kind, ["x"], ["z"])], kind, [], [value("z", FLOAT, [1, 4])])
        for kind in ("Relu", "Neg")
    ]
    net._nodes.append(helper.make_node("If", [way], ["chosen"], then_branch=sides[0], else_branch=sides[1]))
    return net.model("chosen")


def quantised_with_pairs() -> bytes:
    net = Layers("N", 3, 16, 16)
    scale, zero = net.constant(_FLOAT32(0.02)), net.constant(np.uint8(128))
    x = net.node("DequantizeLinear", net.node("QuantizeLinear", "x", scale, zero), scale, zero)
    weights = net.constant(np.random.default_rng(0).integers(-127, 127, (8, 3, 3, 3), np.int8))
    real = net.node(
        "DequantizeLinear",
        weights,
        net.constant(np.full(8, 0.01, _FLOAT32)),
        net.constant(np.zeros(8, np.int8)),
        axis=0,
    )
    return net.model(net.head(net.node("Conv", x, real, pads=[1] * 4), 8))


def quantised_as_it_runs() -> bytes:
    net = Layers("N", 16)
    weights = net.constant(np.random.default_rng(0).integers(-127, 127, (16, 8), np.int8))
    net._nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]))
    whole = net.node("MatMulInteger", "q", weights, "zero", net.constant(np.int8(0)))
    return net.model(net.node("Mul", net.node("Cast", whole, to=FLOAT), "scale"))


def optimised_by_the_runtime() -> bytes:
    net = Layers("N", 16)
    x = net.node("FusedGemm", "x", net.weight(16, 16), net.weight(16), activation="Relu", domain="com.microsoft")
    x = net.node("Gelu", x, domain="com.microsoft")
    return net.model(x, opsets=[helper.make_opsetid("com.microsoft", 1)])


def half_precision() -> bytes:
    net = Layers("N", 8, element=TensorProto.FLOAT16)
    weights = net.constant(np.ones((8, 4), np.float16))
    return net.model(net.node("MatMul", "x", weights), 2, TensorProto.FLOAT16)


def forest() -> bytes:
    net = Layers("N", 2)
    x = net.node(
        "TreeEnsembleRegressor",
        "x",
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_featureids=[0, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        nodes_truenodeids=[1, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_nodeids=[0, 1, 2],
        nodes_treeids=[0, 0, 0],
        nodes_values=[0.5, 0.0, 0.0],
        target_ids=[0, 0],
        target_nodeids=[1, 2],
        target_treeids=[0, 0],
        target_weights=[1.0, 2.0],
    )
    return net.model(x, opsets=[helper.make_opsetid("ai.onnx.ml", 3)])


def texts_of_classes() -> bytes:
    net = Layers("N", element=INT64)
    x = net.node("LabelEncoder", "x", domain="ai.onnx.ml", keys_int64s=[0, 1], values_strings=["boat", "truck"])
    return net.model(x, 1, TensorProto.STRING, opsets=[helper.make_opsetid("ai.onnx.ml", 3)])


def exported_with_functions() -> bytes:
    domain = "pkg.onnxscript.torch_lib"
    nodes = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Add", ["b", "b"], ["c"])]
    function = helper.make_function(domain, "twice", ["a"], ["c"], nodes, [helper.make_opsetid("", 17)])
    net = Layers("N", 4)
    x = net.node("twice", net.node("twice", "x", domain=domain), domain=domain)
    return net.model(x, functions=[function], opsets=[helper.make_opsetid(domain, 1)])


def with_sparse_weights() -> bytes:
    dense = np.zeros((16, 4), _FLOAT32)
    dense[::5] = 1
    at = np.flatnonzero(dense)
    values, indices = (numpy_helper.from_array(each) for each in (dense.ravel()[at], at.astype(np.int64)))
    values.name = "w"
    sparse = helper.make_sparse_tensor(values, indices, [16, 4])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", FLOAT, ["N", 16])],
        [value("y", FLOAT, ["N", 4])],
        sparse_initializer=[sparse],
    )
    return content(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def newest_operators() -> bytes:
    net = Layers("N", 8, 16, opset=23)
    x = net.node("RMSNormalization", "x", net.weight(16))
    return net.model(net.node("Gelu", x), 3)


def oldest_operators() -> bytes:
    net = Layers(1, 3, 8, 8, opset=9)
    return net.model(net.node("Upsample", "x", net.constant(np.array([1, 1, 2, 2], _FLOAT32))), 4)


BUILT: Sequence[Callable[[], bytes]] = (
    resnet,
    mobilenet,
    vgg,
    densenet,
    inception,
    squeezenet,
    efficientnet,
    shufflenet,
    convnext,
    unet,
    autoencoder,
    segmenter,
    transformer_of_pictures,
    windowed_transformer,
    encoder_of_text,
    decoder_of_text,
    temporal_convolutions,
    spatial_transformer,
    two_stage_regions,
    picked_boxes,
    linear_attention,
    search_that_ends_by_itself,
    scanned,
    branched,
    quantised_with_pairs,
    quantised_as_it_runs,
    optimised_by_the_runtime,
    half_precision,
    forest,
    texts_of_classes,
    exported_with_functions,
    with_sparse_weights,
    newest_operators,
    oldest_operators,
)


def architectures() -> list[Ordinary]:
    named = [(build.__name__, build) for build in BUILT]
    recurrent = [(kind.lower(), _recurrent(kind, gates)) for kind, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1))]
    return [*named, *recurrent]


def our_own() -> list[Ordinary]:
    """The sample release, what our simulators make, and what exporters of detectors write."""
    made: dict[str, Callable[[exports.Net], ModelProto]] = {
        "yolov8": exports.yolov8,
        "yolov8 bare": lambda net: exports.yolov8(net, bare=True),
        "yolov5": exports.yolov5,
        "yolov5 bare": lambda net: exports.yolov5(net, bare="5"),
        "yolox": exports.yolox,
        "ssd": exports.ssd,
        "detr": exports.detr,
    }
    samples: tuple[Callable[[], models.Sample], ...] = (
        models.sum_model,
        models.menagerie,
        models.detector,
        models.classifier,
        models.layered,
        models.convolutions,
    )
    return [
        ("sample release", HARBOUR.read_bytes),
        *((name, partial(_exported, build)) for name, build in made.items()),
        *((build.__name__, partial(_simulated, build)) for build in samples),
    ]


def _exported(build: Callable[[exports.Net], ModelProto]) -> bytes:
    return content(build(exports.Net()))


def _simulated(build: Callable[[], models.Sample]) -> bytes:
    return build().spec.model


def everything() -> Iterator[Ordinary]:
    yield from architectures()
    yield from our_own()
