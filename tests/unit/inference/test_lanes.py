"""Cores of an engine worker: many calls at once, or one call on all of them."""

from __future__ import annotations

import threading

import pytest

from agent.inference.lanes import CALM_SECONDS, MOST_TWICE, Lanes, Plan, Sessions, planned
from agent.inference.session import Session
from tests.sim.clock import FakeClock
from tests.sim.models import identity

MODEL = identity("FP32").spec.model


@pytest.mark.parametrize(
    ("cores", "provider", "nbytes", "seconds", "plan"),
    [
        (4, "cpu", 20 << 20, 0.03, Plan(4, alone=True)),
        (4, "cpu", MOST_TWICE + 1, 0.03, Plan(4, alone=False)),
        (1, "cpu", 20 << 20, 0.03, Plan(1, alone=False)),
        (4, "cuda", 20 << 20, 0.03, Plan(1, alone=False)),
        (4, "cpu", 1000, 0.00001, Plan(1, alone=False)),
    ],
)
def test_a_model_gets_what_its_cost_and_the_box_are_worth(
    cores: int, provider: str, nbytes: int, seconds: float, plan: Plan
) -> None:
    assert planned(cores, provider, nbytes, seconds) == plan


def test_a_call_alone_has_all_cores_and_calls_that_meet_have_one_each_until_it_is_calm_again() -> None:
    clock = FakeClock()
    sessions = Sessions(Session(MODEL), clock.monotonic)
    sessions.alone = Session(MODEL)
    with sessions.taken() as first, sessions.taken() as second:
        assert (first, second) == (sessions.alone, sessions.many)
    with sessions.taken() as soon_after:
        assert soon_after is sessions.many
    clock.tick(CALM_SECONDS + 0.1)
    with sessions.taken() as later:
        assert later is sessions.alone


def test_a_call_that_fails_is_over_too() -> None:
    clock = FakeClock()
    sessions = Sessions(Session(MODEL), clock.monotonic)
    sessions.alone = Session(MODEL)
    with pytest.raises(ValueError, match="x"), sessions.taken():
        raise ValueError("x")
    with sessions.taken() as session:
        assert session is sessions.alone


def test_what_was_put_is_done_by_so_many_at_once_and_draining_waits_for_all() -> None:
    done, meeting = list[int](), threading.Barrier(3, timeout=5)

    def act(number: int) -> None:
        meeting.wait()  # passes only with three at once
        done.append(number)

    lanes = Lanes(3, act)
    for number in range(6):
        lanes.put(number)
    lanes.drain()
    assert sorted(done) == list(range(6))
