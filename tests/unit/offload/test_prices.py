"""Prices rise with what is spent, hold each budget on the mean, and do not bind what has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.offload.budget import WINDOW, SlidingBudget
from agent.offload.prices import FULL, HORIZON, Cost, Prices, run_here, sent_up
from agent.offload.terms import SECONDS_A_DAY, Terms

RATE = 1.5e6
TERMS = Terms(uplink_bits_per_second=RATE)
NOW = 1000.0
PICTURE = Cost(bits=28_000 * 8)
WATTS = Terms(watts=5.0)


class Spender:
    """Books bits, then pays, as a lane does."""

    def __init__(self, terms: Terms = TERMS) -> None:
        self.budget = SlidingBudget(terms.uplink_bits_per_second)
        self.prices = Prices(terms, self.budget)

    def spend(self, cost: Cost, now: float) -> bool:
        """False: the minute has no room for it."""
        booking = self.budget.reserve(cost.bits, now)
        if booking is None:
            return False
        self.budget.ended(booking, now)
        self.prices.spent(cost, now)
        return True


def bought(terms: Terms, cost: Cost, worth: Callable[[int], float], *, a_second: int, seconds: int) -> float:
    """Actions a second, each taken where it is worth more than its price; once prices have settled."""
    subject, taken = Spender(terms), 0
    for number in range(a_second * seconds):
        now = NOW + number / a_second
        subject.prices.elapse(now)
        if worth(number) > subject.prices.price(cost) and subject.spend(cost, now):
            taken += 2 * number >= a_second * seconds
    return 2 * taken / seconds


def test_before_anything_was_spent_everything_is_free() -> None:
    assert Spender().prices.price(PICTURE) == 0.0


def test_bits_are_the_dearer_the_more_of_the_minute_is_spent() -> None:
    subject = Spender()
    subject.spend(Cost(bits=subject.budget.most / 4), NOW)
    assert subject.prices.price(Cost(bits=1e6)) == pytest.approx(FULL / 2, rel=1e-3)
    subject.spend(Cost(bits=subject.budget.left(NOW)), NOW)
    assert subject.prices.shown() == {"bits": pytest.approx(FULL, rel=1e-3)}


def test_a_minute_after_they_were_sent_bits_cost_nothing() -> None:
    subject = Spender()
    subject.spend(Cost(bits=subject.budget.most), NOW)
    subject.prices.elapse(NOW + WINDOW - 0.1)
    assert subject.prices.price(PICTURE) > 0.5
    subject.prices.elapse(NOW + WINDOW + 0.2)
    assert subject.prices.price(PICTURE) == 0.0


def test_a_good_minute_is_not_spent_in_its_first_seconds() -> None:
    """As a queue of ten seconds, bits were: frames worth 0.4 emptied it, and better ones then found none."""
    subject = Spender()
    for number in range(1200):
        now = NOW + number / 20
        subject.prices.elapse(now)
        if subject.prices.price(PICTURE) < 0.4:
            assert subject.spend(PICTURE, now)
    assert subject.budget.left(NOW + 60.0) > subject.budget.most / 3


def test_a_queue_is_worked_off_at_its_budget_and_never_below_nothing() -> None:
    subject = Spender(WATTS)
    one = Cost(joules=1.2)
    subject.spend(Cost(joules=5.0 * HORIZON), NOW)
    assert subject.prices.price(one) == pytest.approx(1.0)
    subject.prices.elapse(NOW + HORIZON / 2)
    assert subject.prices.price(one) == pytest.approx(0.5)
    subject.prices.elapse(NOW + 100 * HORIZON)
    assert subject.prices.price(one) == 0.0


@pytest.mark.parametrize("rate", [0.2e6, 1.5e6, 20e6])
def test_most_of_the_budget_is_spent_and_no_more_whatever_frames_are_worth(rate: float) -> None:
    frames = bought(Terms(uplink_bits_per_second=rate), PICTURE, lambda n: (n % 10) / 10, a_second=200, seconds=300)
    assert 0.75 * rate <= frames * PICTURE.bits <= 1.05 * rate


def test_the_dearest_frames_are_bought() -> None:
    worths: list[float] = []
    subject = Spender()
    for number in range(6000):
        now, worth = NOW + number / 20, (number % 20) / 20
        subject.prices.elapse(now)
        if worth > subject.prices.price(PICTURE) and subject.spend(PICTURE, now):
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
    subject = Spender(replace(TERMS, safety=True))
    subject.spend(Cost(bits=subject.budget.most), NOW)
    assert subject.prices.price(PICTURE) == 0.0
    subject.prices.agree(TERMS)
    assert subject.prices.price(PICTURE) > 0.5


def test_other_terms_do_not_forgive_what_was_overspent() -> None:
    subject = Spender(WATTS)
    subject.spend(Cost(joules=1e3), NOW)
    before = subject.prices.price(Cost(joules=1.0))
    subject.prices.agree(replace(WATTS, money_per_day=5.0))
    assert subject.prices.price(Cost(joules=1.0)) == before


def test_what_turned_out_cheaper_is_given_back() -> None:
    subject = Spender(WATTS)
    subject.spend(Cost(joules=1.0), NOW)
    subject.prices.spent(Cost(joules=-1.0), NOW)
    assert subject.prices.price(Cost(joules=1.0)) == 0.0


def test_the_costs_of_both_ways() -> None:
    up = sent_up(1e9, 100.0, TERMS)
    assert [up.bits, up.money, up.joules] == pytest.approx([8e9, 0.5 + 0.02, 4000.0])
    here = run_here(0.03, TERMS)
    assert [here.bits, here.joules, here.grams] == pytest.approx([0.0, 0.45, 0.45 / 3.6e6 * 400])
