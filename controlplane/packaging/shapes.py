"""The shapes of all tensors of a graph, worked out from those of its inputs, without its weights."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto, TensorProto, TypeProto, shape_inference

from protos.errors import Rejected

Shape = tuple[int, ...]  # 0: not known
Shapes = dict[str, Shape]
_SMALL = 4096  # numbers; constants that shapes are made of are no larger, weights are


def worked_out(model: ModelProto, given: Mapping[str, Shape]) -> Shapes:
    """With inputs of the shapes `given`; a 0 as first side stays free. Raises Rejected."""
    bare = _without_weights(model)
    for value in bare.graph.input:
        if value.name in given:
            _set(value.type.tensor_type, given[value.name])
    for value in bare.graph.output:  # what the exporter wrote may be of another size
        value.type.tensor_type.ClearField("shape")
    try:
        known = shape_inference.infer_shapes(bare, data_prop=True)
    except Exception as error:
        why = " ".join(str(error).split())[:160].rstrip(".")
        raise Rejected(f"the shapes in this model do not fit together ({why}); export it again") from error
    found = {value.name: shape_of(value.type.tensor_type) for value in (*known.graph.value_info, *known.graph.output)}
    found |= {value.name: shape_of(value.type.tensor_type) for value in known.graph.input}
    return {name: shape for name, shape in found.items() if shape is not None} | _of_constants(model)


def shape_of(tensor: TypeProto.Tensor) -> Shape | None:
    return tuple(max(0, dim.dim_value) for dim in tensor.shape.dim) if tensor.HasField("shape") else None


def _of_constants(model: ModelProto) -> Shapes:
    return {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}


def _without_weights(model: ModelProto) -> ModelProto:
    bare = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        large = sum(tensor.dims) > _SMALL or len(tensor.dims) > 2
        bare.graph.initializer.append(_outline(tensor) if large else tensor)
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
