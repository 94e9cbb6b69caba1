"""The size of the model that there is time for."""

from __future__ import annotations

import pytest

from agent.offload import variants
from agent.offload.interference import Interference
from agent.offload.variants import Size

SMALL, MEDIUM, LARGE = Size("s", 0.6, 0.012), Size("m", 0.76, 0.030), Size("l", 0.8, 0.060)
SIZES = (SMALL, MEDIUM, LARGE)


def test_a_larger_size_needs_time_for_what_comes() -> None:
    assert variants.fits_to_come(0.030, 0.012, 0, 60.0, 1)
    assert not variants.fits_to_come(0.030, 0.012, 0, 80.0, 1)
    assert not variants.fits_to_come(0.030, 0.012, 5, 60.0, 1)
    assert variants.fits_to_come(0.030, 0.012, 5, 60.0, 2), "an engine of two at once has twice the time"


@pytest.mark.parametrize(
    ("rate", "metric"), [(0.0, 0.8), (10.0, 0.8), (1 / 0.030, 0.76), (1 / 0.012, 0.6), (200.0, 0.6)]
)
def test_frames_share_the_engine_between_the_sizes_that_it_is_just_busy_with(rate: float, metric: float) -> None:
    assert variants.shared(SIZES, rate, 1)[0] == pytest.approx(metric)


def test_a_second_more_is_worth_the_step_to_the_next_size_while_not_all_have_it() -> None:
    metric, gain = variants.shared(SIZES, 1 / 0.021, 1)
    assert metric == pytest.approx(0.68)
    assert gain == pytest.approx(0.16 / 0.018)
    assert variants.shared(SIZES, 5.0, 1)[1] == 0.0
    assert variants.shared((SMALL,), 500.0, 1) == (0.6, 0.0)


def test_how_much_calls_slow_each_other_is_learned_apart_for_each_number_of_them() -> None:
    between = Interference()
    assert between.factor(1) == 1.0
    for _ in range(200):
        between.learn(1, 1.3)
        between.learn(2, 1.9)
        between.learn(0, 5.0)
    assert between.factor(0) == 1.0
    assert between.factor(1) == pytest.approx(1.3, abs=0.01)
    assert between.factor(2) == pytest.approx(1.9, abs=0.01)
    assert between.factor(7) == between.factor(2), "nothing worse was seen"


def test_others_never_make_a_call_faster_and_one_that_hung_is_no_interference() -> None:
    between = Interference()
    between.learn(1, 0.1)
    assert between.factor(1) == 1.0
    between.learn(1, 1000.0)
    assert between.factor(1) < 1.2
