"""Which nodes of a graph stay in fp32. Pure over an ONNX model.

Layers with weights (convolutions, matrix products) are worth quantising, and what lies between two of them is taken
along. Left alone are: what comes before the first layer (pixels), what comes after the last on each way (decoding of
boxes, picking of the best), everything behind a node that picks (TopK, NonMaxSuppression), and a convolution whose
weights are a bare 0, 1, 2, … – an expectation over bins, no trained layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from onnx import numpy_helper

LAYERS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
PICKS = frozenset({"TopK", "NonMaxSuppression", "NonZero", "ArgMax", "GatherND", "ScatterND"})
QUANTIZED = (
    *sorted(LAYERS - {"ConvTranspose"}),
    *("Add", "Mul", "Sigmoid", "Relu", "LeakyRelu", "Clip", "Concat", "Split"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Transpose", "Reshape"),
)


def name_nodes(model: Any) -> None:
    """Nodes are told apart by their names, which exporters may leave out or give twice."""
    seen: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
        seen.add(node.name)


def drop_unused_domains(model: Any) -> None:
    """What the graph imports and no node of it, or of a graph in a node, needs."""
    used = {"ai.onnx" if domain == "" else domain for domain in _domains(model.graph.node)}
    used |= {domain for function in model.functions for domain in _domains(function.node)}
    kept = [entry for entry in model.opset_import if (entry.domain or "ai.onnx") in {"ai.onnx", *used}]
    imports = [(entry.domain, entry.version) for entry in kept]
    del model.opset_import[:]
    for domain, version in imports:
        entry = model.opset_import.add()
        entry.domain, entry.version = domain, version


def _domains(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        yield node.domain
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _domains(graph.node)


def kept_in_fp32(model: Any) -> set[str]:
    """Names of the nodes that must not be quantised."""
    nodes = list(model.graph.node)
    bins = {node.name for node in nodes if _is_expectation(node, _constants(model))}
    layers = {node.name for node in nodes if node.op_type in LAYERS} - bins
    after, before = _reached(nodes, layers), _reached(_reversed(nodes), layers)
    picked = _reached(nodes, {node.name for node in nodes if node.op_type in PICKS} | bins)
    kept = {node.name for node in nodes if node.name not in layers and not (node.name in after and node.name in before)}
    return kept | picked | bins


def first_layers(model: Any) -> set[str]:
    """Names of the layers with no other before them: they see pixels."""
    layers = _quantised_layers(model)
    return layers - _reached(model.graph.node, layers)


def last_layers(model: Any) -> set[str]:
    """Names of the layers with no other behind them: they give boxes and scores."""
    layers = _quantised_layers(model)
    return layers - _reached(_reversed(model.graph.node), layers)


def _quantised_layers(model: Any) -> set[str]:
    return {node.name for node in model.graph.node if node.op_type in LAYERS} - kept_in_fp32(model)


class _Edge:
    """A node turned around: what it gives is what it takes."""

    def __init__(self, node: Any) -> None:
        self.name, self.input, self.output = node.name, node.output, node.input


def _reversed(nodes: Iterable[Any]) -> list[Any]:
    return [_Edge(node) for node in reversed(list(nodes))]


def _reached(nodes: Iterable[Any], starts: set[str]) -> set[str]:
    """Names of the nodes behind those of `starts`; nodes come in an order in which none is before what it takes."""
    reached: set[str] = set()
    tensors: set[str] = set()
    for node in nodes:
        if not tensors.isdisjoint(node.input):
            reached.add(node.name)
        if node.name in starts or node.name in reached:
            tensors.update(name for name in node.output if name)
    return reached


def _constants(model: Any) -> Mapping[str, Any]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def _is_expectation(node: Any, constants: Mapping[str, Any]) -> bool:
    if node.op_type not in LAYERS or len(node.input) < 2 or node.input[1] not in constants:
        return False
    tensor = constants[node.input[1]]
    count = int(np.prod(tensor.dims))
    return 4 <= count <= 64 and np.array_equal(numpy_helper.to_array(tensor).ravel(), np.arange(count))


def excluded(names: Iterable[str], patterns: Iterable[str]) -> Iterator[str]:
    """Those that a pattern such as `*/head/*` matches."""
    from fnmatch import fnmatchcase

    wished = list(patterns)
    return (name for name in names if any(fnmatchcase(name, pattern) for pattern in wished))
