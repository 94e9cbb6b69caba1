"""Cuts that leave what a graph computes as it is.

A graph's constants are no longer among its inputs (before IR 4 exporters had to list them, and then no runtime may fold
them), functions of its own are inlined, tensors that bear our names give way, and what no output needs is gone. Which
operators it may use, and that nothing lies outside of its file, the gate has asked before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, checker, inliner, numpy_helper
from onnx.external_data_helper import _get_all_tensors

from controlplane.packaging.seen import MOVED, OURS, nodes
from protos.errors import Rejected

IR = 8  # of what we write; a newer one is kept
_SMALL = 4096  # numbers: constants that are looked into here are no larger
_STANDARD = frozenset({"", "ai.onnx"})


def check_precision(model: ModelProto) -> None:
    """Raises Rejected for layers that no runtime has: a graph may count in float64, but convolve in it it cannot."""
    wide = {each.name for each in model.graph.initializer if each.data_type == TensorProto.DOUBLE}
    wide |= {node.output[0] for node in model.graph.node for each in node.attribute if _is_wide(each)}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and not wide.isdisjoint(node.input):
            raise Rejected(
                "the model's layers are float64, which no box computes; export it in float32 (PyTorch: model.float())"
            )


def _is_wide(attribute: AttributeProto) -> bool:
    return bool(attribute.name == "value" and attribute.t.data_type == TensorProto.DOUBLE)


def check_sound(model: ModelProto) -> None:
    """Raises Rejected."""
    try:
        checker.check_model(model, full_check=False)
    except (checker.ValidationError, ValueError, UnicodeDecodeError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
        raise Rejected(f"this is no sound ONNX model ({why}); export it again") from error
    for tensor in _get_all_tensors(model):
        if prod(tensor.dims) <= _SMALL and not _is_full(tensor):
            raise Rejected(f"this is no sound ONNX model ({tensor.name!r} is not as long as it says); export it again")


def _is_full(tensor: TensorProto) -> bool:
    """Whether it holds as many numbers as its sides say: the checker asks that of some kinds only."""
    try:
        numpy_helper.to_array(tensor)
    except (ValueError, TypeError):
        return False
    return True


def plain(model: ModelProto) -> ModelProto:
    """`model` changed in place where it can be."""
    if model.functions:
        model = inliner.inline_local_functions(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    _keep(model.graph.input, [value.name not in constants for value in model.graph.input])
    model.ir_version = max(model.ir_version, IR)
    taken = {name for node in nodes(model.graph) for name in (*node.input, *node.output)}
    rename(model.graph, {name: f"{MOVED}{name}" for name in OURS if name in taken | _ends(model.graph)})
    return model


def _ends(graph: GraphProto) -> set[str]:
    return {value.name for value in (*graph.input, *graph.output)}


def rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Every tensor of these names, in inner graphs too."""
    for node in graph.node:
        for place in (node.input, node.output):
            place[:] = [names.get(name, name) for name in place]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                rename(inner, names)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)


def prune(model: ModelProto) -> None:
    """Drop nodes and constants that no output needs, and sets of operators that no node is of."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    wanted = []
    for node in reversed(graph.node):  # a graph lists its nodes in the order of their work
        wanted.append(not needed.isdisjoint(node.output))
        if wanted[-1]:
            needed.update(node.input)
            needed.update(_outer_names(node))
    _keep(graph.node, wanted[::-1])
    _keep(graph.initializer, [tensor.name in needed for tensor in graph.initializer])
    del graph.value_info[:]
    used = _STANDARD | {node.domain for node in nodes(graph)}
    _keep(model.opset_import, [entry.domain in used for entry in model.opset_import])


def _outer_names(node: NodeProto) -> set[str]:
    inner = [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]
    taken = {name for graph in inner for each in nodes(graph) for name in each.input}
    return taken | {value.name for graph in inner for value in graph.output}


def _keep(field: Any, wanted: Sequence[bool]) -> None:
    """Of a repeated field, without copying what stays: it may be weights."""
    for place in reversed(range(len(wanted))):
        if not wanted[place]:
            del field[place]
