"""The tuner of slow gains: bounded, off by default, and gone again when it does harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.offload.tuner import (
    ANALYTIC,
    CONTROL,
    FEATURES,
    MOST,
    NEUTRAL,
    REST_SECONDS,
    STEP_SECONDS,
    Mode,
    Seen,
    Tuner,
    Weights,
    gains,
)

SEEN = Seen(price=0.4, link=0.6, way=0.3, load=0.7, queue=0.2, left=0.9)
EAGER: Weights = ((-3.0, *(0.0,) * (FEATURES - 1)), (2.0, *(0.0,) * (FEATURES - 1)))
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
rows = st.tuples(*[numbers] * FEATURES)


def driven(tuner: Tuner, steps: int, in_time_when_tuned: float, in_time_else: float = 0.95) -> list[bool]:
    """100 frames a step; whether each step followed the tuner."""
    followed = []
    for step in range(steps):
        now = step * STEP_SECONDS
        follows = tuner.step(SEEN, now) is not ANALYTIC
        followed.append(follows)
        share = in_time_when_tuned if follows else in_time_else
        for frame in range(100):
            tuner.ended(now + 0.01 * frame, in_time=(37 * frame) % 100 < 100 * share)
    return followed


@given(st.tuples(rows, rows), st.lists(numbers, min_size=6, max_size=6))
def test_no_weights_and_no_day_move_a_gain_by_more_than_a_half(weights: Weights, seen: list[float]) -> None:
    found = gains(weights, Seen(*seen))
    assert 1 - MOST <= found.price <= 1 + MOST
    assert 1 - MOST <= found.coming <= 1 + MOST


def test_weights_of_nothing_leave_the_analytic_gains() -> None:
    assert gains(NEUTRAL, SEEN) == ANALYTIC


def test_a_tuner_is_off_and_never_due_until_somebody_switches_it_on() -> None:
    assert Tuner(EAGER).mode is Mode.OFF
    assert not Tuner(EAGER).due(1e9)


def test_a_step_holds_for_its_time() -> None:
    tuner = Tuner(EAGER, Mode.SHADOW)
    assert tuner.due(0.0)
    tuner.step(SEEN, 0.0)
    assert not tuner.due(STEP_SECONDS - 0.1)
    assert tuner.due(STEP_SECONDS)


def test_a_shadow_proposes_and_nothing_follows() -> None:
    tuner = Tuner(EAGER, Mode.SHADOW)
    assert not any(driven(tuner, 50, in_time_when_tuned=0.0))
    assert tuner.proposed == gains(EAGER, SEEN)
    assert tuner.proposed != ANALYTIC


def test_one_step_in_so_many_is_left_alone() -> None:
    followed = driven(Tuner(EAGER, Mode.ON), 4 * CONTROL, in_time_when_tuned=0.95)
    assert followed.count(False) == 4


@pytest.mark.parametrize(("share", "returns"), [(0.90, 1), (0.95, 0), (0.99, 0)])
def test_it_returns_by_itself_where_fewer_frames_are_in_time_than_without_it(share: float, returns: int) -> None:
    tuner = Tuner(EAGER, Mode.ON)
    followed = driven(tuner, 59, in_time_when_tuned=share)
    assert tuner.returns == returns
    assert followed[-1] is (returns == 0)


def test_a_bad_hour_of_the_world_is_no_fault_of_the_tuner() -> None:
    tuner = Tuner(EAGER, Mode.ON)
    driven(tuner, 60, in_time_when_tuned=0.3, in_time_else=0.3)
    assert tuner.returns == 0


def test_after_its_rest_it_is_tried_again() -> None:
    tuner = Tuner(EAGER, Mode.ON)
    driven(tuner, 30, in_time_when_tuned=0.5)
    assert tuner.returns == 1
    later = 30 * STEP_SECONDS + REST_SECONDS
    assert [tuner.step(SEEN, later + step) is ANALYTIC for step in range(2)].count(False) >= 1
