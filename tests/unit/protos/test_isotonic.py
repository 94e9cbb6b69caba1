"""Curves that never fall: the nearest one to some values, and what is read between its knots."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.isotonic import at, rising

KNOTS = ((0.2, 0.1), (0.4, 0.1), (0.8, 0.9))

shares = st.floats(0, 1, allow_nan=False)


def test_what_falls_is_pooled_by_weight() -> None:
    assert rising([0.1, 0.6, 0.2, 0.9], [1, 3, 1, 1]) == pytest.approx([0.1, 0.5, 0.5, 0.9])


def test_a_fall_pools_as_far_back_as_it_must() -> None:
    assert rising([0.5, 0.6, 0.0], [1, 1, 1]) == pytest.approx([1.1 / 3] * 3)


@given(st.lists(st.tuples(shares, st.integers(1, 9)), min_size=1, max_size=12))
def test_the_curve_never_falls_and_keeps_the_mean(bins: list[tuple[float, int]]) -> None:
    values, weights = [value for value, _ in bins], [weight for _, weight in bins]
    curve = rising(values, weights)
    assert all(one <= other + 1e-12 for one, other in pairwise(curve))
    assert np.average(curve, weights=weights) == pytest.approx(np.average(values, weights=weights))


@given(st.lists(st.tuples(shares, st.integers(1, 9)), min_size=1, max_size=12), st.data())
def test_no_other_curve_that_never_falls_is_nearer(bins: list[tuple[float, int]], data: st.DataObject) -> None:
    values, weights = np.array([value for value, _ in bins]), np.array([weight for _, weight in bins])
    other = np.sort([data.draw(shares) for _ in bins])
    nearest = np.array(rising(list(values), list(weights)))
    assert weights @ (nearest - values) ** 2 <= weights @ (other - values) ** 2 + 1e-9


@pytest.mark.parametrize(
    ("score", "share"), [(0.0, 0.1), (0.2, 0.1), (0.3, 0.1), (0.4, 0.1), (0.6, 0.5), (0.8, 0.9), (1.0, 0.9)]
)
def test_a_score_is_read_on_the_line_between_the_knots_and_flat_beyond_them(score: float, share: float) -> None:
    assert at(KNOTS, score) == pytest.approx(share)


def test_a_single_knot_is_a_flat() -> None:
    assert {at(((0.5, 0.7),), score) for score in (0.0, 0.5, 1.0)} == {0.7}
