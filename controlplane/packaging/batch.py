"""A graph exported for one picture at a time, freed to take any number, where that is safe.

An exporter writes the 1 of its example into the targets of Reshape. Where such a target begins with the 1 that its
source begins with, it becomes "as the source" (0). Then the graph is proved, by shapes alone, to carry a batch of two
from its inputs to every output, with nothing else changed and no number of elements broken; if not, it stays as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

from controlplane.packaging.shapes import Shape, Shapes, worked_out
from protos.errors import Rejected


def freed(model: ModelProto, given: Mapping[str, Shape], outputs: Collection[str]) -> bool:
    """Whether `outputs` now have as many rows as the inputs; `given` are the inputs' shapes for one picture."""
    single = worked_out(model, given)
    targets = _targets(model)
    changed = []
    for node in model.graph.node:
        if _begins_with_the_batch(node, single, targets):
            changed.append((node, node.input[1]))
            node.input[1] = _free_target(model, targets[node.input[1]])
    if _carries_two(model, given, single, outputs):
        return True
    for node, target in changed:
        node.input[1] = target
    return False


def _targets(model: ModelProto) -> dict[str, list[int]]:
    """Constants that may be shapes: name → numbers."""
    found = {}
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 1 and tensor.dims[0] <= 8:
            found[tensor.name] = numpy_helper.to_array(tensor).tolist()
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            value = node.attribute[0].t
            if len(value.dims) == 1 and value.dims[0] <= 8:
                found[node.output[0]] = numpy_helper.to_array(value).tolist()
    return found


def _begins_with_the_batch(node: NodeProto, shapes: Shapes, targets: Mapping[str, list[int]]) -> bool:
    if node.op_type != "Reshape" or any(each.name == "allowzero" and each.i for each in node.attribute):
        return False
    source, target = shapes.get(node.input[0], ()), targets.get(node.input[1], [])
    return source[:1] == (1,) and target[:1] == [1]


def _free_target(model: ModelProto, target: list[int]) -> str:
    name = "longshore.target." + "x".join(map(str, target[1:]))
    if all(tensor.name != name for tensor in model.graph.initializer):
        model.graph.initializer.append(numpy_helper.from_array(np.array([0, *target[1:]], np.int64), name))
    return name


def _carries_two(model: ModelProto, given: Mapping[str, Shape], single: Shapes, outputs: Collection[str]) -> bool:
    try:
        double = worked_out(model, {name: (2, *shape[1:]) for name, shape in given.items()})
    except Rejected:
        return False
    single_rows = all(single.get(name, ())[:1] == (1,) for name in outputs)
    doubled = single_rows and all(double.get(name) == (2, *single[name][1:]) for name in outputs)
    return doubled and all(_same_count(node, double) for node in model.graph.node if node.op_type == "Reshape")


def _same_count(node: NodeProto, shapes: Shapes) -> bool:
    source, made = shapes.get(node.input[0]), shapes.get(node.output[0])
    return source is not None and made is not None and 0 not in (*source, *made) and prod(source) == prod(made)
