"""A release on trial is judged by its answers and by the time of its model; a busy box, or a frame or two, do not."""

from __future__ import annotations

from collections import deque

import pytest

from agent.errors import Unfit
from agent.pipeline.health import Health, unfit_on_trial, unfit_when_warmed
from agent.ports import Warmed

BUDGET = 0.05
QUICK, SLOW = 0.03, 0.09
WARMED = Warmed(QUICK, QUICK)


def trial(quick: int, slow: int = 0, nan: int = 0) -> Health:
    """Of so many frames each."""
    answered = quick + slow
    times = deque([QUICK] * quick + [SLOW] * slow)
    return Health(asked=answered + nan, ended=answered + nan, answered=answered, not_a_number=nan, times=times)


def fault(
    health: Health, warmed: Warmed = WARMED, before: Health | None = None, budget: float = BUDGET
) -> Unfit | None:
    return unfit_on_trial(health, warmed, before, budget)


@pytest.mark.parametrize(
    ("quick", "slow", "is_slow"),
    [
        (0, 0, False),
        (0, 2, False),
        (0, 3, True),
        (20, 2, False),
        (50, 3, True),
        (57, 3, False),
        (95, 5, False),
        (94, 6, True),
    ],
)
def test_more_than_one_frame_in_twenty_and_at_least_three_must_be_slow(quick: int, slow: int, is_slow: bool) -> None:
    assert (fault(trial(quick, slow)) is not None) == is_slow


def test_without_a_budget_nothing_is_slow() -> None:
    assert fault(trial(0, 100), budget=0.0) is None
    assert unfit_when_warmed(Warmed(60.0, 60.0), 0.0) is None


def test_what_one_core_takes_is_what_a_busy_box_leaves_a_frame_and_no_fault_of_the_release() -> None:
    assert fault(trial(0, 100), Warmed(QUICK, SLOW)) is None
    assert fault(trial(0, 100), Warmed(QUICK, SLOW - 0.001)) is not None


def test_a_release_that_is_too_slow_when_warmed_does_not_answer_at_all() -> None:
    unfit = unfit_when_warmed(Warmed(SLOW, SLOW), BUDGET)
    assert unfit is not None
    assert unfit.seconds == SLOW
    assert str(unfit) == (
        "latency-budget: an inference takes 90 ms here, and its Deployment's objective.latencyBudget is 50 ms; "
        "deploy a faster one or raise it"
    )
    assert unfit_when_warmed(Warmed(BUDGET, SLOW), BUDGET) is None
    assert unfit_when_warmed(Warmed(), BUDGET) is None  # a model whose warm-up says nothing


def test_the_refusal_says_what_a_frame_takes_and_whether_the_release_before_was_as_slow() -> None:
    unfit = fault(trial(90, 10))
    assert unfit is not None
    assert unfit.seconds == SLOW
    assert str(unfit).startswith("latency-budget: one frame in twenty takes 90 ms or more here, and its Deployment's")
    both = fault(trial(90, 10), before=trial(0, 10))
    assert "(before it 90 ms: it is this box that is slow)" in str(both)
    assert "before it" not in str(fault(trial(90, 10), before=trial(100)))


@pytest.mark.parametrize(
    ("good", "nan", "is_unfit"), [(0, 1, True), (4, 1, False), (8, 2, False), (9, 3, True), (10_000, 3, True)]
)
def test_one_frame_in_five_or_three_that_are_no_number_are_the_releases_own(
    good: int, nan: int, is_unfit: bool
) -> None:
    health = trial(good, nan=nan)
    unfit = fault(health)
    assert (unfit is not None) == is_unfit == (not health.good)
    if unfit is not None:
        assert str(unfit).startswith(f"not-a-number: {nan} of {good + nan} frames were answered with NaN")
        assert unfit.seconds == 0.0


def test_frames_that_failed_otherwise_have_no_rule_of_their_own() -> None:
    failed = Health(asked=10, ended=10, answered=5)
    assert not failed.good
    assert fault(failed) is None


def test_a_release_that_knows_no_number_when_warmed_does_not_answer_at_all() -> None:
    unfit = unfit_when_warmed(Warmed(QUICK, QUICK, in_numbers=False), 0.0)
    assert unfit is not None
    assert str(unfit).startswith("not-a-number: ")
