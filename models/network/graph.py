"""A plan with its weights as an ONNX graph of our contract: cast, scaling and decoding are inside.

Rules that hold here: no torch; the same weights give the same bytes on every machine, so nothing with a date, a path or
a tool's own naming gets in. A detector's graph has no NMS, because a peak is by definition the highest of its
neighbourhood.

    detector     image uint8[N,S,S,3] → boxes float32[N,TOP,4] in 0..1 of the input, scores float32[N,TOP] descending,
                 classes int64[N,TOP]
    classifier   image uint8[N,S,S,3] → scores float32[N,C], probabilities
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

from models.network.plan import STRIDE, TOP, Layer, Plan, max_log_reach

OPSET, IR = 17, 8

Array = NDArray[Any]
Step = tuple[str, list[str], dict[str, Any]]


@dataclass(frozen=True)
class Title:
    """What the file says of itself."""

    name: str
    version: str


def detector_graph(plan: Plan, weights: Mapping[str, Array], size: int, title: Title) -> ModelProto:
    nodes = [*_image(), *(node for layer in plan for node in _layer(layer)), *_peaks(), *_boxes()]
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", TOP, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", TOP]),
        helper.make_tensor_value_info("classes", TensorProto.INT64, ["N", TOP]),
    ]
    return _model(nodes, {**_sorted(weights), **_detector_constants(size)}, outputs, (size, title))


def classifier_graph(plan: Plan, weights: Mapping[str, Array], size: int, title: Title) -> ModelProto:
    nodes = [*_image(), *(node for layer in plan for node in _layer(layer)), *_verdict(plan[-1].name)]
    count = len(weights["class.bias"])
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", count])]
    return _model(nodes, {**_sorted(weights), "255": np.array(255, np.float32)}, outputs, (size, title))


def to_bytes(model: ModelProto) -> bytes:
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _model(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, Array],
    outputs: Sequence[ValueInfoProto],
    about: tuple[int, Title],
) -> ModelProto:
    size, title = about
    graph = helper.make_graph(
        nodes,
        title.name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        outputs,
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    proto.producer_name, proto.producer_version = "longshore", title.version
    checker.check_model(proto, full_check=True)
    return proto


def _sorted(weights: Mapping[str, Array]) -> dict[str, Array]:
    return {name: weights[name] for name in sorted(weights)}


def _detector_constants(size: int) -> dict[str, Array]:
    pitch = np.float32(STRIDE / size)  # one cell in 0..1 of the input
    return {
        "255": np.array(255, np.float32),
        "lift": np.array([1, 1, 2, 2], np.float32),
        "zero": np.array(0, np.float32),
        "half": np.array(0.5, np.float32),
        "one": np.array(1, np.float32),
        "flat": np.array([0, -1], np.int64),
        "flat_boxes": np.array([0, 4, -1], np.int64),
        "top": np.array([TOP], np.int64),
        "cells": np.array((size // STRIDE) ** 2, np.int64),
        "across": np.array(size // STRIDE, np.int64),
        "last": np.array([-1], np.int64),
        "max_log_reach": np.array(max_log_reach(size), np.float32),
        "outward": np.array([-pitch, -pitch, pitch, pitch], np.float32),
        "pitch": np.array(pitch, np.float32),
    }


def _node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes)


def _image() -> list[NodeProto]:
    return [
        _node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        _node("Cast", ["planes"], ["real"], to=TensorProto.FLOAT),
        _node("Div", ["real", "255"], ["input"]),
    ]


def _layer(layer: Layer) -> list[NodeProto]:
    source = "input" if layer.source == "image" else layer.source
    margin = layer.kernel // 2
    steps: list[Step] = [
        ("Conv", [source, f"{layer.name}.weight", f"{layer.name}.bias"], {
            "kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "pads": [margin] * 4,
        })
    ]  # fmt: skip
    nodes: list[NodeProto] = []
    if layer.plus and layer.lifted:
        lifted = f"{layer.name}.lifted"
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        nodes.append(_node("Resize", [layer.plus, "", "lift"], [lifted], **how))
        steps.append(("Add", ["", lifted], {}))
    elif layer.plus:
        steps.append(("Add", ["", layer.plus], {}))
    if layer.relu:
        steps.append(("Relu", [""], {}))
    return nodes + _chain(layer.name, steps)


def _chain(name: str, steps: list[Step]) -> list[NodeProto]:
    """Nodes one after the other, an empty input being the output before; the last output is called `name`."""
    nodes, before = [], ""
    for index, (kind, inputs, attributes) in enumerate(steps):
        output = name if index == len(steps) - 1 else f"{name}.{index}"
        nodes.append(_node(kind, [part or before for part in inputs], [output], **attributes))
        before = output
    return nodes


def _peaks() -> list[NodeProto]:
    """A cell counts where no neighbour of its class scores higher."""
    return [
        _node("Sigmoid", ["heat"], ["score"]),
        _node("MaxPool", ["score"], ["highest"], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        _node("Equal", ["score", "highest"], ["is_peak"]),
        _node("Where", ["is_peak", "score", "zero"], ["peak"]),
        _node("Reshape", ["peak", "flat"], ["every"]),
        _node("TopK", ["every", "top"], ["scores", "index"], axis=1, largest=1, sorted=1),
        _node("Div", ["index", "cells"], ["classes"]),
        _node("Mod", ["index", "cells"], ["cell"]),
    ]


def _boxes() -> list[NodeProto]:
    """Corners of the chosen cells only: their middles, moved outwards by the reaches."""
    return [
        _node("Reshape", ["reach", "flat_boxes"], ["reach_rows"]),
        _node("Transpose", ["reach_rows"], ["reach_of_cell"], perm=[0, 2, 1]),
        _node("Unsqueeze", ["cell", "last"], ["cell_index"]),
        _node("GatherND", ["reach_of_cell", "cell_index"], ["log_reach"], batch_dims=1),
        _node("Clip", ["log_reach", "", "max_log_reach"], ["log_reach_in_bounds"]),
        _node("Exp", ["log_reach_in_bounds"], ["cells_out"]),
        _node("Mul", ["cells_out", "outward"], ["offset"]),
        _node("Mod", ["cell_index", "across"], ["column"]),
        _node("Div", ["cell_index", "across"], ["row"]),
        _node("Concat", ["column", "row", "column", "row"], ["corner_cell"], axis=2),
        _node("Cast", ["corner_cell"], ["corner_real"], to=TensorProto.FLOAT),
        _node("Add", ["corner_real", "half"], ["middle"]),
        _node("Mul", ["middle", "pitch"], ["middle_of_input"]),
        _node("Add", ["middle_of_input", "offset"], ["corner"]),
        _node("Clip", ["corner", "zero", "one"], ["boxes"]),
    ]


def _verdict(last: str) -> list[NodeProto]:
    """The mean of the last map over the picture, one linear layer, and probabilities."""
    return [
        _node("GlobalAveragePool", [last], ["mean"]),
        _node("Flatten", ["mean"], ["features"], axis=1),
        _node("Gemm", ["features", "class.weight", "class.bias"], ["logits"], transB=1),
        _node("Softmax", ["logits"], ["scores"], axis=1),
    ]
