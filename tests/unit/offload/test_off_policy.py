"""What a log that leaves some choices to chance tells of another policy, and what it does not."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.offload.off_policy import RARE, Estimate, Step, estimate

REWARDS = {"up": 0.8, "stay": 0.5}  # P(a reward of 1)
UP: Mapping[str, float] = {"up": 1.0}


def log(seed: int, count: int = 600) -> list[Step]:
    """By a policy that goes up the rarer, the more that is worth there: so that its own mean misleads."""
    rng, steps = random.Random(seed), []
    for _ in range(count):
        easy = rng.random() < 0.5
        likely = 0.2 if easy else 0.8
        chosen = "up" if rng.random() < likely else "stay"
        chance = min(1.0, REWARDS[chosen] + (0.2 if easy else -0.2))
        steps.append(Step({"up": likely, "stay": 1 - likely}, chosen, float(rng.random() < chance)))
    return steps


def estimated(seed: int, count: int = 600) -> Estimate:
    return estimate(log(seed, count), [UP] * count)


def test_both_forms_find_what_always_going_up_is_worth_where_the_mean_of_those_that_went_does_not() -> None:
    steps = log(1, 20_000)
    found = estimate(steps, [UP] * len(steps))
    went = [step.reward for step in steps if step.chosen == "up"]
    assert abs(sum(went) / len(went) - REWARDS["up"]) > 0.08
    assert found.unbiased.value == pytest.approx(REWARDS["up"], abs=0.03)
    assert found.normalised.value == pytest.approx(REWARDS["up"], abs=0.02)
    assert found.gain.value == pytest.approx(found.normalised.value - found.logged)


def test_95_of_100_intervals_hold_the_truth() -> None:
    found = [estimated(seed) for seed in range(200)]
    for intervals in ([each.unbiased for each in found], [each.normalised for each in found]):
        held = sum(each.low <= REWARDS["up"] <= each.high for each in intervals)
        assert 0.91 <= held / len(found) <= 0.985
    widths = [(each.unbiased.high - each.unbiased.low, each.normalised.high - each.normalised.low) for each in found]
    assert all(narrow < wide for wide, narrow in widths), "the one to read is the steadier"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.02, 0.98), st.booleans(), st.floats(0, 1)), min_size=2, max_size=40))
def test_the_policy_of_the_log_earns_what_the_log_earned(rows: list[tuple[float, bool, float]]) -> None:
    steps = [Step({"up": p, "stay": 1 - p}, "up" if went else "stay", reward) for p, went, reward in rows]
    found = estimate(steps, [step.odds for step in steps])
    assert found.told == len(rows)
    assert found.effective == pytest.approx(len(rows))
    assert found.normalised.value == pytest.approx(found.logged) == pytest.approx(found.unbiased.value)
    assert found.gain.low == pytest.approx(found.gain.high, abs=1e-9) == pytest.approx(0.0, abs=1e-9)


def test_of_what_was_never_tried_nothing_is_told_and_that_is_counted() -> None:
    certain = [Step({"stay": 1.0}, "stay", 0.1)] * 30
    rare = [Step({"up": RARE / 2, "stay": 1 - RARE / 2}, "up", 1.0)]
    steps = [*certain, *rare, *log(3)]
    found = estimate(steps, [UP] * len(steps))
    assert (found.steps, found.told) == (631, 600)
    assert found.normalised == estimated(3).normalised, "one rare step would have weighed as two hundred"


def test_steps_on_which_both_agree_count_with_what_they_earned() -> None:
    steps = [Step({"stay": 1.0}, "stay", 0.25)] * 4
    found = estimate(steps, [{"stay": 1.0}] * 4)
    assert (found.told, found.normalised.value, found.gain.value) == (4, 0.25, 0.0)


def test_a_log_that_tells_nothing_gives_no_number() -> None:
    for steps in ([], [Step({"stay": 1.0}, "stay", 1.0)], [Step({"stay": 0.5, "up": 0.5}, "stay", 1.0)]):
        assert math.isnan(estimate(steps, [UP] * len(steps)).normalised.value)
