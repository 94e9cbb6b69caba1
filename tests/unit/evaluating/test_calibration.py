"""Scores → what they were worth: pooled, never falling, nearest to the trials."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.evaluating.isotonic import knots, pooled
from protos.judged import MOST_KNOTS

shares = st.floats(0, 1, allow_nan=False)


def test_what_falls_is_pooled_by_weight() -> None:
    assert pooled([0.1, 0.6, 0.2, 0.9], [1, 3, 1, 1]) == pytest.approx([0.1, 0.5, 0.5, 0.9])


def test_a_fall_pools_as_far_back_as_it_must() -> None:
    assert pooled([0.5, 0.6, 0.0], [1, 1, 1]) == pytest.approx([1.1 / 3] * 3)


@given(st.lists(st.tuples(shares, st.integers(1, 9)), min_size=1, max_size=12))
def test_the_curve_never_falls_and_keeps_the_mean(bins: list[tuple[float, int]]) -> None:
    values, weights = [value for value, _ in bins], [weight for _, weight in bins]
    curve = pooled(values, weights)
    assert all(one <= other + 1e-12 for one, other in pairwise(curve))
    assert np.average(curve, weights=weights) == pytest.approx(np.average(values, weights=weights))


@given(st.lists(st.tuples(shares, st.integers(1, 9)), min_size=1, max_size=12), st.data())
def test_no_other_curve_that_never_falls_is_nearer(bins: list[tuple[float, int]], data: st.DataObject) -> None:
    values, weights = np.array([value for value, _ in bins]), np.array([weight for _, weight in bins])
    other = np.sort([data.draw(shares) for _ in bins])
    nearest = np.array(pooled(list(values), list(weights)))
    assert weights @ (nearest - values) ** 2 <= weights @ (other - values) ** 2 + 1e-9


def test_scores_that_promise_too_much_are_told_what_they_were_worth() -> None:
    rng = np.random.default_rng(5)
    scores = rng.uniform(0, 1, 20_000)
    curve = knots(scores, rng.uniform(0, 1, len(scores)) < scores**2)
    assert len(curve) <= MOST_KNOTS
    assert all(abs(share - score**2) < 0.05 for score, share in curve)


def test_a_flat_is_told_by_its_ends() -> None:
    scores = np.linspace(0.1, 0.9, 200)
    curve = knots(scores, np.ones(200, bool))
    assert [share for _, share in curve] == [1.0, 1.0]
    assert (curve[0][0], curve[1][0]) == pytest.approx((0.12, 0.88), abs=0.01)


def test_equal_scores_are_one_knot() -> None:
    assert knots(np.full(100, 0.5), np.arange(100) % 2 == 0) == ((0.5, 0.5),)


def test_too_few_trials_tell_nothing() -> None:
    assert knots(np.array([0.5] * 9), np.ones(9, bool)) == ()
