"""What an ONNX graph is made of, in a few lines: inputs, outputs, operators, weights. Pure; it names no package.

`outline` takes a parsed ModelProto of a stranger: everything that comes out is bounded and printable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import prod
from typing import Any

MOST_TENSORS = 32  # inputs or outputs told
MOST_OPERATORS = 200  # kinds of operator told
MAX_TEXT = 128
# TensorProto.DataType, by number.
_NAMES = (
    "undefined float32 uint8 int8 uint16 int16 int32 int64 string bool float16 float64 uint32 uint64 complex64 "
    "complex128 bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4"
)
TYPES = tuple(_NAMES.split())

Outline = dict[str, Any]


def outline(model: Any) -> Outline:
    """JSON: opset, producer, inputs, outputs, nodes, operators (kind → count), parameters, weights (type → count).

    Nodes are those of the main graph; weights are its initialisers.
    """
    graph = model.graph
    held = {tensor.name for tensor in graph.initializer}
    operators = Counter(_text(node.op_type) for node in graph.node)
    weights: Counter[str] = Counter()
    for tensor in graph.initializer:
        weights[_type(tensor.data_type)] += prod(tensor.dims)
    return {
        "opset": max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0),
        "producer": _text(f"{model.producer_name} {model.producer_version}".strip()),
        "inputs": _values(value for value in graph.input if value.name not in held),
        "outputs": _values(graph.output),
        "nodes": len(graph.node),
        "operators": dict(operators.most_common(MOST_OPERATORS)),
        "parameters": weights.total(),
        "weights": dict(weights.most_common()),
    }


def _values(values: Iterable[Any]) -> list[Outline]:
    return [
        {
            "name": _text(value.name),
            "type": _type(value.type.tensor_type.elem_type),
            "shape": [_size(dim) for dim in value.type.tensor_type.shape.dim],
        }
        for value, _ in zip(values, range(MOST_TENSORS), strict=False)
    ]


def _type(number: int) -> str:
    return TYPES[number] if number < len(TYPES) else "other"


def _size(dim: Any) -> str:
    return str(dim.dim_value) if dim.HasField("dim_value") else _text(dim.dim_param) or "?"


def _text(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:MAX_TEXT])
