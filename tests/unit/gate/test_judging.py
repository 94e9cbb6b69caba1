"""The gate's rules, on facts alone: what each refuses, in which words, and what it lets through."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.gate import judging
from controlplane.gate.allowed import OPERATORS, operators_in
from controlplane.gate.facts import Facts, Limits, Tensor
from controlplane.gate.rules import MAX_DETAIL, NEXT, Refusal, Rule, printable
from protos.errors import Rejected

HONEST = Facts(
    opsets=(("", 17),),
    ir=8,
    nodes=2,
    unfolded=2,
    operators={("", "Conv"): 1, ("", "Relu"): 1},
    tensors=(Tensor("w", (2, 3), 32, 24, counted=False),),
    values=(("x", (0, 3, 320, 320)),),
)
LIMITS = Limits()


def of(**changed: object) -> list[Rule]:
    return [refusal.rule for refusal in judging.gate(replace(HONEST, **changed), LIMITS)]  # type: ignore[arg-type]


def test_an_honest_model_is_not_refused() -> None:
    assert of() == []


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"ort_format": True}, Rule.NOT_ONNX),
        ({"nodes": 0}, Rule.NOT_ONNX),
        ({"opsets": ()}, Rule.NOT_ONNX),
        ({"tensors": (Tensor("w", (1,), 32, 0, counted=False, location="weights.bin"),)}, Rule.EXTERNAL_DATA),
        ({"operators": {("com.microsoft", "EPContext"): 1}}, Rule.EP_CONTEXT),
        ({"operators": {("com.evil", "Relu"): 1}}, Rule.DOMAIN),
        ({"operators": {("", "ImageDecoder"): 1}}, Rule.OPERATOR),
        ({"functions": (("com.evil", "f"),)}, Rule.FUNCTION),
        ({"circular": "f"}, Rule.FUNCTION),
        ({"metadata": ("ort_config",)}, Rule.METADATA),
        ({"entries": LIMITS.entries + 1}, Rule.METADATA),
        ({"opsets": (("", LIMITS.opset + 1),)}, Rule.OPSET),
        ({"ir": LIMITS.ir + 1}, Rule.OPSET),
        ({"nodes": LIMITS.nodes + 1}, Rule.NODES),
        ({"unfolded": LIMITS.nodes + 1}, Rule.NODES),
        ({"depth": LIMITS.depth + 1}, Rule.DEPTH),
        ({"endless": True}, Rule.LOOP),
        ({"rounds": LIMITS.rounds + 1}, Rule.LOOP),
        ({"tensors": (Tensor("w", (2, 3), 32, 23, counted=False),)}, Rule.WEIGHTS),
        ({"tensors": (Tensor("w", (-2, -3), 32, 24, counted=False),)}, Rule.WEIGHTS),
        ({"tensors": (Tensor("w", (3,), 4, 3, counted=False),)}, Rule.WEIGHTS),
        ({"values": (("x", (1 << 20, 1 << 20)),)}, Rule.SHAPE),
        ({"values": (("x", (-1,)),)}, Rule.SHAPE),
        ({"values": (("x", (1,) * 13),)}, Rule.SHAPE),
    ],
)
def test_each_rule_refuses_what_it_is_for(changed: dict[str, object], rule: Rule) -> None:
    assert of(**changed) == [rule]


@pytest.mark.parametrize(
    "changed",
    [
        {"operators": {("com.microsoft", "QGemm"): 1}},
        {"operators": {("pkg.onnxscript.torch_lib", "f"): 1}, "functions": (("pkg.onnxscript.torch_lib", "f"),)},
        {"metadata": ("names", "author", "onnx_export")},
        {"opsets": (("", 17), ("ai.onnx.preview.training", 1))},  # ONNX Runtime's tools list what they know
        {"tensors": (Tensor("w", (3,), 4, 2, counted=False), Tensor("t", (2,), 0, 2, counted=True))},
        {"nodes": LIMITS.nodes, "depth": LIMITS.depth, "rounds": LIMITS.rounds},
    ],
)
def test_what_is_within_the_limits_passes(changed: dict[str, object]) -> None:
    assert of(**changed) == []


def test_an_operator_that_somebody_allowed_passes_and_no_other() -> None:
    limits = LIMITS.allowing(operators_in("com.microsoft:CDist, ai.onnx:ImageDecoder,local:*"))
    facts = replace(HONEST, operators={("com.microsoft", "CDist"): 1, ("", "ImageDecoder"): 1, ("local", "f"): 1})
    assert judging.gate(replace(facts, functions=(("local", "f"),)), limits) == ()
    assert judging.gate(replace(facts, functions=(("other", "f"),), operators={}), limits) != ()
    assert limits.operators > OPERATORS


def test_what_is_allowed_is_spelled_as_domain_and_operator() -> None:
    with pytest.raises(Rejected, match="'CDist' names no operator; say DOMAIN:OPERATOR"):
        operators_in("CDist")


@pytest.mark.parametrize("rule", Rule)
def test_a_refusal_names_file_rule_and_next_step_in_one_printable_sentence(rule: Rule) -> None:
    said = Refusal(rule, "holds \x1b[2J\n" + "x" * 10_000).sentence("model.onnx")
    assert said.startswith("model.onnx holds ?[2J?xxx")
    assert said.endswith(f"; {NEXT[rule]} (rule {rule})")
    assert said.isprintable()
    assert len(printable("x" * 10_000)) == MAX_DETAIL
