"""Models that reach out of their file: external data of every kind, native code, other runtimes' settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper

from controlplane.gate.rules import Rule
from tests.hostile.building import (
    FLOAT,
    UINT8,
    Hostile,
    constant,
    content,
    edited,
    graph,
    honest,
    hostile,
    model,
    node,
    value,
    whole,
)

CANARY = "canary.bin"  # lies in the folder that a test says
SECRET = b"a secret that no model may see.."
# Where weights are said to lie. {canary}: the full path of a file that must not be opened.
LOCATIONS = (
    "{canary}",
    "../{name}",
    "../../../../../../..{canary}",
    "./{name}",
    "{name}",
    "sub/../{name}",
    "a/../../{name}",
    "..\\{name}",
    "/etc/passwd",
    "/etc/shadow",
    "/proc/self/environ",
    "/proc/self/mem",
    "/proc/self/maps",
    "/proc/self/fd/0",
    "/dev/zero",
    "/dev/random",
    "/dev/stdin",
    "file://{canary}",
    "http://127.0.0.1:9/{name}",
    "\\\\127.0.0.1\\share\\{name}",
    "//{canary}",
    "~/{name}",
    "$HOME/{name}",
    "symlink",
    "hardlink",
    "",
    ".",
    "..",
    "/",
    "{canary}\0.bin",
    "*/_ORT_MEM_ADDR_/*",
    "x" * 5000,
)
SPANS = {
    "negative offset": {"offset": "-4096", "length": "16"},
    "negative length": {"offset": "0", "length": "-16"},
    "offset beyond": {"offset": str(1 << 62), "length": "16"},
    "length beyond": {"offset": "0", "length": str(1 << 62)},
    "offset no number": {"offset": "a", "length": "16"},
    "overflow": {"offset": str((1 << 63) - 8), "length": "16"},
    "address": {"offset": str(0x7FFF00000000), "length": "32"},
    "checksum": {"checksum": "0" * 40},
}


def family(canary: str = f"/nowhere/{CANARY}") -> Iterator[Hostile]:
    """`canary`: full path of the file that must not be opened."""
    yield from _external(canary)
    yield from _compiled(canary)
    yield from _settings()


def tensor(location: str, **span: str) -> TensorProto:
    made = TensorProto(name="w", data_type=UINT8, dims=[len(SECRET)], data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **span}.items():
        made.external_data.add(key=key, value=text)
    return made


def _external(canary: str) -> Iterator[Hostile]:
    for at, pattern in enumerate(LOCATIONS):
        location = pattern.format(canary=canary, name=CANARY)
        yield hostile("external", f"{at} {pattern[:24]!r}", _reading(tensor(location)), Rule.EXTERNAL_DATA)
    for name, span in SPANS.items():
        for location in (canary, "*/_ORT_MEM_ADDR_/*"):
            named = f"{name} {'file' if location == canary else 'memory'}"
            yield hostile("external", named, _reading(tensor(location, **span)), Rule.EXTERNAL_DATA)
    for name, place in _PLACES.items():
        yield hostile("external", name, partial(_placed, place, canary), Rule.EXTERNAL_DATA)
    quiet = tensor(canary)
    quiet.data_location = TensorProto.DEFAULT
    quiet.raw_data = SECRET
    yield hostile("external", "named and not used", _reading(quiet), Rule.EXTERNAL_DATA)
    twice = tensor("inside.bin", location2="x")
    twice.external_data.add(key="location", value=canary)
    yield hostile("external", "two locations", _reading(twice), Rule.EXTERNAL_DATA)


def _placed(place: Callable[[TensorProto], ModelProto], canary: str) -> bytes:
    return content(place(tensor(canary)))


def _reading(weights: TensorProto) -> Callable[[], bytes]:
    """Gives what lies there."""
    return whole([node("Identity", ["w"], ["y"])], [weights], outputs=[value("y", UINT8, [len(SECRET)])])


def _in_constant(weights: TensorProto) -> ModelProto:
    nodes = [node("Constant", [], ["y"], value=weights)]
    return model(graph(nodes, outputs=[value("y", UINT8, [len(SECRET)])]))


def _in_branch(weights: TensorProto) -> ModelProto:
    out = [value("z", UINT8, [len(SECRET)])]
    branch = helper.make_graph([node("Identity", ["w"], ["z"])], "b", [], out, [weights])
    nodes = [node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)]
    return model(graph(nodes, [constant(np.array(True), "yes")], outputs=[value("y", UINT8, [len(SECRET)])]))


def _in_sparse(weights: TensorProto) -> ModelProto:
    made = honest()
    sparse = made.graph.sparse_initializer.add(dims=[len(SECRET)])
    sparse.values.CopyFrom(weights)
    sparse.indices.CopyFrom(constant(np.arange(len(SECRET)), "i"))
    return made


def _in_function(weights: TensorProto) -> ModelProto:
    nodes = [node("Constant", [], ["y"], value=weights)]
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("pkg.onnxscript.torch_lib", "f", ["x"], ["y"], nodes, opsets)
    call = node("f", ["x"], ["y"], domain="pkg.onnxscript.torch_lib")
    out = [value("y", UINT8, [len(SECRET)])]
    used = helper.make_opsetid("pkg.onnxscript.torch_lib", 1)
    return model(graph([call], outputs=out), functions=[function], opsets=[used])


def _in_list(weights: TensorProto) -> ModelProto:
    made = honest()
    made.graph.node[0].attribute.add(name="t", type=AttributeProto.TENSORS).tensors.add().CopyFrom(weights)
    return made


def _in_training(weights: TensorProto) -> ModelProto:
    made = honest()
    made.training_info.add().algorithm.initializer.add().CopyFrom(weights)
    return made


_PLACES = {
    "in a constant": _in_constant,
    "in a branch": _in_branch,
    "in a sparse tensor": _in_sparse,
    "in a function": _in_function,
    "in a list of tensors": _in_list,
    "in training information": _in_training,
}


def _compiled(canary: str) -> Iterator[Hostile]:
    for at, (domain, attributes) in enumerate(_contexts(canary)):
        yield hostile("compiled", f"{at} {domain or 'ai.onnx'}", partial(_context, domain, attributes), Rule.EP_CONTEXT)
    branch = helper.make_graph(
        [node("EPContext", [], ["z"], domain="com.microsoft", ep_cache_context="x")], "b", [], [value("z", FLOAT, [])]
    )
    hidden = node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    yield hostile(
        "compiled", "in a branch", lambda: content(_of_microsoft([hidden], constant(True, "yes"))), Rule.EP_CONTEXT
    )


def _contexts(canary: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Domain and attributes of an EPContext."""
    yield "com.microsoft", {"embed_mode": 1, "ep_cache_context": b"\x7fELF" + bytes(60)}
    yield "com.microsoft", {"embed_mode": 0, "ep_cache_context": canary}
    yield "com.microsoft", {"embed_mode": 0, "ep_cache_context": "../../evil.so", "main_context": 1}
    yield "com.microsoft", {"embed_mode": 1, "ep_cache_context": "", "source": "QNNExecutionProvider"}
    yield "", {"embed_mode": 1, "ep_cache_context": "x"}
    yield "ai.onnx", {"partition_name": "p"}
    yield "com.evil", {"ep_cache_context": "x"}


def _context(domain: str, attributes: dict[str, Any]) -> bytes:
    return content(_of_microsoft([node("EPContext", ["x"], ["y"], domain=domain, **attributes)]))


def _of_microsoft(nodes: list[helper.NodeProto], *constants: TensorProto) -> ModelProto:
    return model(graph(nodes, constants), opsets=[helper.make_opsetid("com.microsoft", 1)])


def _noted(made: ModelProto, key: str, text: str) -> None:
    made.metadata_props.add(key=key, value=text)


def _settings() -> Iterator[Hostile]:
    library = json.dumps({"session_options": {"ep.library_path": "/tmp/evil.so", "intra_op_num_threads": 4096}})
    for key, text in {
        "ort_config": library,
        "ORT_CONFIG": library,
        "session.use_env_allocators": "1",
        "session.model_external_initializers_file_folder_path": "/etc",
        "ep.context_file_path": "/tmp/evil.so",
        "optimization.enable_gelu_approximation": "1",
        " ort_config": library,
        "ep.cuda.cudnn": "x",
    }.items():
        yield hostile(
            "settings",
            repr(key),
            edited(_noted, key, text),
            Rule.METADATA,
        )
