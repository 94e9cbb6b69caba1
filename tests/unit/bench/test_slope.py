"""A line through memory over time, and when its slope counts as growth."""

from __future__ import annotations

import random

import pytest

from bench.bench_overhead import missed
from bench.dataplane.slope import Slope, slope

FAST = {"p50": 2.0, "p99": 7.0}


def test_what_grows_evenly_has_that_slope_and_no_error() -> None:
    assert slope([(0.0, 10.0), (1800.0, 12.0), (3600.0, 14.0)]) == Slope(10.0, 14.0, 4.0, 0.0)


def test_noise_makes_an_error_that_covers_the_truth() -> None:
    rng = random.Random(1)
    found = slope([(10.0 * look, 200.0 + rng.gauss(0, 0.5)) for look in range(360)])
    assert abs(found.mb_per_hour) < 3 * found.error < 1.0


@pytest.mark.parametrize(
    ("memory", "seconds", "is_missed"),
    [
        (Slope(200.0, 200.5, 0.5, 0.1), 3600.0, False),
        (Slope(200.0, 205.0, 5.0, 3.0), 3600.0, False),  # it may be noise
        (Slope(200.0, 205.0, 5.0, 1.0), 120.0, False),  # caches may still fill
        (Slope(200.0, 205.0, 5.0, 1.0), 3600.0, True),
    ],
)
def test_growth_counts_where_it_is_beyond_doubt(memory: Slope, seconds: float, *, is_missed: bool) -> None:
    assert bool(missed(FAST, memory, seconds)) is is_missed


def test_overhead_counts_at_the_median_and_at_the_end() -> None:
    calm = Slope(200.0, 200.0, 0.0, 0.1)
    assert missed(FAST, calm, 3600.0) == []
    assert missed({"p50": 3.5, "p99": 9.0}, calm, 3600.0) == [
        "p50 of the overhead is 3.50 ms, of 3",
        "p99 of the overhead is 9.00 ms, of 8",
    ]
