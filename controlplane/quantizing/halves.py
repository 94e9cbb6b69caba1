"""An fp16 graph: tidied after its conversion, and rehearsed where there is no GPU. Pure over an ONNX model.

The converter (ONNX Runtime's `transformers.float16`, MIT) puts a cast on every edge of a node that stays in fp32, so
that between two of them, and before the graph's outputs, a number goes fp32 → fp16 → fp32: boxes of a 640-pixel input
would be rounded to half a pixel for nothing. Such round trips are taken out. It also appends its casts at the end, and
ONNX wants nodes in an order in which none is before what it takes.

A CPU computes an fp16 graph in fp32 and keeps nothing of its rounding, so the graph as it is would pass any gate. The
rehearsal is the fp32 graph with every number that a GPU would hold in 16 bits rounded to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any

from onnx import helper

FLOAT, FLOAT16 = 1, 10  # TensorProto.FLOAT, TensorProto.FLOAT16
_CAST = "_cast_to_fp16"  # how the converter names what a node in fp32 gave before


def tidy(model: Any) -> None:
    """Without round trips, in order."""
    graph = model.graph
    nodes = _without_round_trips(list(graph.node), {value.name for value in graph.output})
    del graph.node[:]
    graph.node.extend(_in_order(nodes))
    del graph.value_info[:]  # it tells of tensors that are no more; whoever loads the graph infers them


def rehearse(model: Any, is_kept: Callable[[Any], bool], always_float: Mapping[str, Sequence[int]]) -> None:
    """Turn an fp32 graph with inferred shapes into what its fp16 form gives on a GPU.

    `is_kept`: nodes that stay in fp32. `always_float`: inputs by kind of node, such as scales, that do so too.
    """
    graph = model.graph
    values = (*graph.value_info, *graph.input, *graph.output)
    floats = {value.name for value in values if value.type.tensor_type.elem_type == FLOAT}
    floats |= {tensor.name for tensor in graph.initializer if tensor.data_type == FLOAT}
    rounded: dict[str, str] = {}
    nodes: list[Any] = []
    for node in graph.node:
        if is_kept(node):
            nodes.append(node)
            continue
        for place, name in enumerate(node.input):
            if name in floats and place not in always_float.get(node.op_type, ()):
                if name not in rounded:
                    rounded[name] = f"{name}_rounded"
                    nodes += _rounding(name, rounded[name])
                node.input[place] = rounded[name]
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in floats:
                node.output[place] = f"{name}_exact"
                nodes += _rounding(node.output[place], name)
                rounded[name] = name
    del graph.node[:]
    graph.node.extend(nodes)


def _rounding(source: str, target: str) -> list[Any]:
    half = f"{target}_half"
    return [
        helper.make_node("Cast", [source], [half], to=FLOAT16),
        helper.make_node("Cast", [half], [target], to=FLOAT),
    ]


def _without_round_trips(nodes: list[Any], outputs: set[str]) -> list[Any]:
    halved = {node.output[0]: node.input[0] for node in nodes if _is_to_half(node)}
    back = [node for node in nodes if _cast_to(node) == FLOAT and node.input[0] in halved]
    names, dropped = _renamed([(halved[node.input[0]], node.output[0]) for node in back], outputs)
    kept = [node for node in nodes if node.output[0] not in dropped]
    for node in kept:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    taken = {name for node in kept for name in _takes(node)} | outputs
    return [node for node in kept if _cast_to(node) != FLOAT16 or node.output[0] in taken]


def _renamed(trips: Sequence[tuple[str, str]], outputs: set[str]) -> tuple[dict[str, str], set[str]]:
    """What is called otherwise, and what is made no more. An output keeps its name, so its source takes that."""
    names: dict[str, str] = {}
    for before, after in trips:
        if after in outputs:
            names.setdefault(before, after)
    ends = set(names.values())
    inner = {after: names.get(before, before) for before, after in trips if after not in outputs}
    return names | inner, ends | set(inner)


def _is_to_half(node: Any) -> bool:
    """A cast that the converter put behind a node in fp32; others to fp16 may come from whole numbers."""
    return _cast_to(node) == FLOAT16 and node.input[0] == node.output[0] + _CAST


def _cast_to(node: Any) -> int | None:
    if node.op_type != "Cast":
        return None
    return next((int(each.i) for each in node.attribute if each.name == "to"), None)


def _in_order(nodes: Sequence[Any]) -> list[Any]:
    """Each behind those that make what it takes."""
    makers = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    before = {number: [makers[name] for name in _takes(node) if name in makers] for number, node in enumerate(nodes)}
    return [nodes[number] for number in TopologicalSorter(before).static_order()]


def _takes(node: Any) -> Iterator[str]:
    """What it takes, with what graphs inside it take from outside."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _takes(inner)
