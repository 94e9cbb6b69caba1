"""The route of a frame, as a table; and what the box believes of itself and of the cloud."""

from __future__ import annotations

import random

import pytest

from agent.offload.breaker import Breaker, BreakerState
from agent.offload.budget import UplinkBudget
from agent.offload.estimate import Estimate
from agent.offload.policy import CloudView, LocalView, Route, decide

NOW = 1000.0
DEADLINE = NOW + 0.25
CLOUD = CloudView(usable=True, typical=0.05)
SLOW_CLOUD = CloudView(usable=True, typical=0.4)
NONE = CloudView(usable=False, typical=0.01)


def local(
    *, planned: float = 0.01, free_in: float = 0.0, idle: bool = True, waiting: bool = False, measured: float = 0.1
) -> LocalView:
    return LocalView(True, NOW + free_in, planned, idle, waiting, NOW - measured, improving=False)


@pytest.mark.parametrize(
    ("box", "cloud", "route"),
    [
        (local(), CLOUD, Route.LOCAL),
        (local(), NONE, Route.LOCAL),
        (local(planned=0.3), CLOUD, Route.CLOUD),
        (local(planned=0.3, measured=2.0), CLOUD, Route.HEDGE),
        (local(planned=0.3, measured=2.0, idle=False, free_in=0.1), CLOUD, Route.CLOUD),
        (local(planned=0.3), SLOW_CLOUD, Route.LATE),
        (local(planned=0.3), NONE, Route.LATE),
        (local(planned=0.3, idle=False, free_in=0.1), NONE, Route.SHED),
        (local(free_in=0.1, idle=False, waiting=True), CLOUD, Route.CLOUD),
        (local(free_in=0.1, idle=False, waiting=True), NONE, Route.LOCAL),
    ],
)
def test_the_route_of_a_frame(box: LocalView, cloud: CloudView, route: Route) -> None:
    assert decide(DEADLINE, box, cloud, NOW) is route


def test_a_box_without_an_engine_sheds_or_sends_up() -> None:
    absent = LocalView(False, NOW, 0.01, idle=True, waiting=False, measured_at=0.0, improving=False)
    assert decide(DEADLINE, absent, NONE, NOW) is Route.SHED
    assert decide(DEADLINE, absent, CLOUD, NOW) is Route.CLOUD


def test_a_bad_memory_fades_without_new_samples() -> None:
    estimate = Estimate(0.08)
    estimate.observe(2.0, NOW)
    assert estimate.typical_after(NOW + 1.0) == 2.0
    assert estimate.typical_after(NOW + 5.0) < 0.2


def test_the_breaker_opens_on_failures_waits_longer_each_time_and_closes_on_a_good_probe() -> None:
    breaker = Breaker(rng=random.Random(1))
    now = NOW
    waits = []
    for _ in range(3):
        while breaker.allows(now):
            breaker.called(now)
            breaker.failed(now)
        opened = now
        while not breaker.allows(now):
            now += 0.01
        waits.append(now - opened)
    assert waits[0] < waits[1] < waits[2]
    breaker.called(now)
    assert not breaker.allows(now)
    breaker.succeeded(now)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.allows(now)


def test_silence_with_calls_under_way_opens_the_breaker() -> None:
    breaker = Breaker(rng=random.Random(1))
    breaker.called(NOW)
    assert breaker.allows(NOW + 2.9)
    assert not breaker.allows(NOW + 3.1)


def test_the_budget_allows_a_burst_and_holds_the_mean() -> None:
    budget = UplinkBudget(1000.0)
    sent = 0
    for tick in range(1000):
        now = NOW + tick / 100
        if budget.allows(100, now):
            budget.spend(100, now)
            sent += 100
    assert 10_000 <= sent <= 12_100
