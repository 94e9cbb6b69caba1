"""The restart budget: at once first, then slower, then not at all."""

from __future__ import annotations

import random

from agent.workers.restarts import RestartBudget


def budget() -> RestartBudget:
    return RestartBudget(limit=4, window=60.0, first_delay=1.0, longest_delay=3.0, rng=random.Random(1))


def test_the_first_restart_is_immediate() -> None:
    assert budget().spend(100.0) == 0.0


def test_delays_double_up_to_the_longest_and_are_spread() -> None:
    spending = budget()
    delays = [spending.spend(100.0) for _ in range(4)]
    assert delays[1] is not None
    assert delays[3] is not None
    assert 0.8 <= delays[1] <= 1.2
    assert 2.4 <= delays[3] <= 3.6


def test_a_spent_budget_refuses_until_the_window_has_passed() -> None:
    spending = budget()
    for _ in range(4):
        spending.spend(100.0)
    assert spending.spend(110.0) is None
    assert spending.spend(161.0) == 0.0
