"""A graph exported for one picture at a time, freed to take any number, where that is safe.

An exporter writes the 1 of its example into the targets of Reshape. Where everything else in such a target is said, its
first side becomes "what is left" (-1), and where it repeats its source's, "as the source" (0). Then the graph is
proved, by shapes for one picture and for two, to keep pictures apart from its inputs to every output: each tensor
knows nothing of them, or has them outermost, twice as many for two; and no operator works across that side. If the
proof fails, the graph stays as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from controlplane.packaging.shapes import Shape, Shapes, worked_out
from protos.errors import Rejected

_MOST_SIDES = 8
_BLIND = ("Shape", "Size")  # what they give is no picture any more
# With an axis that may be the outermost; what picks or joins along it would mix pictures.
_ALONG = (
    *("Softmax", "LogSoftmax", "Hardmax", "CumSum", "LpNormalization", "Concat", "Split", "TopK", "Unique", "Compress"),
    *("Gather", "GatherElements", "ScatterElements", "ReverseSequence"),
)
_ACROSS = (
    *("GatherND", "ScatterND", "NonMaxSuppression", "RoiAlign", "MaxRoiPool", "If", "Loop", "Scan", "Einsum"),
    *("RNN", "GRU", "LSTM", "MeanVarianceNormalization"),  # outermost is time, or what is averaged over
)


def freed(model: ModelProto, given: Mapping[str, Shape], outputs: Collection[str]) -> bool:
    """Whether `outputs` now have as many rows as the inputs; `given` are the inputs' shapes for one picture."""
    single = worked_out(model, given)
    targets, pictures = _targets(model), _reached(model, given)
    changed = []
    for node in model.graph.node:
        free = _free_target(node, single, targets) if node.input and node.input[0] in pictures else None
        if free is not None:
            changed.append((node, node.input[1]))
            node.input[1] = _constant(model, free)
    if _keeps_apart(model, given, single, outputs):
        return True
    for node, target in changed:
        node.input[1] = target
    return False


def is_for_one(model: ModelProto, given: Mapping[str, Shape], outputs: Collection[str]) -> bool:
    """Whether shapes prove that a graph cannot take two pictures, whatever its exporter declared."""
    try:
        two = worked_out(model, {name: (2, *shape[1:]) for name, shape in given.items()})
    except Rejected:
        return True
    return any(two.get(name, (0,))[:1] not in ((0,), (2,), ()) for name in outputs)


def _targets(model: ModelProto) -> dict[str, list[int]]:
    """Constants that may be shapes: name → numbers."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    small = {name: each for name, each in tensors.items() if len(each.dims) == 1 and each.dims[0] <= _MOST_SIDES}
    return {name: numpy_helper.to_array(each).tolist() for name, each in small.items()}


def _reached(model: ModelProto, given: Collection[str]) -> set[str]:
    """Tensors that are made of the inputs' numbers."""
    found = set(given)
    for node in model.graph.node:
        if node.op_type not in _BLIND and not found.isdisjoint(node.input):
            found.update(node.output)
    return found


def _free_target(node: NodeProto, shapes: Shapes, targets: Mapping[str, list[int]]) -> list[int] | None:
    if node.op_type != "Reshape" or _number(node, "allowzero", 0) or node.input[1] not in targets:
        return None
    source, target = shapes.get(node.input[0], ()), targets[node.input[1]]
    if all(side > 0 for side in target):
        return [-1, *target[1:]]
    return [0, *target[1:]] if target[0] > 0 and source[:1] == (target[0],) else None


def _constant(model: ModelProto, target: list[int]) -> str:
    name = "longshore.target." + "x".join(map(str, target))
    if all(tensor.name != name for tensor in model.graph.initializer):
        model.graph.initializer.append(numpy_helper.from_array(np.array(target, np.int64), name))
    return name


def _keeps_apart(model: ModelProto, given: Mapping[str, Shape], single: Shapes, outputs: Collection[str]) -> bool:
    try:
        one, two = worked_out(model, given), worked_out(model, {name: (2, *each[1:]) for name, each in given.items()})
    except Rejected:
        return False
    rows = set(given)
    for node in model.graph.node:
        if node.op_type in _BLIND or rows.isdisjoint(node.input):
            continue
        if _mixes(node, one, rows) or not all(_doubles(one.get(name), two.get(name)) for name in node.output if name):
            return False
        rows.update(node.output)
    return all(name in rows and single.get(name, (1,))[:1] == (1,) for name in outputs)


def _doubles(one: Shape | None, two: Shape | None) -> bool:
    if not one or not two or 0 in (*one, *two):
        return False
    return two == (2 * one[0], *one[1:])


def _mixes(node: NodeProto, shapes: Shapes, rows: Collection[str]) -> bool:
    """Whether it works across the outermost side of what it takes."""
    if node.op_type in _ACROSS:
        return True
    if node.op_type == "Slice":
        return False  # a part of the outermost side would not double
    if node.op_type not in _ALONG or (node.op_type == "Gather" and node.input[0] not in rows):
        return False
    usual = -1 if node.op_type in ("Softmax", "LogSoftmax", "Hardmax", "TopK") else 0
    axis = _number(node, "axis", usual)
    return axis == 0 or axis == -len(shapes.get(node.input[0], ()))


def _number(node: NodeProto, name: str, usual: int) -> int:
    return next((int(helper.get_attribute_value(each)) for each in node.attribute if each.name == name), usual)
