"""A few lost packets open no breaker; half of ten calls do."""

from __future__ import annotations

import random

import pytest

from agent.offload.breaker import Breaker, BreakerState

NOW = 1000.0


@pytest.mark.parametrize(
    ("calls", "state"),
    [
        ("x" * 9, BreakerState.CLOSED),
        ("x" * 10, BreakerState.OPEN),
        ("x." * 4 + "x", BreakerState.CLOSED),
        ("." * 5 + "x" * 5, BreakerState.OPEN),
        ("." * 100 + "x" * 9, BreakerState.CLOSED),
        ("." * 100 + "x" * 10, BreakerState.OPEN),
        ("..x" * 40, BreakerState.CLOSED),
    ],
)
def test_half_of_the_last_twenty_calls_and_no_fewer_than_ten_open_it(calls: str, state: BreakerState) -> None:
    """A dot is an answer in time, a cross none."""
    breaker = Breaker(rng=random.Random(1))
    for number, call in enumerate(calls):
        now = NOW + number / 10
        breaker.called(now)
        if call == ".":
            breaker.succeeded(now, now)
        else:
            breaker.failed(now, now)
    assert breaker.state is state


@pytest.mark.parametrize("late", ["succeeded", "failed"])
def test_what_becomes_of_a_call_made_before_it_opened_decides_nothing_of_the_probe(late: str) -> None:
    breaker = Breaker(rng=random.Random(1))
    for number in range(10):
        breaker.called(NOW)
        breaker.failed(NOW + number / 10, NOW)
    assert breaker.allows(NOW + 3.0)
    breaker.called(NOW + 3.0)
    getattr(breaker, late)(NOW + 3.1, NOW)
    assert (breaker.state, breaker.allows(NOW + 3.1)) == (BreakerState.HALF_OPEN, False), "the probe is still under way"
    breaker.succeeded(NOW + 3.2, NOW + 3.0)
    assert breaker.state is BreakerState.CLOSED
