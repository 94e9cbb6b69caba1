"""What each way of answering a frame is worth; and when the breaker says that there is no cloud."""

from __future__ import annotations

import random

import pytest

from agent.offload import policy
from agent.offload.breaker import Breaker, BreakerState

NOW = 1000.0


@pytest.mark.parametrize(("slack", "need", "least", "most"), [(0.2, 0.05, 0.99, 1.0), (0.05, 0.2, 0.0, 0.01)])
def test_what_needs_less_than_there_is_comes_in_time(slack: float, need: float, least: float, most: float) -> None:
    assert least <= policy.chance(slack, need) <= most


def test_even_odds_lie_where_there_is_just_as_much_time_as_needed() -> None:
    assert policy.chance(0.1, 0.1) == pytest.approx(0.5)
    assert policy.chance(0.1, 0.1, bias=1.0) > 0.7
    assert policy.chance(0.1, float("inf")) == 0.0


def test_a_frame_is_worth_its_value_times_the_odds_of_a_right_answer_in_time_less_its_price() -> None:
    assert policy.here(2.0, 0.6, 0.5, 0.1).score == pytest.approx(0.5)
    assert policy.there(2.0, 0.9, 1.0, 0.0, 0.0, 0.3).score == pytest.approx(1.5)


def test_a_frame_that_fails_in_the_cloud_still_has_the_box() -> None:
    alone, hedged = (policy.there(1.0, 0.9, 0.6, instead, 0.0, 0.0) for instead in (0.0, 0.6))
    assert hedged.worth - alone.worth == pytest.approx(0.4 * policy.HEDGED * 0.6)


def test_a_frame_that_goes_up_leaves_its_time_to_others() -> None:
    kept, freed = (policy.there(1.0, 0.9, 0.8, 0.0, freed, 0.0) for freed in (0.0, 0.1))
    assert freed.worth - kept.worth == pytest.approx(0.1)


def test_what_is_less_likely_in_time_than_not_does_not_go_up() -> None:
    assert policy.there(9.0, 0.9, 0.4, 0.0, 0.0, 0.0).why_not == "not in time"
    assert policy.second(9.0, 0.5, 0.4, 0.0).why_not == "not in time"
    assert not policy.there(9.0, 0.9, 0.6, 0.0, 0.0, 0.0).why_not


def test_a_second_answer_must_be_better_by_more_than_its_price() -> None:
    assert policy.second(1.0, 0.3, 1.0, 0.2).score > 0.0
    assert policy.second(1.0, 0.3, 1.0, 0.29).score < 0.0


def test_scores_that_differ_by_nothing_are_parted_at_random_and_the_odds_are_told() -> None:
    rng = random.Random(1)
    chosen = [policy.goes(0.001, 1.0, rng) for _ in range(2000)]
    share = sum(taken for taken, _ in chosen) / len(chosen)
    [likely] = {odds for taken, odds in chosen if taken}
    [unlikely] = {odds for taken, odds in chosen if not taken}
    assert share == pytest.approx(likely, abs=0.03)
    assert likely + unlikely == pytest.approx(1.0)


@pytest.mark.parametrize("margin", [-0.1, 0.1])
def test_scores_that_differ_are_never_parted_at_random(margin: float) -> None:
    assert policy.goes(margin, 1.0, random.Random(1)) == (margin > 0, 1.0)
    assert policy.goes(margin / 1000, 1.0, None) == (margin > 0, 1.0)


def test_the_breaker_opens_on_failures_waits_longer_each_time_and_closes_on_a_good_probe() -> None:
    breaker = Breaker(rng=random.Random(1))
    now = NOW
    waits = []
    for _ in range(3):
        while breaker.allows(now):
            breaker.called(now)
            breaker.failed(now, now)
        opened = now
        while not breaker.allows(now):
            now += 0.01
        waits.append(now - opened)
    assert waits[0] < waits[1] < waits[2]
    breaker.called(now)
    assert not breaker.allows(now)
    breaker.succeeded(now, now)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.allows(now)


def test_silence_with_calls_under_way_opens_the_breaker() -> None:
    breaker = Breaker(rng=random.Random(1))
    breaker.called(NOW)
    assert breaker.allows(NOW + 2.9)
    assert not breaker.allows(NOW + 3.1)
