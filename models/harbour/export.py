"""From weights to the packaged release: the ONNX graph, its labels, its card and the manifest that names them.

Rules that hold here: no torch; the same weights and provenance give the same bytes on every machine, so nothing with a
date, a path or a tool's own naming gets in; everything model-specific (cast, scaling, peak picking, boxes) is inside
the graph, and there is no NMS, because a peak is by definition the highest of its neighbourhood.

    image uint8[N,320,320,3] → boxes float32[N,TOP,4] in 0..1 of the input, scores float32[N,TOP] descending,
    classes int64[N,TOP]
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper
from safetensors.numpy import load

from models.harbour.card import card
from models.harbour.plan import LABELS, MAX_LOG_REACH, PLAN, SIZE, STRIDE, TOP, Layer
from protos.ids import digest_of, model_name, version
from protos.manifest import FileEntry, ImageInput, Manifest, Variant, to_bytes

HOME = Path(__file__).parent
RELEASE = HOME / "release"
NAME, VERSION = "harbour", "1.0.0"
OPSET, IR = 17, 8
CELLS = (SIZE // STRIDE) ** 2
ROLES = {"card.md": "card", "labels.txt": "labels", "model.onnx": "model"}

Array = NDArray[Any]


def write_release(home: Path = HOME, target: Path = RELEASE) -> dict[str, bytes]:
    """Build the release of the weights and provenance in `home` and write it to `target`."""
    files = release((home / "weights.safetensors").read_bytes(), json.loads((home / "provenance.json").read_text()))
    target.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (target / name).write_bytes(content)
    return files


def release(weights: bytes, provenance: Mapping[str, Any]) -> dict[str, bytes]:
    """All files of the release by name."""
    files = {
        "card.md": card(provenance).encode(),
        "labels.txt": ("\n".join(LABELS) + "\n").encode(),
        "model.onnx": onnx_bytes(weights),
    }
    return {**files, "manifest.json": manifest(files)}


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The canonical bytes that name every file by its content."""
    named = sorted(files.items())
    entries = (FileEntry(name, digest_of(content), len(content), ROLES[name]) for name, content in named)
    return to_bytes(
        Manifest(
            name=model_name(NAME),
            version=version(VERSION),
            task="detection",
            input=ImageInput("image", SIZE, SIZE),
            labels=LABELS,
            variants=(Variant("fp32", "fp32", "model.onnx"),),
            files=tuple(entries),
        )
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def onnx_bytes(weights: bytes) -> bytes:
    content: bytes = model(load(weights)).SerializeToString(deterministic=True)
    return content


def model(weights: Mapping[str, Array]) -> ModelProto:
    constants = {**{name: weights[name] for name in sorted(weights)}, **_constants()}
    nodes = [*_image(), *(node for layer in PLAN for node in _layer(layer)), *_peaks(), *_boxes()]
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", TOP, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", TOP]),
            helper.make_tensor_value_info("classes", TensorProto.INT64, ["N", TOP]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    proto.producer_name, proto.producer_version = "longshore", VERSION
    checker.check_model(proto, full_check=True)
    return proto


def _constants() -> dict[str, Array]:
    pitch = np.float32(STRIDE / SIZE)  # one cell in 0..1 of the input
    return {
        "255": np.array(255, np.float32),
        "lift": np.array([1, 1, 2, 2], np.float32),
        "zero": np.array(0, np.float32),
        "half": np.array(0.5, np.float32),
        "one": np.array(1, np.float32),
        "flat": np.array([0, -1], np.int64),
        "flat_boxes": np.array([0, 4, -1], np.int64),
        "top": np.array([TOP], np.int64),
        "cells": np.array(CELLS, np.int64),
        "across": np.array(SIZE // STRIDE, np.int64),
        "last": np.array([-1], np.int64),
        "max_log_reach": np.array(MAX_LOG_REACH, np.float32),
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
    steps = [
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


def _chain(name: str, steps: list[tuple[str, list[str], dict[str, Any]]]) -> list[NodeProto]:
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
