"""The shapes of all tensors of a graph, worked out from those of its inputs, without its weights.

Exporters leave arithmetic on shapes in a graph (half of the channels, a size to reshape to). Inference by schema alone
stops there; so what is made of known shapes is computed, and inference goes on from it, until nothing new is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from protos.errors import Rejected

Shape = tuple[int, ...]  # 0: not known
Shapes = dict[str, Shape]
_SMALL = 4096  # numbers; constants that shapes are made of are no larger, weights are
_FEW = 64  # numbers in what is computed here
_ROUNDS = 40  # one for each block of a network that halves its channels by arithmetic
_ARITHMETIC = frozenset(
    {"Add", "Sub", "Mul", "Div", "Mod", "Floor", "Ceil", "Neg", "Max", "Min", "Equal", "Where", "Cast", "ReduceProd"}
    | {"Concat", "Split", "Slice", "Gather", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Expand", "Range"}
    | {"ConstantOfShape", "Identity"}
)


def worked_out(model: ModelProto, given: Mapping[str, Shape]) -> Shapes:
    """With inputs of the shapes `given`; a 0 as first side stays free. Raises Rejected."""
    bare = _without_weights(model)
    for value in bare.graph.input:
        if value.name in given:
            _set(value.type.tensor_type, given[value.name])
    for value in bare.graph.output:  # what the exporter wrote may be of another size
        value.type.tensor_type.ClearField("shape")
    found: Shapes = {}
    for _ in range(_ROUNDS):
        found |= _inferred(bare)
        if not _settle(bare, found):
            break
    return found | {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}


def _inferred(bare: ModelProto) -> Shapes:
    try:
        known = shape_inference.infer_shapes(bare, data_prop=True)
    except Exception as error:  # the library raises its own, RuntimeError, and what its parser finds
        why = " ".join(str(error).split())[:160].rstrip(".")
        raise Rejected(f"the shapes in this model do not fit together ({why}); export it again") from error
    values = (*known.graph.value_info, *known.graph.output, *known.graph.input)
    found = {value.name: shape_of(value.type.tensor_type) for value in values}
    return {name: shape for name, shape in found.items() if shape is not None}


def shape_of(tensor: TypeProto.Tensor) -> Shape | None:
    return tuple(max(0, dim.dim_value) for dim in tensor.shape.dim) if tensor.HasField("shape") else None


def _settle(bare: ModelProto, shapes: Shapes) -> bool:
    """Nodes that compute with known shapes become constants; whether there were any."""
    values = {tensor.name: tensor for tensor in bare.graph.initializer if prod(tensor.dims) <= _FEW}
    values |= {node.output[0]: node.attribute[0].t for node in bare.graph.node if _is_small_constant(node)}
    settled = []
    for place, node in enumerate(bare.graph.node):
        made = _computed(node, shapes, values, bare)
        if made is not None:
            values[node.output[0]] = numpy_helper.from_array(made, node.output[0])
            settled.append(place)
    outputs = {value.name for value in bare.graph.output}
    settled = [place for place in settled if bare.graph.node[place].output[0] not in outputs]
    for place in reversed(settled):
        bare.graph.initializer.append(values[bare.graph.node[place].output[0]])
        del bare.graph.node[place]
    return bool(settled)


def _is_small_constant(node: NodeProto) -> bool:
    is_tensor = node.op_type == "Constant" and node.attribute[0].name == "value"
    return bool(is_tensor and prod(node.attribute[0].t.dims) <= _FEW)


def _computed(node: NodeProto, shapes: Shapes, values: Mapping[str, TensorProto], bare: ModelProto) -> Any:
    """What a node gives, when that is a few numbers and known; else None."""
    if node.op_type == "Shape" and not node.attribute:
        shape = shapes.get(node.input[0])
        return None if shape is None or 0 in shape else np.array(shape, np.int64)
    if (
        node.op_type not in _ARITHMETIC
        or len(node.output) != 1
        or any(each and each not in values for each in node.input)
    ):
        return None
    if prod(shapes.get(node.output[0], (_FEW + 1,))) > _FEW:
        return None
    feeds = {name: numpy_helper.to_array(values[name]) for name in node.input if name}
    inputs = [helper.make_tensor_value_info(name, values[name].data_type, None) for name in feeds]
    graph = helper.make_graph([node], "one", inputs, [helper.make_tensor_value_info(node.output[0], 0, None)])
    alone = helper.make_model(graph, opset_imports=bare.opset_import, ir_version=bare.ir_version)
    try:
        (made,) = ReferenceEvaluator(alone).run(None, feeds)
    except Exception:  # noqa: BLE001 - it is a help to know it, no more: a graph that is wrong is refused elsewhere
        return None
    return np.asarray(made) if np.size(made) <= _FEW else None


def _without_weights(model: ModelProto) -> ModelProto:
    bare = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        bare.graph.initializer.append(_outline(tensor) if prod(tensor.dims) > _SMALL else tensor)
    return bare


def _outline(tensor: TensorProto) -> TensorProto:
    return TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)


def _set(tensor: TypeProto.Tensor, shape: Shape) -> None:
    tensor.ClearField("shape")
    for place, side in enumerate(shape):
        dim = tensor.shape.dim.add()
        if side:
            dim.dim_value = side
        else:
            dim.dim_param = "N" if place == 0 else f"side{place}"
