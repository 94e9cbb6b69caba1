"""Prices rise with what is overspent, hold each budget on the mean, and do not bind what has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.offload.prices import HORIZON, Cost, Prices, run_here, sent_up
from agent.offload.terms import SECONDS_A_DAY, Terms

RATE = 1.5e6
TERMS = Terms(uplink_bits_per_second=RATE)
NOW = 1000.0
PICTURE = Cost(bits=28_000 * 8)


def bought(terms: Terms, cost: Cost, worth: Callable[[int], float], *, a_second: int, seconds: int) -> float:
    """Actions a second, each taken where it is worth more than its price; once prices have settled."""
    prices, taken = Prices(terms), 0
    for number in range(a_second * seconds):
        now = NOW + number / a_second
        prices.elapse(now)
        if worth(number) > prices.price(cost):
            prices.spent(cost, now)
            taken += 2 * number >= a_second * seconds
    return 2 * taken / seconds


def test_before_anything_was_spent_everything_is_free() -> None:
    assert Prices(TERMS).price(PICTURE) == 0.0


def test_a_megabit_costs_one_frame_when_the_budget_of_ten_seconds_is_overspent() -> None:
    prices = Prices(TERMS)
    prices.spent(Cost(bits=RATE * HORIZON), NOW)
    assert prices.price(Cost(bits=1e6)) == pytest.approx(1.0)
    assert prices.shown() == {"bits": pytest.approx(1.0)}


def test_a_queue_is_worked_off_at_its_budget_and_never_below_nothing() -> None:
    prices = Prices(TERMS)
    prices.spent(Cost(bits=RATE * HORIZON), NOW)
    prices.elapse(NOW + HORIZON / 2)
    assert prices.price(Cost(bits=1e6)) == pytest.approx(0.5)
    prices.elapse(NOW + 100 * HORIZON)
    assert prices.price(PICTURE) == 0.0


@pytest.mark.parametrize("rate", [0.2e6, 1.5e6, 20e6])
def test_the_mean_over_minutes_is_the_budget_whatever_frames_are_worth(rate: float) -> None:
    frames = bought(Terms(uplink_bits_per_second=rate), PICTURE, lambda n: (n % 10) / 10, a_second=200, seconds=300)
    assert frames * PICTURE.bits == pytest.approx(rate, rel=0.1)


def test_the_dearest_frames_are_bought() -> None:
    worths: list[float] = []
    prices = Prices(TERMS)
    for number in range(6000):
        now, worth = NOW + number / 20, (number % 20) / 20
        prices.elapse(now)
        if worth > prices.price(PICTURE):
            prices.spent(PICTURE, now)
            worths.append(worth)
    assert sum(worths[500:]) / len(worths[500:]) > 0.75, "of 20 a second, 6.7 fit: the best third"


@pytest.mark.parametrize(
    ("terms", "cost", "budget"),
    [
        (replace(TERMS, uplink_bits_per_second=1e9, money_per_day=1.0), Cost(money=2e-5), 1.0 / SECONDS_A_DAY / 2e-5),
        (replace(TERMS, watts=5.0), Cost(joules=0.45), 5.0 / 0.45),
        (replace(TERMS, grams_per_hour=2.0), Cost(grams=5e-5), 2.0 / 3600 / 5e-5),
    ],
)
def test_each_budget_is_held_on_the_mean(terms: Terms, cost: Cost, budget: float) -> None:
    frames = bought(terms, cost, lambda _: 0.3, a_second=20, seconds=3600)
    assert frames == pytest.approx(budget, rel=0.05)


def test_safety_pays_nothing_and_what_it_spends_is_counted() -> None:
    prices = Prices(replace(TERMS, safety=True))
    prices.spent(Cost(bits=1e9), NOW)
    assert prices.price(PICTURE) == 0.0
    prices.agree(TERMS)
    assert prices.price(PICTURE) > 1.0


def test_other_terms_do_not_forgive_what_was_overspent() -> None:
    prices = Prices(TERMS)
    prices.spent(Cost(bits=1e9), NOW)
    before = prices.price(PICTURE)
    prices.agree(replace(TERMS, watts=5.0))
    assert prices.price(PICTURE) == before


def test_what_turned_out_cheaper_is_given_back() -> None:
    prices = Prices(TERMS)
    prices.spent(PICTURE, NOW)
    prices.spent(Cost(bits=-PICTURE.bits), NOW)
    assert prices.price(PICTURE) == 0.0


def test_the_costs_of_both_ways() -> None:
    up = sent_up(1e9, 100.0, TERMS)
    assert [up.bits, up.money, up.joules] == pytest.approx([8e9, 0.5 + 0.02, 4000.0])
    here = run_here(0.03, TERMS)
    assert [here.bits, here.joules, here.grams] == pytest.approx([0.0, 0.45, 0.45 / 3.6e6 * 400])
