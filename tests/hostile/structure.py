"""Graphs that are too deep, too many, of strangers' operators, functions that unfold, names that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from onnx import FunctionProto, ModelProto, NodeProto, helper

from controlplane.gate.rules import Rule
from tests.hostile.building import (
    FLOAT,
    Hostile,
    branching,
    constant,
    content,
    edited,
    field,
    graph,
    hostile,
    model,
    nested,
    node,
    value,
    varint,
    whole,
)

_TORCH = "pkg.onnxscript.torch_lib"
_YES = constant(np.array(True), "yes")


def family() -> Iterator[Hostile]:
    yield from _deep()
    yield from _many()
    yield from _foreign()
    yield from _functions()
    yield from _versions()
    yield from _unsound()


def _deep() -> Iterator[Hostile]:
    for levels in (9, 12, 20):
        yield hostile("deep", f"{levels} branches", partial(_nested, levels), Rule.DEPTH, Rule.NODES)
    for levels in (40, 200, 2000, 100_000):
        yield hostile("deep", f"{levels} levels of protobuf", partial(_raw, levels), Rule.NOT_ONNX)
    yield hostile("deep", "types in types", lambda: _types(300), Rule.NOT_ONNX, Rule.UNSOUND)
    yield hostile("deep", "types in types, 30", lambda: _types(30), Rule.UNSOUND, Rule.TRIAL, Rule.NOT_ONNX)


def _nested(levels: int) -> bytes:
    """One branch each, or it doubles at each level."""
    inner = nested(0, branching)
    flat = graph([node("Identity", ["yes"], ["c"])], (), [], [value("c", FLOAT, [])])
    for _ in range(levels):
        chosen = node("If", ["yes"], ["c"], then_branch=inner, else_branch=flat)
        inner = graph([chosen], (), [], [value("c", FLOAT, [])])
    top = graph([node("If", ["yes"], ["y"], then_branch=inner, else_branch=flat)], [_YES], rank=0)
    return content(model(top))


def _raw(levels: int) -> bytes:
    headers: list[bytes] = []
    length = 0
    for _ in range(levels):  # graph → node → attribute → graph, from the inside, without copying what is inside
        for number in (6, 5, 1):
            header = field(number, b"")[:1] + varint(length)
            headers.append(header)
            length += len(header)
    return field(7, b"".join(reversed(headers)))


def _types(levels: int) -> bytes:
    kind = helper.make_tensor_type_proto(FLOAT, [1])
    content_of = kind.SerializeToString()
    for _ in range(levels):
        content_of = field(4, field(1, content_of))  # sequence of
    made = ModelProto()
    made.CopyFrom(model(graph([node("Relu", ["x"], ["y"])])))
    del made.graph.input[:]
    whole_model = made.SerializeToString()
    value_info = field(1, b"x") + field(2, content_of)
    return bytes(whole_model + field(7, field(11, value_info)))


def _many() -> Iterator[Hostile]:
    for count in (100_000, 300_000):
        yield hostile("many", f"{count} nodes", partial(_chain, count), Rule.NODES, Rule.BOUNDS)
    yield hostile("many", "60000 constants", _constants, Rule.WEIGHTS, Rule.BOUNDS)
    yield hostile("many", "100000 nodes in branches", _wide, Rule.NODES, Rule.BOUNDS)
    yield hostile("many", "a million empty nodes", lambda: field(7, field(1, b"") * 1_000_000), *_NOTHING, Rule.NODES)
    yield hostile("many", "a million opsets", lambda: field(8, b"\x10\x11") * 1_000_000, *_NOTHING, Rule.METADATA)
    yield hostile("many", "twenty million empty fields", lambda: b"\x8a\x01\x00" * 20_000_000, *_NOTHING)


_NOTHING = (Rule.NOT_ONNX, Rule.BOUNDS, Rule.OPERATOR)


def _chain(count: int) -> bytes:
    nodes = [NodeProto(op_type="Relu", input=[f"t{at}"], output=[f"t{at + 1}"]) for at in range(count)]
    ends = [node("Identity", ["x"], ["t0"]), node("Identity", [f"t{count}"], ["y"])]
    return whole([ends[0], *nodes, ends[1]])()


def _constants() -> bytes:
    return whole([node("Relu", ["x"], ["y"])], [constant(np.float32(1), f"c{at}") for at in range(60_000)])()


def _wide() -> bytes:
    inner = graph([node("Constant", [], [f"c{at}"], value_float=1.0) for at in range(10_000)], (), [], [])
    inner.output.append(value("c0", FLOAT, []))
    return whole([node("If", ["yes"], [f"y{at}"], then_branch=inner, else_branch=inner) for at in range(6)], [_YES])()


FOREIGN = (
    ("com.evil", "Shell"),
    ("com.evil", "Relu"),
    ("ai.onnx.contrib", "PyOp"),
    ("ai.onnx.contrib", "StringRegexReplace"),
    ("org.pytorch.aten", "ATen"),
    ("com.microsoft.extensions", "AudioDecoder"),
    ("trt.plugins", "EfficientNMS_TRT"),
    ("ai.onnx.preview.training", "Adam"),
    ("ai.onnx.training", "Gradient"),
    ("com.ms.internal.nhwc", "Conv"),
    ("x" * 10_000, "Op"),
    ("\x1b[2J", "Op"),
    ("AI.ONNX", "Relu"),
    (" ", "Relu"),
)
BANNED = (
    ("", "ImageDecoder"),
    ("", "StringNormalizer"),
    ("", "RegexFullMatch"),
    ("", "PythonOp"),
    ("", "Shell"),
    ("", "relu"),
    ("", "\x1b[31m"),
    ("", "x" * 100_000),
    ("com.microsoft", "BeamSearch"),
    ("com.microsoft", "WhisperBeamSearch"),
    ("com.microsoft", "Tokenizer"),
    ("com.microsoft", "PythonOp"),
    ("com.microsoft", "ATen"),
    ("com.microsoft", "Snpe"),
    ("com.microsoft", "DynamicTimeWarping"),
    ("com.microsoft.nchwc", "Relu"),
    ("ai.onnx.ml", "Shell"),
)


def _foreign() -> Iterator[Hostile]:
    for domain, kind in FOREIGN:
        yield hostile("domain", f"{domain[:20]!r} {kind}", _using(domain, kind), Rule.DOMAIN)
    for domain, kind in BANNED:
        yield hostile("operator", f"{domain} {kind[:20]!r}", _using(domain, kind), Rule.OPERATOR)
    branch = helper.make_graph([node("Shell", [], ["z"], domain="com.evil")], "b", [], [value("z", FLOAT, [])])
    hidden = node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    yield hostile("domain", "in a branch", whole([hidden], [_YES], rank=0), Rule.DOMAIN)


def _using(domain: str, kind: str) -> Callable[[], bytes]:
    return lambda: content(
        model(
            graph([node(kind, ["x"], ["y"], domain=domain)]), opsets=[helper.make_opsetid(domain, 1)] if domain else []
        )
    )


def _functions() -> Iterator[Hostile]:
    for domain in ("com.evil", "local", "", "ai.onnx", "com.microsoft", "pkg.onnxscript.torch_lib.evil"):
        made = _function("Relu" if domain in ("", "ai.onnx") else "f", [node("Abs", ["x"], ["y"])], domain)
        yield hostile("function", f"of {domain!r}", partial(_called, made), Rule.FUNCTION)
    itself = _function("f", [node("f", ["x"], ["y"], domain=_TORCH)])
    yield hostile("function", "calls itself", lambda: content(_calling([itself])), Rule.FUNCTION)
    round_trip = [
        _function("f", [node("g", ["x"], ["y"], domain=_TORCH)]),
        _function("g", [node("f", ["x"], ["y"], domain=_TORCH)]),
    ]
    yield hostile("function", "call each other", lambda: content(_calling(round_trip)), Rule.FUNCTION)
    yield hostile("function", "a billion laughs", lambda: content(_calling(_laughs(10, 10))), Rule.NODES)
    yield hostile("function", "two to the 60", lambda: content(_calling(_laughs(60, 2))), Rule.NODES)
    evil = _function("f", [node("Shell", ["x"], ["y"], domain="com.evil")])
    yield hostile("function", "hides a stranger's operator", lambda: content(_calling([evil])), Rule.DOMAIN)
    compiled = _function("f", [node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="x")])
    yield hostile("function", "hides compiled code", lambda: content(_calling([compiled])), Rule.EP_CONTEXT)


def _called(function: FunctionProto) -> bytes:
    return content(_calling([function]))


def _function(name: str, nodes: list[NodeProto], domain: str = _TORCH) -> FunctionProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_TORCH, 1)]
    return helper.make_function(domain, name, ["x"], ["y"], nodes, opsets)


def _laughs(levels: int, each: int) -> list[FunctionProto]:
    made = [_function("f", [node("Abs", ["x"], ["y"])])]
    for level in range(1, levels):
        before = "f" if level == 1 else f"f{level - 1}"
        calls = [node(before, [f"t{at}"], [f"t{at + 1}"], domain=_TORCH) for at in range(each)]
        ends = [node("Identity", ["x"], ["t0"]), node("Identity", [f"t{each}"], ["y"])]
        made.append(_function(f"f{level}", [ends[0], *calls, ends[1]]))
    return made[::-1]


def _calling(functions: list[FunctionProto]) -> ModelProto:
    first = functions[0]
    call = node(first.name, ["x"], ["y"], domain=first.domain)
    domains = {each.domain for each in functions} - {""}
    return model(graph([call]), functions=functions, opsets=[helper.make_opsetid(each, 1) for each in sorted(domains)])


def _of_opset(made: ModelProto, version: int) -> None:
    made.opset_import[0].version = version


def _of_format(made: ModelProto, version: int) -> None:
    made.ir_version = version


def _versions() -> Iterator[Hostile]:
    for version in (0, -1, 9999, 1 << 40):
        made = edited(_of_opset, version)
        yield hostile("version", f"opset {version}", made, Rule.OPSET)
    for version in (99, 1 << 62):
        made = edited(_of_format, version)
        yield hostile("version", f"format {version}", made, Rule.OPSET, Rule.UNSOUND)
    yield hostile("version", "no opset", edited(lambda made: made.ClearField("opset_import")), Rule.NOT_ONNX)
    yield hostile("version", "no graph", edited(lambda made: made.ClearField("graph")), Rule.NOT_ONNX)
    yield hostile("version", "no format", edited(lambda made: made.ClearField("ir_version")), Rule.UNSOUND, Rule.TRIAL)


def _unsound() -> Iterator[Hostile]:
    def turned(made: ModelProto) -> None:
        made.graph.node[0].input[0] = "y"

    def doubled(made: ModelProto) -> None:
        made.graph.node[1].output[0] = "s"

    def nowhere(made: ModelProto) -> None:
        made.graph.node[0].input[0] = "nowhere"

    def mistyped(made: ModelProto) -> None:
        made.graph.node[1].input[0] = "yes"
        made.graph.initializer.append(_YES)

    def misattributed(made: ModelProto) -> None:
        made.graph.node[0].attribute.append(helper.make_attribute("axis", -(1 << 62)))

    def unnamed(made: ModelProto) -> None:
        made.graph.node[0].output[0] = ""

    def without_result(made: ModelProto) -> None:
        made.graph.output[0].name = "never made"

    for edit in (turned, doubled, nowhere, mistyped, misattributed, unnamed, without_result):
        yield hostile("unsound", edit.__name__, edited(edit), Rule.UNSOUND, Rule.TRIAL, Rule.SHAPE)
    for kind, inputs, attributes in _ABSURD:
        shaped = [value("x", FLOAT, [1, 1, 4, 4])]
        weights = [constant(np.ones((1, 1, 2, 2), np.float32), "w"), constant(np.array([9, 9]), "i")]
        made = whole([node(kind, inputs, ["y"], **attributes)], weights, inputs=shaped, rank=4)
        yield hostile(
            "unsound", f"{kind} {attributes}"[:60], made, Rule.UNSOUND, Rule.TRIAL, Rule.SHAPE, Rule.TRIAL_MEMORY
        )


_ABSURD = (
    ("Conv", ["x", "w"], {"strides": [0, 0]}),
    ("Conv", ["x", "w"], {"dilations": [1 << 40, 1 << 40]}),
    ("Conv", ["x", "w"], {"group": 0}),
    ("Conv", ["x", "w"], {"pads": [-(1 << 40)] * 4}),
    ("Conv", ["x", "w"], {"pads": [1 << 40] * 4}),
    ("MaxPool", ["x"], {"kernel_shape": [0, 0]}),
    ("MaxPool", ["x"], {"kernel_shape": [1 << 40, 1 << 40]}),
    ("Transpose", ["x"], {"perm": [0, 0, 0, 0]}),
    ("Transpose", ["x"], {"perm": [9, 9, 9, 9]}),
    ("Concat", ["x", "x"], {"axis": 99}),
    ("Softmax", ["x"], {"axis": -(1 << 60)}),
    ("Gather", ["x", "i"], {"axis": 0}),
    ("DepthToSpace", ["x"], {"blocksize": 0}),
    ("SpaceToDepth", ["x"], {"blocksize": 1 << 40}),
    ("Flatten", ["x"], {"axis": 1 << 40}),
    ("LRN", ["x"], {"size": -1}),
    ("Cast", ["x"], {"to": 99}),
)
