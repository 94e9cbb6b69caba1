"""Trials of scores → knots of a calibration."""

from __future__ import annotations

import numpy as np
import pytest

from controlplane.evaluating.isotonic import knots
from protos.judged import MOST_KNOTS


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
