"""Every hostile model is refused by a rule that is meant for it, and no ordinary one by any.

All but the largest are judged in this process, as the gate's own does it; a sample by seed in the real processes.
The whole corpus in the real processes: `python -m bench.bench_untrusted`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controlplane.gate import judging, reading, soundness, static, trial
from controlplane.gate.facts import Facts, Limits
from controlplane.gate.lockdown import Peak
from controlplane.gate.rules import Rule
from tests.hostile import corpus, ordinary
from tests.hostile.building import Hostile
from tests.hostile.passing import RESIDENT, by_rules, by_trial, most_resident, right

EVERYTHING = corpus.everything()
LARGE = ("many", "deep", "cut", "garbage")  # families with files of megabytes
SMALL = [model for model in EVERYTHING if model.family not in LARGE]
BY_RULES = [model for model in SMALL if model.static and not model.rules & {Rule.TRIAL, Rule.TRIAL_MEMORY}]
OF_RULES = ("garbage/nothing", "deep/9 branches", "function/a billion laughs", "version/opset 9999", "loop/2^62")
SEED, COUNT = 0, 18


def test_the_corpus_is_large_and_no_two_of_it_have_one_name() -> None:
    assert len({model.name for model in EVERYTHING}) == len(EVERYTHING)
    assert sum(model.static for model in EVERYTHING) >= 200
    assert len(ordinary.architectures()) >= 20


@pytest.mark.parametrize("family", sorted({model.family for model in BY_RULES}))
def test_hostile_models_are_refused_by_their_rule(family: str) -> None:
    for model in (each for each in BY_RULES if each.family == family):
        found = static.judged(model.build(), {})
        assert found, model.name
        assert found[0].rule in model.rules, (model.name, found)


@pytest.mark.parametrize("name", ["turned", "doubled", "nowhere", "mistyped", "unnamed", "without_result"])
def test_a_graph_that_cannot_be_is_refused_before_any_run(name: str) -> None:
    model = next(each for each in EVERYTHING if each.name == f"unsound/{name}")
    assert [refusal.rule for refusal in static.judged(model.build(), {})] == [Rule.UNSOUND]


@pytest.fixture(scope="module")
def read() -> list[tuple[Hostile, Facts]]:
    """What the gate reads of some of each family."""
    chosen = [*BY_RULES[::4], *(model for model in EVERYTHING if model.name in OF_RULES)]
    parsed = [(model, soundness.parsed(model.build())) for model in chosen]
    return [(model, reading.facts(found)) for model, found in parsed if found is not None]


@pytest.mark.parametrize("removed", judging.RULES, ids=lambda rule: rule.__name__.strip("_"))
def test_without_a_rule_some_hostile_model_gets_through(
    monkeypatch: pytest.MonkeyPatch, read: list[tuple[Hostile, Facts]], removed: Callable[..., object]
) -> None:
    before = {model.name for model, facts in read if _rules(facts) & model.rules}
    monkeypatch.setattr(judging, "RULES", tuple(rule for rule in judging.RULES if rule is not removed))
    assert before - {model.name for model, facts in read if _rules(facts) & model.rules}


def _rules(facts: Facts) -> set[Rule]:
    return {refusal.rule for refusal in judging.gate(facts, Limits())}


@pytest.mark.parametrize(
    ("name", "build"), list(ordinary.everything()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_ordinary_model_is_refused(name: str, build: Callable[[], bytes]) -> None:
    content = build()
    assert static.judged(content, {}) == ()
    assert trial.tried(content, None, Peak())["peakBytes"] >= 0


@pytest.mark.parametrize("model", corpus.sample(EVERYTHING, COUNT, SEED), ids=lambda model: model.name)
def test_the_gate_s_own_processes_refuse_a_hostile_model_in_time_and_memory(model: Hostile) -> None:
    before = most_resident()
    verdict = by_rules(model.name, model.build())
    assert verdict.in_time, verdict
    assert most_resident() <= max(before, RESIDENT)
    if not verdict.rule:
        verdict = by_trial(model.name, model.build())
    assert right(model, verdict), verdict
