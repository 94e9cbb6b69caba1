"""The process that reads one model: question and file on standard input, one JSON answer on standard output.

    {"size", "operators", "task"?, "input"?}\\n<bytes>   →   {"refusals": [[rule, detail]], "missing", "outline"?}

It gives up its rights before the first byte of the file, parses it as protobuf and nothing else, and asks `onnx` only
about what passed the rules. `missing` are layers of the lock that this kernel lacks.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

from controlplane.gate import agreement, judging, reading, soundness
from controlplane.gate.facts import Facts, Limits
from controlplane.gate.lockdown import lock
from controlplane.gate.rules import Refusal, Rule, printable
from controlplane.registry.outline import outline

ROOM = 320 << 20  # bytes of address space beyond what the packages take
TIMES = 6  # the file is held that often while it is read, parsed and checked; at most
CPU_SECONDS = 4
CPU_BYTES = 30 << 20  # and one more for so many bytes: parsing 1 GB takes about 5
NOT_ONNX = Refusal(Rule.NOT_ONNX, "is no ONNX file, or a part of it is missing")
WITHOUT_ROOM = Refusal(Rule.BOUNDS, "needs more memory to be read than is allowed")


def judged(content: bytes, question: dict[str, Any]) -> tuple[Refusal, ...]:
    """Why this file is refused. Raises ImportError: that is ours to mend."""
    limits = replace(Limits().allowing(_operators(question)), opset=soundness.newest_opset())
    try:
        return _judged(content, question, limits)
    except MemoryError:
        return (WITHOUT_ROOM,)
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes make a parser raise is about those bytes
        return (Refusal(Rule.NOT_ONNX, f"is no ONNX file that can be read ({type(error).__name__})"),)


def _judged(content: bytes, question: dict[str, Any], limits: Limits) -> tuple[Refusal, ...]:
    if reading.is_ort_format(content):
        return judging.gate(Facts(ort_format=True), limits)
    model = soundness.parsed(content)
    if model is None:
        return (NOT_ONNX,)
    found = judging.gate(reading.facts(model), limits)
    if not found and "task" in question:
        found = agreement.refusals(model.graph, question["task"], question["input"])
    return found or soundness.refusals(model, limits)


def _operators(question: dict[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((domain, name) for domain, name in question.get("operators", ()))


def outlined(content: bytes) -> dict[str, Any]:
    """The answer about a file that was judged when it was pushed."""
    try:
        model = soundness.parsed(content)
        return {"refusals": [_told(NOT_ONNX)]} if model is None else {"refusals": [], "outline": outline(model)}
    except MemoryError:
        return {"refusals": [_told(WITHOUT_ROOM)]}


def _told(refusal: Refusal) -> list[str]:
    return [refusal.rule, printable(refusal.detail)]


def _used_once() -> None:
    """Everything that is loaded at its first use: later nothing can be."""
    import onnx

    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    for name in ("x", "nowhere"):
        graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", [name], ["y"])], "g", [value], [])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        judged(model.SerializeToString(), {})
        outlined(model.SerializeToString())


def main() -> None:
    question = json.loads(sys.stdin.buffer.readline())
    size = question["size"]
    _used_once()
    missing = lock(ROOM + TIMES * size, CPU_SECONDS + size // CPU_BYTES)
    content = sys.stdin.buffer.read()
    if question.get("outline"):
        answer = outlined(content)
    else:
        answer = {"refusals": [_told(each) for each in judged(content, question)]}
    print(json.dumps(answer | {"missing": missing}))


if __name__ == "__main__":
    main()
