"""Pieces of hostile models: small honest graphs, and protobuf that no library would write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from controlplane.gate.rules import Rule

node = helper.make_node
value = helper.make_tensor_value_info
FLOAT, INT64, BOOL, STRING, UINT8 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.STRING,
    TensorProto.UINT8,
)


@dataclass(frozen=True)
class Hostile:
    """`rules`: those that may refuse it. `static`: without running it. Empty rules: harmless, if it parses at all."""

    name: str
    family: str
    build: Callable[[], bytes]
    rules: frozenset[Rule]

    @property
    def static(self) -> bool:
        return not any(rule.startswith("trial") for rule in self.rules)


def hostile(family: str, name: str, build: Callable[[], bytes], *rules: Rule) -> Hostile:
    return Hostile(f"{family}/{name}", family, build, frozenset(rules))


def constant(array: Any, name: str) -> TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def graph(
    nodes: Sequence[NodeProto],
    constants: Iterable[TensorProto] = (),
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Any] | None = None,
    rank: int = 2,
) -> GraphProto:
    """`rank`: sides of `y`, where no outputs are given."""
    given = [value("x", FLOAT, [1, 4])] if inputs is None else inputs
    made = [value("y", FLOAT, [f"side{at}" for at in range(rank)])] if outputs is None else outputs
    return helper.make_graph(list(nodes), "g", given, made, list(constants))


def model(of: GraphProto, opset: int = 17, **others: Any) -> ModelProto:
    opsets = [helper.make_opsetid("", opset), *others.pop("opsets", ())]
    return helper.make_model(of, opset_imports=opsets, ir_version=others.pop("ir_version", 8), **others)


def honest() -> ModelProto:
    """`y` = relu(`x` + a weight): what the others are made from."""
    weights = constant(np.linspace(-1, 1, 4, dtype=np.float32).reshape(1, 4), "w")
    return model(graph([node("Add", ["x", "w"], ["s"]), node("Relu", ["s"], ["y"])], [weights]))


def content(of: ModelProto) -> bytes:
    return bytes(of.SerializeToString())


def edited(edit: Callable[..., object], *others: Any) -> Callable[[], bytes]:
    """The honest one with one thing changed, by `edit` of it and of `others`."""

    def build() -> bytes:
        made = honest()
        edit(made, *others)
        return content(made)

    return build


def whole(nodes: Sequence[NodeProto], constants: Iterable[TensorProto] = (), **others: Any) -> Callable[[], bytes]:
    """A model of these nodes, from `x` to `y`."""
    kept = list(constants)
    return lambda: content(model(graph(nodes, kept, **others)))


def field(number: int, payload: bytes) -> bytes:
    """One length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def nested(levels: int, wrapped: Callable[[GraphProto], NodeProto]) -> GraphProto:
    """Graphs in graphs, so many levels below the first."""
    inner = graph([node("Constant", [], ["c"], value=constant(np.float32(1), "c"))], (), [], [value("c", FLOAT, [])])
    for _ in range(levels):
        inner = graph([wrapped(inner)], (), [], [value("c", FLOAT, [])])
    return inner


def branching(inner: GraphProto) -> NodeProto:
    return node("If", ["yes"], ["c"], then_branch=inner, else_branch=inner)


def loop(trips: str, going: str, body: GraphProto, outputs: Sequence[str] = ("y",)) -> NodeProto:
    return node("Loop", [trips, going, "x"], list(outputs), body=body)


def body(nodes: Sequence[NodeProto] = (), still: str = "going", constants: Iterable[TensorProto] = ()) -> GraphProto:
    """Of a loop that carries one tensor."""
    work = [node("Cos", ["carried"], ["next"]), *nodes]
    if still == "going":
        work.append(node("Identity", ["going"], ["still"]))
    inputs = [value("round", INT64, []), value("going", BOOL, []), value("carried", FLOAT, None)]
    return helper.make_graph(
        work, "body", inputs, [value("still", BOOL, []), value("next", FLOAT, None)], list(constants)
    )
