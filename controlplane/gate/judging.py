"""From what is known of a model to why it is refused. Pure; each rule is one function, asked in the order of `Rule`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from controlplane.gate.allowed import NATIVE
from controlplane.gate.facts import Facts, Limits, Tensor
from controlplane.gate.rules import Refusal, Rule

_SETTINGS = ("session.", "ep.", "ort_", "optimization.")  # how ONNX Runtime spells options of a session
_BYTES_OF_A_NUMBER = 4
_TEXTS = 1 << 20  # strings in constants: tables of classes are a few thousand


def gate(facts: Facts, limits: Limits) -> tuple[Refusal, ...]:
    """Why this model is refused; empty: nothing is wrong with what can be read of it."""
    return tuple(refusal for rule in RULES for refusal in rule(facts, limits))


def shapes(values: Sequence[tuple[str, tuple[int, ...]]], limits: Limits) -> tuple[Refusal, ...]:
    """What is wrong with shapes that were worked out, or declared."""
    return tuple(_shapes(Facts(values=tuple(values)), limits))


def _format(facts: Facts, _: Limits) -> Iterator[Refusal]:
    if facts.ort_format:
        yield Refusal(Rule.NOT_ONNX, "is in ONNX Runtime's own format, which nothing can look into")
    elif not facts.nodes or not facts.opsets:
        yield Refusal(Rule.NOT_ONNX, "holds no ONNX graph")


def _external_data(facts: Facts, _: Limits) -> Iterator[Refusal]:
    """A box hands its engine bytes and no folder, so there is no file that a model could rightly name."""
    for tensor in facts.tensors:
        if tensor.location is not None:
            yield Refusal(Rule.EXTERNAL_DATA, f"keeps weights in another file ({tensor.location!r})")
            return


def _ep_context(facts: Facts, _: Limits) -> Iterator[Refusal]:
    if any(name == NATIVE for _, name in facts.operators):
        yield Refusal(Rule.EP_CONTEXT, "carries a graph that was compiled for other hardware (EPContext)")


def _domains(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    known = {domain for domain, _ in limits.operators} | {domain for domain, _ in facts.functions}
    foreign = sorted({domain for domain, _ in facts.operators} - known)
    if foreign:
        yield Refusal(Rule.DOMAIN, f"uses operators of {foreign[0]!r}, which no box has")


def _operators(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    domains = {domain for domain, _ in limits.operators}
    known = limits.operators | set(facts.functions)
    foreign = sorted(each for each in facts.operators if each not in known and each[0] in domains and each[1] != NATIVE)
    if foreign:
        domain, name = foreign[0]
        yield Refusal(Rule.OPERATOR, f"uses the operator {name!r} of {domain or 'ai.onnx'!r}, which is not allowed")


def _functions(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    if facts.circular:
        yield Refusal(Rule.FUNCTION, f"has a function that calls itself ({facts.circular!r})")
    foreign = sorted(each for each in facts.functions if each[0] not in limits.function_domains)
    if foreign:
        domain, name = foreign[0]
        yield Refusal(Rule.FUNCTION, f"defines a function {name!r} of {domain!r}, which is no exporter's own")


def _metadata(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    if facts.entries > limits.entries:
        yield Refusal(Rule.METADATA, f"lists {facts.entries} operator sets and notes, {limits.entries} are allowed")
    for key in facts.metadata:
        if key.strip().lower().startswith(_SETTINGS):
            yield Refusal(Rule.METADATA, f"sets options of its own session ({key!r}) in its metadata")
            return


def _opsets(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    for domain, version in facts.opsets:
        if domain in ("", "ai.onnx") and not 1 <= version <= limits.opset:
            yield Refusal(Rule.OPSET, f"needs opset {version}, known are 1 to {limits.opset}")
    if facts.ir > limits.ir:
        yield Refusal(Rule.OPSET, f"is written in version {facts.ir} of the format, the newest known is {limits.ir}")


def _nodes(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    most = max(facts.nodes, facts.unfolded)
    if most > limits.nodes:
        yield Refusal(Rule.NODES, f"has {most} nodes, more than the {limits.nodes} allowed")


def _depth(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    if facts.depth > limits.depth:
        yield Refusal(Rule.DEPTH, f"nests graphs {facts.depth} deep, {limits.depth} are allowed")


def _loops(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    if facts.endless:
        yield Refusal(Rule.LOOP, "has a loop that nothing ends")
    elif facts.rounds > limits.rounds:
        yield Refusal(Rule.LOOP, f"loops {facts.rounds} times, more than the {limits.rounds} allowed")


def _weights(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    if len(facts.tensors) > limits.tensors:
        yield Refusal(Rule.WEIGHTS, f"has more than {limits.tensors} constants")
    for tensor in facts.tensors:
        if tensor.location is None and (why := _untrue(tensor, limits)):
            yield Refusal(Rule.WEIGHTS, f"has a constant {tensor.name!r} that {why}")
            return


def _untrue(tensor: Tensor, limits: Limits) -> str:
    """What a constant says that is not so."""
    if len(tensor.sides) > limits.rank:
        return f"has {len(tensor.sides)} sides, {limits.rank} are allowed"
    if any(not 0 <= side < limits.side for side in tensor.sides):
        return f"has a side of {next(side for side in tensor.sides if not 0 <= side < limits.side)}"
    numbers = prod(tensor.sides)
    wanted = numbers if tensor.counted else (numbers * tensor.bits + 7) // 8
    if tensor.held != wanted:
        return f"says it holds {wanted} {'numbers' if tensor.counted else 'bytes'} and holds {tensor.held}"
    return f"holds {numbers} texts, {_TEXTS} are allowed" if not tensor.bits and numbers > _TEXTS else ""


def _shapes(facts: Facts, limits: Limits) -> Iterator[Refusal]:
    if facts.axis > limits.rank:
        yield Refusal(Rule.SHAPE, f"counts {facts.axis} axes, and no tensor has more than {limits.rank} sides")
    for name, sides in facts.values:
        if len(sides) > limits.rank:
            yield Refusal(Rule.SHAPE, f"has a tensor {name!r} of {len(sides)} sides, {limits.rank} are allowed")
            return
        if any(not 0 <= side < limits.side for side in sides) or _bytes_of(sides) > limits.value_bytes:
            yield Refusal(Rule.SHAPE, f"has a tensor {name!r} of {'×'.join(map(str, sides))}, which no box can hold")
            return


def _bytes_of(sides: tuple[int, ...]) -> int:
    return prod(side or 1 for side in sides) * _BYTES_OF_A_NUMBER


RULES = (
    _format,
    _external_data,
    _ep_context,
    _domains,
    _operators,
    _functions,
    _metadata,
    _opsets,
    _nodes,
    _depth,
    _loops,
    _weights,
    _shapes,
)
