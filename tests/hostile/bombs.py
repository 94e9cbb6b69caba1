"""Small files that ask for much: memory, time, both in loops, and sizes that are not so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from controlplane.gate.rules import Rule
from tests.hostile.building import (
    BOOL,
    FLOAT,
    INT64,
    STRING,
    Hostile,
    body,
    constant,
    content,
    edited,
    graph,
    hostile,
    loop,
    model,
    node,
    value,
    whole,
)

MEMORY = (Rule.SHAPE, Rule.TRIAL_MEMORY)
ENDLESS = (1 << 63) - 1
_YES = constant(np.array(True), "yes")


def family() -> Iterator[Hostile]:
    yield from _memory()
    yield from _declared()
    yield from _weights()
    yield from _loops()
    yield from _slow()


def _memory() -> Iterator[Hostile]:
    for name, sides in {
        "16 GB": [1 << 32],
        "4 EB": [1 << 60],
        "many sides": [1 << 16, 1 << 16, 1 << 4],
        "wraps to zero": [1 << 32, 1 << 32],
        "negative": [-5],
    }.items():
        zeros = node("ConstantOfShape", ["n"], ["y"])
        rules = (*MEMORY, Rule.UNSOUND, Rule.TRIAL)
        yield hostile(
            "memory", f"zeros {name}", whole([zeros], [constant(np.array(sides), "n")], rank=len(sides)), *rules
        )
        grown = node("Expand", ["x1", "n"], ["y"])
        constants = [constant(np.array(sides), "n"), constant(np.zeros((1,), np.float32), "x1")]
        yield hostile("memory", f"expanded {name}", whole([grown], constants, rank=len(sides)), *rules)
    for name, made in _GROWING.items():
        yield hostile("memory", name, made, *MEMORY, Rule.UNSOUND, Rule.TRIAL, Rule.LOOP)


def _tiled() -> bytes:
    return whole([node("Tile", ["x", "n"], ["y"])], [constant(np.array([1 << 20, 1 << 12]), "n")])()


def _doubled() -> bytes:
    """Each concatenation is twice as long as the one before."""
    nodes = [node("Concat", [f"c{at}", f"c{at}"], [f"c{at + 1}"], axis=0) for at in range(40)]
    return whole([node("Identity", ["x"], ["c0"]), *nodes, node("Identity", ["c40"], ["y"])])()


def _padded() -> bytes:
    pads = constant(np.array([0, 0, 1 << 20, 1 << 14]), "n")
    return whole([node("Pad", ["x", "n"], ["y"])], [pads])()


def _resized() -> bytes:
    scales = constant(np.array([1, 1, 1 << 16, 1 << 16], np.float32), "n")
    inputs = [value("x", FLOAT, [1, 1, 2, 2])]
    return whole([node("Resize", ["x", "", "n"], ["y"])], [scales], inputs=inputs, rank=4)()


def _one_hot() -> bytes:
    constants = [constant(np.array(1 << 33), "d"), constant(np.array([0, 1], np.float32), "v")]
    indices = constant(np.arange(8), "i")
    return whole([node("OneHot", ["i", "d", "v"], ["y"])], [*constants, indices])()


def _range() -> bytes:
    ends = [constant(np.array(each), name) for name, each in (("a", 0), ("b", 1 << 40), ("c", 1))]
    return whole([node("Range", ["a", "b", "c"], ["y"])], ends, outputs=[value("y", INT64, ["n"])])()


def _eye() -> bytes:
    """The product of two long vectors is no vector."""
    constants = [constant(np.ones((1 << 16, 1), np.float32), "a"), constant(np.ones((1, 1 << 16), np.float32), "b")]
    return whole([node("MatMul", ["a", "b"], ["y"])], constants)()


def _broadcast() -> bytes:
    constants = [
        constant(np.ones((1 << 15, 1, 1), np.float32), "a"),
        constant(np.ones((1, 1 << 15, 1), np.float32), "b"),
    ]
    nodes = [node("Add", ["a", "b"], ["s"]), node("Add", ["s", "c"], ["y"])]
    return whole(nodes, [*constants, constant(np.ones((1, 1, 1 << 8), np.float32), "c")], rank=3)()


def _computed() -> bytes:
    """The size is only known once it runs."""
    nodes = [
        node("ReduceSum", ["x"], ["zero"], keepdims=0),
        node("Add", ["zero", "many"], ["n0"]),
        node("Cast", ["n0"], ["n1"], to=INT64),
        node("Reshape", ["n1", "one"], ["n"]),
        node("ConstantOfShape", ["n"], ["y"]),
    ]
    return whole(nodes, [constant(np.float32(1 << 33), "many"), constant(np.array([1]), "one")], rank=1)()


def _scatter() -> bytes:
    inputs = [value("x", FLOAT, [1 << 20, 1 << 14])]
    return whole([node("Relu", ["x"], ["y"])], inputs=inputs)()


def _growing_loop() -> bytes:
    grown = helper.make_graph(
        [node("Concat", ["carried", "carried"], ["next"], axis=0), node("Identity", ["going"], ["still"])],
        "body",
        [value("round", INT64, []), value("going", BOOL, []), value("carried", FLOAT, None)],
        [value("still", BOOL, []), value("next", FLOAT, None)],
    )
    return whole([loop("n", "yes", grown)], [constant(np.array(60), "n"), _YES])()


def _growing_sequence() -> bytes:
    nodes = [
        node("SequenceConstruct", ["big"], ["s0"]),
        *(node("SequenceInsert", [f"s{at}", "big"], [f"s{at + 1}"]) for at in range(200)),
        node("ConcatFromSequence", ["s200"], ["y"], axis=0),
    ]
    made = node("ConstantOfShape", ["n"], ["big"])
    return whole([made, *nodes], [constant(np.array([1 << 27]), "n")], rank=1)()


_GROWING: dict[str, Callable[[], bytes]] = {
    "tiled": _tiled,
    "doubled forty times": _doubled,
    "padded": _padded,
    "resized": _resized,
    "one hot": _one_hot,
    "range": _range,
    "outer product": _eye,
    "broadcast": _broadcast,
    "computed when it runs": _computed,
    "input of 64 GB": _scatter,
    "doubled in a loop": _growing_loop,
    "a sequence of large ones": _growing_sequence,
}


def _declared() -> Iterator[Hostile]:
    for name, sides in {
        "huge": [1 << 40],
        "negative": [-1, 4],
        "product": [1 << 30, 1 << 30, 1 << 30],
        "largest": [ENDLESS],
        "smallest": [-(1 << 63)],
        "many sides": [1] * 1000,
    }.items():
        for place, edit in _DECLARED.items():
            change = edited(edit, sides)
            yield hostile("declared", f"{name} {place}", change, Rule.SHAPE, Rule.UNSOUND)


def _input(made: ModelProto, sides: list[int]) -> None:
    made.graph.input[0].CopyFrom(value("x", FLOAT, sides))


def _output(made: ModelProto, sides: list[int]) -> None:
    made.graph.output[0].CopyFrom(value("y", FLOAT, sides))


def _between(made: ModelProto, sides: list[int]) -> None:
    made.graph.value_info.add().CopyFrom(value("s", FLOAT, sides))


_DECLARED = {"input": _input, "output": _output, "between": _between}


def _weights() -> Iterator[Hostile]:
    for name, edit in _UNTRUE.items():
        yield hostile("weights", name, edited(edit), Rule.WEIGHTS, Rule.UNSOUND)
    for name, sides in {
        "sparse 4 EB": [1 << 60],
        "sparse negative": [-4],
        "sparse of 2^40 sides": [1 << 20] * 2,
    }.items():
        yield hostile("weights", name, edited(_sparse, sides), Rule.WEIGHTS)


def _sparse(made: ModelProto, sides: list[int]) -> None:
    sparse = made.graph.sparse_initializer.add(dims=sides)
    sparse.values.CopyFrom(constant(np.ones(1, np.float32), "w2"))
    sparse.indices.CopyFrom(constant(np.zeros((1, len(sides)), np.int64), "i"))


def _weight(made: ModelProto, **fields: Any) -> TensorProto:
    tensor = made.graph.initializer[0]
    for name, wanted in fields.items():
        tensor.ClearField(name)
        setattr(tensor, name, wanted) if not isinstance(wanted, list) else getattr(tensor, name).extend(wanted)
    return tensor


_UNTRUE: dict[str, Callable[[ModelProto], object]] = {
    "says more than it holds": lambda made: _weight(made, dims=[1 << 20, 4]),
    "says 2^62 twice": lambda made: _weight(made, dims=[1 << 62, 1 << 62]),
    "wraps to its own size": lambda made: _weight(made, dims=[(1 << 62) + 4, 4]),
    "negative sides": lambda made: _weight(made, dims=[-1, -4]),
    "one negative side": lambda made: _weight(made, dims=[1, -4]),
    "holds more than it says": lambda made: _weight(made, raw_data=bytes(1 << 20)),
    "holds nothing": lambda made: _weight(made, raw_data=b""),
    "of no type": lambda made: _weight(made, data_type=0),
    "of an unknown type": lambda made: _weight(made, data_type=99),
    "of two payloads": lambda made: _weight(made, float_data=[0.0] * 4),
    "of two hundred sides": lambda made: _weight(made, dims=[1] * 200),
    "a zero among huge sides": lambda made: _weight(made, dims=[0, 1 << 40], raw_data=b""),
    "text in bytes": lambda made: _weight(made, data_type=STRING),
    "text of 2^40": lambda made: _weight(made, data_type=STRING, raw_data=b"", dims=[1 << 40], string_data=[b"a"]),
    "text fewer than said": lambda made: _weight(made, data_type=STRING, raw_data=b"", string_data=[b"a" * 65_536]),
    "two million texts": lambda made: _weight(
        made, data_type=STRING, raw_data=b"", dims=[2_000_000], string_data=[b""] * 2_000_000
    ),
    "half a number": lambda made: _weight(made, raw_data=bytes(15)),
    "four bits": lambda made: _weight(made, data_type=TensorProto.INT4, raw_data=bytes(64)),
    "a segment": lambda made: _weight(made, dims=[1, 5]),
}


def _loops() -> Iterator[Hostile]:
    for name, trips in {"2^62": 1 << 62, "largest": ENDLESS, "a billion": 10**9, "two million": 2_000_000}.items():
        nodes = [loop("n", "yes", body())]
        yield hostile("loop", name, whole(nodes, [constant(np.array(trips), "n"), _YES]), Rule.LOOP)
    yield hostile("loop", "no count", whole([loop("", "yes", body())], [_YES]), Rule.LOOP)
    forever = [constant(np.array(ENDLESS), "n"), _YES]
    yield hostile("loop", "no condition", whole([loop("n", "", body())], forever[:1]), Rule.LOOP)
    made_true = node("Constant", [], ["still"], value=_YES)
    yield hostile("loop", "made true inside", whole([loop("n", "yes", body([made_true], ""))], forever), Rule.LOOP)
    chain = [node("Identity", ["going"], ["a"]), node("Identity", ["a"], ["b"]), node("Identity", ["b"], ["still"])]
    yield hostile("loop", "passed on thrice", whole([loop("n", "yes", body(chain, ""))], forever), Rule.LOOP)
    yield hostile("loop", "loops in loops", _loops_in_loops, Rule.LOOP)
    made_node = node("Constant", [], ["n"], value=constant(np.array(ENDLESS), "c"))
    yield hostile("loop", "count from a node", whole([made_node, loop("n", "yes", body())], [_YES]), Rule.LOOP)
    made_int = node("Constant", [], ["n"], value_int=ENDLESS)
    yield hostile("loop", "count from a number", whole([made_int, loop("n", "yes", body())], [_YES]), Rule.LOOP)
    hidden = graph([loop("n", "yes", body())], (), [], [value("y", FLOAT, [1, 4])])
    branch = node("If", ["yes"], ["z"], then_branch=hidden, else_branch=hidden)
    yield hostile("loop", "in a branch", whole([branch, node("Identity", ["z"], ["y"])], forever), Rule.LOOP)


def _loops_in_loops() -> bytes:
    inner = body()
    for _ in range(4):
        deeper = node("Loop", ["n", "yes", "carried"], ["next"], body=inner)
        work = [deeper, node("Identity", ["going"], ["still"])]
        inputs = [value("round", INT64, []), value("going", BOOL, []), value("carried", FLOAT, None)]
        inner = helper.make_graph(work, "body", inputs, [value("still", BOOL, []), value("next", FLOAT, None)])
    return whole([loop("n", "yes", inner)], [constant(np.array(1000), "n"), _YES])()


def _slow() -> Iterator[Hostile]:
    """Time that only a run shows."""
    rules = (Rule.TRIAL_TIME, Rule.TRIAL_MEMORY, Rule.LOOP, Rule.SHAPE)
    yield hostile("slow", "rounds are computed", _computed_rounds, *rules)
    yield hostile("slow", "ends by itself, much later", _late_end, *rules)
    yield hostile("slow", "large products", _products, *rules)


def _computed_rounds() -> bytes:
    nodes = [
        node("ReduceSum", ["x"], ["zero"], keepdims=0),
        node("Add", ["zero", "many"], ["n0"]),
        node("Cast", ["n0"], ["n"], to=INT64),
        loop("n", "yes", body()),
    ]
    return whole(nodes, [constant(np.float32(1e18), "many"), _YES])()


def _late_end() -> bytes:
    compared: list[NodeProto] = [node("Less", ["round", "many"], ["still"])]
    return whole([loop("", "yes", body(compared, ""))], [constant(np.array(ENDLESS), "many"), _YES])()


def _products() -> bytes:
    """A thousand products of 2048 by 2048."""
    nodes = [node("Expand", ["x1", "n"], ["p0"])]
    nodes += [node("MatMul", [f"p{at}", f"p{at}"], [f"p{at + 1}"]) for at in range(1000)]
    constants = [constant(np.array([2048, 2048]), "n"), constant(np.array([[1e-4]], np.float32), "x1")]
    return content(model(graph([*nodes, node("Identity", ["p1000"], ["y"])], constants)))
