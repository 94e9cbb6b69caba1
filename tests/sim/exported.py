"""Graphs with an exporter's names and shapes that say what they are told to, so that boxes can be computed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]
Side = int | str
ELEMENTS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64, "uint8": 2}


def saying(
    inputs: Mapping[str, tuple[str, Sequence[Side]]],
    outputs: Mapping[str, Array],
    through: Sequence[str] = (),
    opset: int = 17,
    batch: Side = "batch",
) -> ModelProto:
    """`outputs` are the same for each picture and have no side for the batch; with `batch` "" neither has the graph.

    `through` are operators that the outputs depend on, without being changed by them: how a real head ends.
    """
    (picture, (element, sides)), *others = inputs.items()
    shape = helper.make_tensor_value_info
    given = [shape(picture, ELEMENTS[element], sides)]
    given += [shape(name, ELEMENTS[kind], more) for name, (kind, more) in others]
    nodes = [helper.make_node("Cast", [picture], ["real"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("ReduceMean", ["real"], ["mean"], axes=[1, 2, 3], keepdims=0)]
    nodes += [helper.make_node("Mul", ["mean", "zero"], ["nothing0"])]
    for at, kind in enumerate(through):
        nodes += [helper.make_node(kind, [f"nothing{at}"], [f"n{at}"])]
        nodes += [helper.make_node("Mul", [f"n{at}", "zero"], [f"nothing{at + 1}"])]
    weights = [numpy_helper.from_array(np.float32(0), "zero")]
    made = []
    for name, value in outputs.items():
        ones, rows = [1] * value.ndim, list(value.shape)
        weights += [numpy_helper.from_array(np.array([-1, *ones] if batch else ones), f"{name}/shape")]
        weights += [numpy_helper.from_array(value.astype(np.float32)[np.newaxis if batch else ...], f"{name}/is")]
        nodes += [helper.make_node("Reshape", [f"nothing{len(through)}", f"{name}/shape"], [f"{name}/none"])]
        nodes += [helper.make_node("Add", [f"{name}/is", f"{name}/none"], [f"{name}/real"])]
        nodes += [helper.make_node("Cast", [f"{name}/real"], [name], to=ELEMENTS[value.dtype.name])]
        made.append(shape(name, ELEMENTS[value.dtype.name], [batch, *rows] if batch else rows))
    graph = helper.make_graph(nodes, "main_graph", given, made, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
