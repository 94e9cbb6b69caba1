"""What a score is worth: as the profile says, then as the box saw; and never less for a higher one."""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.offload.calibration import NOTHING_SEEN, Calibration
from agent.offload.profile import PRIOR
from agent.types import Box

SCORES = [j / 50 for j in range(51)]


def seen(*scores: float) -> tuple[Box, ...]:
    return tuple(Box(0.1, 0.1, 0.2, 0.2, score, "boat") for score in scores)


def lived(calibration: Calibration, samples: int, power: float, seed: int = 1) -> Calibration:
    """Answers of which a share of score^power is right."""
    rng = random.Random(seed)
    for _ in range(samples):
        score = rng.random()
        calibration.learn(seen(score), right=rng.random() < score**power)
    return calibration


def error(calibration: Calibration, power: float) -> float:
    return fmean(abs(calibration.calibrated(score) - score**power) for score in SCORES)


def test_before_the_first_sample_the_profile_holds() -> None:
    calibration = Calibration(PRIOR.confidence)
    assert [calibration.calibrated(score) for score, _ in PRIOR.confidence] == pytest.approx(
        [right for _, right in PRIOR.confidence], abs=0.03
    )


def test_what_the_box_sees_takes_the_profile_s_place() -> None:
    calibration = Calibration([(0.0, 0.0), (1.0, 1.0)])
    before = error(calibration, 3.0)
    assert error(lived(calibration, 2000, 3.0), 3.0) < 0.05 < before
    assert error(lived(calibration, 6000, 1.0), 1.0) < 0.05, "and what it sees later, that"


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=80))
def test_a_higher_score_is_never_trusted_less(samples: list[tuple[float, bool]]) -> None:
    calibration = Calibration(PRIOR.confidence)
    for score, right in samples:
        calibration.learn(seen(score), right=right)
    trusted = [calibration.calibrated(score) for score in SCORES]
    assert all(low <= high + 1e-9 for low, high in pairwise(trusted))
    assert min(trusted) >= 0.0
    assert max(trusted) <= 1.0


def test_an_answer_is_as_sure_as_its_worst_box() -> None:
    calibration = Calibration(PRIOR.confidence)
    assert calibration.confidence(seen(0.9, 0.3, 0.7)) == calibration.calibrated(0.3)


def test_an_answer_that_saw_nothing_is_as_sure_as_such_answers_were() -> None:
    calibration = Calibration(PRIOR.confidence)
    assert calibration.confidence(()) == pytest.approx(NOTHING_SEEN)
    for _ in range(200):
        calibration.learn((), right=False)
    assert calibration.confidence(()) < 0.1
    assert calibration.calibrated(0.5) == pytest.approx(0.4, abs=0.03), "which says nothing of boxes"


@pytest.mark.parametrize("score", [-1.0, 0.0, 1.0, 2.0])
def test_any_score_is_taken(score: float) -> None:
    calibration = Calibration([])
    calibration.learn(seen(score), right=True)
    assert 0.0 <= calibration.confidence(seen(score)) <= 1.0
