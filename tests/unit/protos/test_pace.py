"""How often and by when, of what one frame takes."""

from __future__ import annotations

import pytest

from protos.pace import DEADLINE_MS, MAX_DEADLINE_MS, Pace, deadline_ms, pace, rate


@pytest.mark.parametrize(("usual_s", "kept"), [(0.01, 10), (0.06, 8), (0.2, 2), (0.7, 0.7), (9.0, 0.1), (0.0, 10)])
def test_a_model_works_half_of_the_time_for_one_camera_at_most(usual_s: float, kept: float) -> None:
    assert rate(usual_s, 10.0) == kept


@pytest.mark.parametrize(("slow_s", "told"), [(0.083, 250), (0.084, 300), (0.1, 300), (1.0, 3000)])
def test_a_deadline_is_three_times_what_a_slow_frame_takes_in_round_figures(slow_s: float, told: int) -> None:
    assert deadline_ms(slow_s) == told


def test_a_deadline_waits_for_the_last_of_several_that_came_at_one_moment() -> None:
    assert deadline_ms(0.1, last_s=0.55) == 550
    assert deadline_ms(0.1, last_s=0.2) == 300


def test_no_deadline_is_shorter_or_longer_than_an_object_may_say() -> None:
    assert (deadline_ms(0.001), deadline_ms(30.0)) == (DEADLINE_MS, MAX_DEADLINE_MS)


def test_what_is_not_known_keeps_the_pace_of_an_object_that_says_none() -> None:
    assert pace(0.0, 3.0) == Pace()
    assert pace(0.06, 0.1) == Pace(8.0, 300)
