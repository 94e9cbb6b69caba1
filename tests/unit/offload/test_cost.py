"""What a call of n frames costs: learned from calls, true to the noise of a machine, quick to see that it changed."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.offload.cost import CostLine, fitted

ALONE = ((1, 0.010),)
GPU = ((1, 0.006), (2, 0.007), (4, 0.009), (8, 0.013))  # 1 ms a frame, 5 ms a call
Noise = Callable[[random.Random], float]


def quiet(_: random.Random) -> float:
    return 1.0


def busy(rng: random.Random) -> float:
    return rng.lognormvariate(0.0, 0.15)


def held_up(rng: random.Random) -> float:
    """One call in a hundred takes five times as long."""
    return rng.lognormvariate(0.0, 0.05) * (5.0 if rng.random() < 0.01 else 1.0)


def lived(line: CostLine, calls: int, *, frame: float, call: float, most: int = 1, noise: Noise = quiet) -> CostLine:
    """`calls` calls of 1 to `most` frames, twenty a second."""
    rng = random.Random(7)
    start = max(100.0, line.last_at)
    for number in range(calls):
        n = rng.randint(1, most)
        line.observe(n, (frame * n + call) * noise(rng), start + number / 20)
    return line


def test_before_the_first_call_what_was_measured_while_warming_holds() -> None:
    line = CostLine(GPU)
    assert [line.expected(n) for n in (1, 8)] == pytest.approx([0.006, 0.013])
    assert line.planned(1) == pytest.approx(0.009), "carefully"
    assert line.kept is None


@pytest.mark.parametrize("noise", [quiet, busy, held_up])
def test_the_line_of_the_calls_is_found(noise: Noise) -> None:
    line = lived(CostLine(GPU), 400, frame=0.002, call=0.004, most=8, noise=noise)
    assert [line.line(n) for n in (1, 4, 8)] == pytest.approx([0.006, 0.012, 0.020], rel=0.12)


def test_calls_of_one_frame_say_nothing_of_the_shape() -> None:
    line = lived(CostLine(GPU), 400, frame=0.002, call=0.010, noise=busy)
    assert line.expected(1) == pytest.approx(0.012, rel=0.15)
    assert line.line(8) / line.line(1) == pytest.approx(13 / 6, rel=0.01), "as it was while warming"


def test_a_line_of_which_only_single_frames_were_measured_does_not_pay_for_batches() -> None:
    line = lived(CostLine(ALONE), 200, frame=0.010, call=0.0)
    assert not any(line.pays(n) for n in (1, 2, 8))


@pytest.mark.parametrize(
    ("eight", "pays"),
    [(0.080, False), (0.074, False), (0.066, True), (0.013, True)],
)
def test_a_batch_pays_where_a_frame_in_it_costs_clearly_less(eight: float, pays: bool) -> None:
    assert CostLine(((1, 0.010), (8, eight))).pays(8) is pays


def test_a_batch_that_paid_while_warming_and_does_not_in_life_is_found_out() -> None:
    """And not forgotten while only single frames follow."""
    line = CostLine(GPU)
    assert line.pays(8)
    assert not lived(line, 400, frame=0.006, call=0.0, most=8, noise=busy).pays(8)
    assert not lived(line, 2000, frame=0.006, call=0.0, noise=busy).pays(8)
    assert lived(line, 3, frame=0.018, call=0.0).pays(8), "another box may be worth another try"


@pytest.mark.parametrize("noise", [busy, held_up])
@pytest.mark.parametrize("most", [1, 8])
def test_what_is_planned_is_kept_by_95_calls_in_100(noise: Noise, most: int) -> None:
    line, kept, rng, calls = CostLine(GPU), 0, random.Random(3), 20_000
    for number in range(calls):
        n = rng.randint(1, most)
        seconds = (0.001 * n + 0.005) * noise(rng)
        kept += seconds <= line.planned(n)
        line.observe(n, seconds, number / 20)
    assert 0.93 <= kept / calls <= 0.98
    assert line.kept is not None
    assert 0.88 <= line.kept <= 1.0, "of the last 256"


def test_one_long_call_changes_little_and_three_in_a_row_are_another_box() -> None:
    line = lived(CostLine(ALONE), 100, frame=0.010, call=0.0, noise=busy)
    before = line.expected()
    line.observe(1, 0.31, line.last_at + 0.1)
    assert line.expected() <= 1.11 * before
    line.observe(1, 0.31, line.last_at + 0.1)
    line.observe(1, 0.31, line.last_at + 0.1)
    assert line.expected() == pytest.approx(0.31)
    assert line.planned() > 0.4


def test_a_box_that_is_fast_again_is_known_after_three_calls_and_worth_asking_after_one() -> None:
    line = lived(CostLine(ALONE), 100, frame=0.31, call=0.0, noise=busy)
    assert not line.improving
    line.observe(1, 0.01, line.last_at + 0.1)
    assert line.improving
    line.observe(1, 0.01, line.last_at + 0.1)
    line.observe(1, 0.01, line.last_at + 0.1)
    assert line.expected() == pytest.approx(0.01)


def test_a_box_of_which_one_long_call_is_known_among_few_is_worth_asking() -> None:
    line = lived(CostLine(ALONE), 5, frame=0.010, call=0.0)
    line.observe(1, 0.6, line.last_at + 0.1)
    line.observe(1, 0.010, line.last_at + 0.1)
    assert line.planned() > 0.25, "too long for any frame"
    assert line.improving
    lived(line, 40, frame=0.010, call=0.0)
    assert line.planned() < 0.02
    assert not line.improving


def test_another_fit_moves_nothing_that_is_expected_of_a_call_like_the_last() -> None:
    line = lived(CostLine(GPU), 99, frame=0.002, call=0.004, most=8, noise=busy)
    for _ in range(300):
        before, seconds = line.expected(1), 0.0075
        line.observe(1, seconds, line.last_at + 0.1)
        assert abs(line.expected(1) / before - 1.0) <= 0.1 * abs(seconds / before - 1.0) + 1e-9
    assert line.slowness == pytest.approx(1.0, abs=0.05), "the level is the line's by now"


@given(
    st.lists(st.tuples(st.integers(1, 8), st.floats(0.0, 1e3), st.integers(1, 64)), min_size=1, max_size=8),
)
def test_no_fit_gives_seconds_back(points: list[tuple[int, float, int]]) -> None:
    frame, call = fitted(points)
    assert frame >= 0
    assert call >= 0


@given(st.lists(st.tuples(st.integers(1, 8), st.floats(0.0, 100.0)), max_size=150))
def test_whatever_is_observed_a_call_is_expected_to_take_some_time(calls: list[tuple[int, float]]) -> None:
    line = CostLine(((1, 0.0),))
    for number, (n, seconds) in enumerate(calls):
        line.observe(n, seconds, number / 3)
        assert 0 < line.expected(n) <= line.planned(n) * 10
        assert line.planned(8) < 1e9
