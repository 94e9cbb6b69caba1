"""Small ONNX models with known answers, and the same answers computed in plain numpy for the fake engine.

Nothing here is trained: each graph makes one thing observable (that bytes arrive, that pixels arrive, that it fails).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from agent.ports import EngineSpec, ModelSignature, TensorSpec
from agent.types import ModelInput
from protos.ids import digest_of

Array = NDArray[np.generic]
Compute = Callable[[Mapping[str, Array]], dict[str, Array]]

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


@dataclass(frozen=True)
class Sample:
    """A model, what it declares, and what it computes."""

    spec: EngineSpec
    signature: ModelSignature
    compute: Compute


node = helper.make_node


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    shape = ["n" if side < 0 else side for side in spec.shape]
    return helper.make_tensor_value_info(spec.name, ONNX_TYPES[spec.datatype], shape)


def model_bytes(
    nodes: Sequence[onnx.NodeProto],
    signature: ModelSignature,
    constants: Mapping[str, NDArray[np.generic]] | None = None,
) -> bytes:
    """A serialised model of opset 17."""
    graph = helper.make_graph(
        list(nodes),
        "sample",
        [_value(spec) for spec in signature.inputs],
        [_value(spec) for spec in signature.outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _sample(
    nodes: Sequence[onnx.NodeProto],
    signature: ModelSignature,
    compute: Compute,
    constants: Mapping[str, NDArray[np.generic]] | None = None,
    task: str = "tensor",
    model_input: ModelInput | None = None,
    labels: tuple[str, ...] = (),
) -> Sample:
    content = model_bytes(nodes, signature, constants)
    spec = EngineSpec(digest_of(content), task, labels, model_input, content)
    return Sample(spec, signature, compute)


def sum_model() -> Sample:
    """`total` = `a` + `b`, FP32 [n, 3]."""
    shape = (-1, 3)
    signature = ModelSignature(
        (TensorSpec("a", "FP32", shape), TensorSpec("b", "FP32", shape)), (TensorSpec("total", "FP32", shape),)
    )
    return _sample(
        [helper.make_node("Add", ["a", "b"], ["total"])], signature, lambda x: {"total": np.add(x["a"], x["b"])}
    )


def identity(datatype: str, shape: tuple[int, ...] = (-1,)) -> Sample:
    """`y` = `x`, of any datatype."""
    signature = ModelSignature((TensorSpec("x", datatype, shape),), (TensorSpec("y", datatype, shape),))
    return _sample([helper.make_node("Identity", ["x"], ["y"])], signature, lambda x: {"y": x["x"]})


def menagerie() -> Sample:
    """`out_<datatype>` = `<datatype>`, for every datatype at once."""
    signature = ModelSignature(
        tuple(TensorSpec(name, name, (-1,)) for name in ONNX_TYPES),
        tuple(TensorSpec(f"out_{name}", name, (-1,)) for name in ONNX_TYPES),
    )
    nodes = [node("Identity", [name], [f"out_{name}"]) for name in ONNX_TYPES]
    return _sample(nodes, signature, lambda x: {f"out_{name}": x[name] for name in ONNX_TYPES})


def picky() -> Sample:
    """Reshapes FP32 [n] to [2, 3]: any other count than 6 fails when it runs, not when it is checked."""
    signature = ModelSignature((TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (2, 3)),))
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    return _sample(
        [node], signature, lambda x: {"y": x["x"].reshape(2, 3)}, {"shape": np.array([2, 3], dtype=np.int64)}
    )


BOXES = np.array(
    [[0.25, 0.25, 0.5, 0.75], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.75, 0.75], [0.9, 0.9, 0.9, 0.9]], dtype=np.float32
)
SCORES = np.array([0.9, 0.6, 0.3, 0.2], dtype=np.float32)
CLASSES = np.array([0, 1, 7, 0], dtype=np.int64)
LABELS = ("boat", "truck")


def detector(
    height: int = 32, width: int = 64, fit: str = "letterbox", *, sane_below: float = 2.0, rounds: int = 0
) -> Sample:
    """Known boxes in model coordinates; each score is scaled by the brightness (0 to 1) of the middle pixel's red.

    The last box has no area; class 7 has no label. From a brightness of `sane_below` on every score is NaN. The
    brighter its brightest picture, the longer a call takes: a loop goes round `rounds` times at 1.
    """
    signature = ModelSignature(
        (TensorSpec("image", "UINT8", (-1, height, width, 3)),),
        (
            TensorSpec("boxes", "FP32", (-1, 4, 4)),
            TensorSpec("scores", "FP32", (-1, 4)),
            TensorSpec("classes", "INT64", (-1, 4)),
        ),
    )
    constants: dict[str, Array] = {
        "middle_from": np.array([height // 2, width // 2, 0], dtype=np.int64),
        "middle_to": np.array([height // 2 + 1, width // 2 + 1, 1], dtype=np.int64),
        "axes": np.array([1, 2, 3], dtype=np.int64),
        "flat": np.array([-1, 1], dtype=np.int64),
        "full": np.array(255.0, dtype=np.float32),
        "one_boxes": BOXES[np.newaxis],
        "one_scores": SCORES[np.newaxis],
        "one_classes": CLASSES[np.newaxis],
        "boxes_tail": np.array([4, 4], dtype=np.int64),
        "row_tail": np.array([4], dtype=np.int64),
        "first": np.array([0], dtype=np.int64),
        "second": np.array([1], dtype=np.int64),
    }

    scores = [node("Mul", ["one_scores", "bright_row"], ["scores"])]
    if sane_below <= 1.0 or rounds:
        odd, more = _odd(sane_below, rounds)
        scores = [
            node("Mul", ["one_scores", "bright_row"], ["sane"]),
            *odd,
            node("Add", ["sane", "oddity"], ["scores"]),
        ]
        constants |= more
    nodes = [
        node("Slice", ["image", "middle_from", "middle_to", "axes"], ["pixel"]),
        node("Cast", ["pixel"], ["pixel_float"], to=TensorProto.FLOAT),
        node("Div", ["pixel_float", "full"], ["bright"]),
        node("Reshape", ["bright", "flat"], ["bright_row"]),
        *scores,
        node("Shape", ["image"], ["shape"]),
        node("Slice", ["shape", "first", "second"], ["batch"]),
        node("Concat", ["batch", "boxes_tail"], ["boxes_shape"], axis=0),
        node("Concat", ["batch", "row_tail"], ["row_shape"], axis=0),
        node("Expand", ["one_boxes", "boxes_shape"], ["boxes"]),
        node("Expand", ["one_classes", "row_shape"], ["classes"]),
    ]

    def compute(x: Mapping[str, Array]) -> dict[str, Array]:
        pixels = x["image"]
        bright = pixels[:, height // 2, width // 2, 0].astype(np.float32) / np.float32(255)
        batch = len(pixels)
        sane = np.where(bright < sane_below, np.float32(0), np.float32(np.nan))
        return {
            "boxes": np.tile(BOXES, (batch, 1, 1)),
            "scores": SCORES[np.newaxis] * bright[:, np.newaxis] + sane[:, np.newaxis],
            "classes": np.tile(CLASSES, (batch, 1)),
        }

    wanted = ModelInput(height, width, fit)
    return _sample(nodes, signature, compute, constants, "detection", wanted, LABELS)


def _odd(limit: float, rounds: int) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Nodes that make `oddity` of `bright_row`: 0 below `limit` and NaN from there on, after a loop."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Identity", ["going"], ["still"]), node("Cos", ["carried"], ["next"])],
        "body",
        [
            value("round", TensorProto.INT64, []),
            value("going", TensorProto.BOOL, []),
            value("carried", TensorProto.FLOAT, [1]),
        ],
        [value("still", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, [1])],
    )
    nodes = [
        node("ReduceMax", ["bright_row"], ["brightest"], keepdims=0),
        node("Mul", ["brightest", "rounds"], ["rounds_float"]),
        node("Cast", ["rounds_float"], ["rounds_whole"], to=TensorProto.INT64),
        node("Loop", ["rounds_whole", "yes", "zero"], ["looped"], body=body),
        node("Less", ["bright_row", "limit"], ["is_sane"]),
        node("Where", ["is_sane", "none", "nan"], ["sane_or_not"]),
        node("Mul", ["looped", "none"], ["nothing"]),
        node("Add", ["sane_or_not", "nothing"], ["oddity"]),
    ]
    constants: dict[str, Array] = {
        "rounds": np.array(rounds, dtype=np.float32),
        "yes": np.array(True),
        "zero": np.zeros(1, dtype=np.float32),
        "limit": np.array(limit, dtype=np.float32),
        "none": np.zeros(1, dtype=np.float32),
        "nan": np.full(1, np.nan, dtype=np.float32),
    }
    return nodes, constants


def classifier(height: int = 32, width: int = 64, labels: tuple[str, ...] = ("red", "green", "blue")) -> Sample:
    """`scores`: how much of the picture is red, green and blue, 0 to 1."""
    signature = ModelSignature(
        (TensorSpec("image", "UINT8", (-1, height, width, 3)),), (TensorSpec("scores", "FP32", (-1, 3)),)
    )
    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Transpose", ["float"], ["chw"], perm=[0, 3, 1, 2]),
        node("Conv", ["chw", "same"], ["layer"]),
        node("ReduceMean", ["layer"], ["mean"], axes=[2, 3], keepdims=0),
        node("Div", ["mean", "full"], ["scores"]),
    ]

    def compute(x: Mapping[str, Array]) -> dict[str, Array]:
        return {"scores": x["image"].astype(np.float32).mean(axis=(1, 2)) / np.float32(255)}

    constants: dict[str, Array] = {
        "full": np.array(255.0, dtype=np.float32),
        "same": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
    }
    wanted = ModelInput(height, width)
    return _sample(nodes, signature, compute, constants, "classification", wanted, labels)


def layered(loud: float = 1.0, side: int = 32) -> Sample:
    """A detector of three convolutions; its scores are scaled by the picture's brightness.

    The first layer gives the brightness, and beside it the same `loud` times as large, which the next layer then takes
    no notice of: with `loud` at 1e5, one scale for both in 8 bits leaves nothing of the brightness.
    """
    signature = ModelSignature(
        (TensorSpec("image", "UINT8", (-1, side, side, 3)),),
        (
            TensorSpec("boxes", "FP32", (-1, 4, 4)),
            TensorSpec("scores", "FP32", (-1, 4)),
            TensorSpec("classes", "INT64", (-1, 4)),
        ),
    )
    third = 1 / 3
    constants: dict[str, Array] = {
        "full": np.array(255.0, dtype=np.float32),
        "w0": np.full((2, 3, 1, 1), third, dtype=np.float32),
        "w1": np.array([[loud / 2, loud / 2], [0.5, 0.5]], dtype=np.float32).reshape(2, 2, 1, 1),
        "w2": np.array([[0.0, 1.0]], dtype=np.float32).reshape(1, 2, 1, 1),
        "flat": np.array([-1, 1], dtype=np.int64),
        "one_scores": SCORES[np.newaxis],
        "one_boxes": BOXES[np.newaxis],
        "one_classes": CLASSES[np.newaxis] % 2,
        "boxes_tail": np.array([4, 4], dtype=np.int64),
        "row_tail": np.array([4], dtype=np.int64),
        "first": np.array([0], dtype=np.int64),
        "second": np.array([1], dtype=np.int64),
    }
    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Div", ["float", "full"], ["unit"]),
        node("Transpose", ["unit"], ["chw"], perm=[0, 3, 1, 2]),
        node("Conv", ["chw", "w0"], ["c0"], name="stem"),
        node("Conv", ["c0", "w1"], ["c1"], name="loud"),
        node("Conv", ["c1", "w2"], ["c2"], name="head"),
        node("ReduceMean", ["c2"], ["mean"], axes=[1, 2, 3], keepdims=0),
        node("Reshape", ["mean", "flat"], ["bright"]),
        node("Mul", ["one_scores", "bright"], ["scores"]),
        node("Shape", ["image"], ["shape"]),
        node("Slice", ["shape", "first", "second"], ["batch"]),
        node("Concat", ["batch", "boxes_tail"], ["boxes_shape"], axis=0),
        node("Concat", ["batch", "row_tail"], ["row_shape"], axis=0),
        node("Expand", ["one_boxes", "boxes_shape"], ["boxes"]),
        node("Expand", ["one_classes", "row_shape"], ["classes"]),
    ]

    def compute(x: Mapping[str, Array]) -> dict[str, Array]:
        bright = x["image"].astype(np.float32).mean(axis=(1, 2, 3)) / np.float32(255)
        batch = len(bright)
        return {
            "boxes": np.tile(BOXES, (batch, 1, 1)),
            "scores": SCORES[np.newaxis] * bright[:, np.newaxis],
            "classes": np.tile(CLASSES % 2, (batch, 1)),
        }

    return _sample(nodes, signature, compute, constants, "detection", ModelInput(side, side), LABELS)


def endless(least: int = 0) -> Sample:
    """Loops until killed: a hung worker. `x` INT64 [1]: how often to go round beyond `least`, so that warming (0) ends.

    With a `least` of thousands an inference is no short one.
    """
    signature = ModelSignature((TensorSpec("x", "INT64", (1,)),), (TensorSpec("y", "FP32", (1,)),))
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Cos", ["carried"], ["next"]),
        ],
        "body",
        [
            value("round", TensorProto.INT64, []),
            value("going", TensorProto.BOOL, []),
            value("carried", TensorProto.FLOAT, [1]),
        ],
        [value("still", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, [1])],
    )
    nodes = [
        helper.make_node("Add", ["x", "least"], ["sum"]),
        helper.make_node("Reshape", ["sum", "scalar"], ["rounds"]),
        helper.make_node("Loop", ["rounds", "yes", "start"], ["y"], body=body),
    ]
    constants: dict[str, Array] = {
        "least": np.array([least], dtype=np.int64),
        "scalar": np.array([], dtype=np.int64),
        "yes": np.array(True),
        "start": np.array([1.0], dtype=np.float32),
    }
    return _sample(nodes, signature, lambda x: {"y": np.ones(1, dtype=np.float32)}, constants)


def convolutions(side: int = 320, channels: int = 16) -> Sample:
    """A detector that costs about as much as a small real one: three convolutions before constant boxes."""
    rng = np.random.default_rng(0)
    signature = ModelSignature(
        (TensorSpec("image", "UINT8", (-1, side, side, 3)),),
        (
            TensorSpec("boxes", "FP32", (1, 4, 4)),
            TensorSpec("scores", "FP32", (1, 4)),
            TensorSpec("classes", "INT64", (1, 4)),
        ),
    )

    def weights(*shape: int) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) * 0.1).astype(np.float32)

    constants: dict[str, Array] = {
        "w1": weights(channels, 3, 3, 3),
        "w2": weights(2 * channels, channels, 3, 3),
        "w3": weights(4 * channels, 2 * channels, 3, 3),
        "zero": np.array(0.0, dtype=np.float32),
        "one_boxes": BOXES[np.newaxis],
        "one_scores": SCORES[np.newaxis],
        "one_classes": CLASSES[np.newaxis],
    }

    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Transpose", ["float"], ["chw"], perm=[0, 3, 1, 2]),
        node("Conv", ["chw", "w1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["c2"], ["r2"]),
        node("Conv", ["r2", "w3"], ["c3"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("ReduceMean", ["c3"], ["mean"], keepdims=0),
        node("Mul", ["mean", "zero"], ["nothing"]),
        node("Add", ["one_scores", "nothing"], ["scores"]),
        node("Identity", ["one_boxes"], ["boxes"]),
        node("Identity", ["one_classes"], ["classes"]),
    ]

    def compute(x: Mapping[str, Array]) -> dict[str, Array]:
        return {"boxes": BOXES[np.newaxis], "scores": SCORES[np.newaxis], "classes": CLASSES[np.newaxis]}

    return _sample(nodes, signature, compute, constants, "detection", ModelInput(side, side), LABELS)


def as_spec(content: bytes, task: str = "tensor") -> EngineSpec:
    """Any bytes, as if they were a model."""
    return EngineSpec(digest_of(content), task, (), None, content)
