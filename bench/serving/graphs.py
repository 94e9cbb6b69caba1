"""Graphs with the shape and the cost of well-known ones, and weights from a seed; pure.

Nothing is trained here: a benchmark needs the arithmetic, not the answers. Layers are laid out as in MobileNetV2 and
ResNet-50 with batch norms folded away, as exporters leave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 224  # of the picture
CLASSES = 1000
DENSE = 1536  # width of the layers of `dense`
# expansion, channels, repeats, stride of the first: table 2 of the MobileNetV2 paper
MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# channels of the bottleneck, repeats, stride of the first
RESNET = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
QUIET = 0.3  # gain of a residual branch's last layer, so that sums do not grow from block to block


@dataclass(frozen=True)
class Graph:
    """A serialised model; `parameters` and `macs` (multiply-adds of one picture) tell what it costs."""

    model: bytes
    parameters: int
    macs: int


@dataclass(frozen=True)
class Place:
    """A tensor inside the graph: channels × side × side."""

    name: str
    channels: int
    side: int


class Net:
    """Layers one after the other."""

    def __init__(self, seed: int = 7) -> None:
        self._chance = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self.parameters = 0
        self.macs = 0

    def conv(
        self, place: Place, channels: int, kernel: int, stride: int = 1, *, groups: int = 1, gain: float = 1.0
    ) -> Place:
        """`gain`: of the weights, 1 keeps the variance over a rectifier."""
        fan_in = kernel * kernel * place.channels // groups
        weights = self.random((channels, place.channels // groups, kernel, kernel), gain * np.sqrt(2 / fan_in))
        bias = self.random((channels,), 0.01)
        side = -(-place.side // stride)
        self.macs += fan_in * channels * side * side
        pads = [kernel // 2] * 4
        name = self.node("Conv", [place.name, weights, bias], strides=[stride] * 2, pads=pads, group=groups)
        return Place(name, channels, side)

    def relu(self, place: Place, *, at_most: float | None = None) -> Place:
        if at_most is None:
            return Place(self.node("Relu", [place.name]), place.channels, place.side)
        bounds = [self.constant(np.array(bound, np.float32)) for bound in (0.0, at_most)]
        return Place(self.node("Clip", [place.name, *bounds]), place.channels, place.side)

    def add(self, one: Place, other: Place) -> Place:
        return Place(self.node("Add", [one.name, other.name]), one.channels, one.side)

    def scores(self, place: Place, output: str) -> None:
        """Mean over the picture, then one fully connected layer."""
        flat = self.node("Flatten", [self.node("GlobalAveragePool", [place.name])])
        weights = self.random((CLASSES, place.channels), np.sqrt(1 / place.channels))
        bias = self.random((CLASSES,), 0.01)
        self.macs += CLASSES * place.channels
        self.end("Gemm", [flat, weights, bias], output, transB=1)

    def node(self, kind: str, inputs: Sequence[str], **attributes: object) -> str:
        """Append it; the name of its output."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def end(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> None:
        """Append the node that gives the graph's output."""
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))

    def constant(self, value: NDArray[np.float32]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def graph(self, shape: Sequence[int], output_shape: Sequence[int]) -> Graph:
        """From `x` to `y`. The first dimension is left free, as exporters leave it for servers that batch."""
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *each[1:]])
            for name, each in (("x", shape), ("y", output_shape))
        ]
        graph = helper.make_graph(self._nodes, "bench", ends[:1], ends[1:], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return Graph(bytes(model.SerializeToString()), self.parameters, self.macs)

    def random(self, shape: tuple[int, ...], spread: float) -> str:
        self.parameters += int(np.prod(shape))
        return self.constant((self._chance.standard_normal(shape) * spread).astype(np.float32))


def mobilenet() -> Graph:
    """Like MobileNetV2 1.0: `x` FP32 [n, 3, 224, 224] to `y` FP32 [n, 1000]."""
    net = Net()
    place = net.relu(net.conv(Place("x", 3, SIDE), 32, 3, 2), at_most=6.0)
    for expansion, channels, repeats, first_stride in MOBILENET:
        for number in range(repeats):
            place = _inverted_residual(net, place, expansion, channels, 1 if number else first_stride)
    net.scores(net.relu(net.conv(place, 1280, 1), at_most=6.0), "y")
    return net.graph((1, 3, SIDE, SIDE), (1, CLASSES))


def _inverted_residual(net: Net, before: Place, expansion: int, channels: int, stride: int) -> Place:
    wide = before.channels * expansion
    place = net.relu(net.conv(before, wide, 1), at_most=6.0) if expansion > 1 else before
    place = net.relu(net.conv(place, wide, 3, stride, groups=wide), at_most=6.0)
    residual = stride == 1 and before.channels == channels
    place = net.conv(place, channels, 1, gain=QUIET if residual else 1.0)
    return net.add(before, place) if residual else place


def resnet50() -> Graph:
    """Like ResNet-50: `x` FP32 [n, 3, 224, 224] to `y` FP32 [n, 1000]."""
    net = Net()
    place = net.relu(net.conv(Place("x", 3, SIDE), 64, 7, 2))
    pooled = net.node("MaxPool", [place.name], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    place = Place(pooled, 64, place.side // 2)
    for narrow, repeats, first_stride in RESNET:
        for number in range(repeats):
            place = _bottleneck(net, place, narrow, 1 if number else first_stride)
    net.scores(place, "y")
    return net.graph((1, 3, SIDE, SIDE), (1, CLASSES))


def _bottleneck(net: Net, before: Place, narrow: int, stride: int) -> Place:
    wide = 4 * narrow
    place = net.relu(net.conv(before, narrow, 1))
    place = net.relu(net.conv(place, narrow, 3, stride))
    place = net.conv(place, wide, 1, gain=QUIET)
    beside = before if before.channels == wide else net.conv(before, wide, 1, stride)
    return net.relu(net.add(beside, place))


def dense() -> Graph:
    """FP32 [n, 16] in and out, and some seven million multiplications between: work behind a small request."""
    net = Net()
    at = "x"
    for rows, columns in ((16, DENSE), (DENSE, DENSE), (DENSE, DENSE), (DENSE, DENSE)):
        at = net.node("Relu", [net.node("MatMul", [at, net.random((rows, columns), np.sqrt(2 / rows))])])
    net.end("MatMul", [at, net.random((DENSE, 16), np.sqrt(1 / DENSE))], "y")
    return net.graph((1, 16), (1, 16))


def tiny() -> Graph:
    """`y` = `x`, FP32 [n, 16]: what is left of a request when the model costs nothing."""
    net = Net()
    net.end("Identity", ["x"], "y")
    return net.graph((1, 16), (1, 16))
