"""How hard a tap's frames are is told by how sure the box was, against how sure it usually is."""

from __future__ import annotations

import random

import pytest

from agent.offload.difficulty import ALIKE, ALIKE_SECONDS, Difficulty, eased, log_odds
from tests.sim.lane import tap


def taught(sure: float, answers: int = 500, metric: float = 0.6) -> Difficulty:
    """A size that says so of all its answers, of four taps."""
    subject = Difficulty()
    for number in range(answers):
        subject.heard(tap(number % 4), "small", metric, sure, 0.025 * number)
    return subject


def test_before_any_answer_a_frame_is_a_usual_one() -> None:
    assert Difficulty().ease(tap(), 100.0) == 0.0
    assert eased(0.6, 0.0) == 0.6


@pytest.mark.parametrize("sure", [0.05, 0.3, 0.9])
def test_a_release_that_promises_too_little_or_too_much_of_all_frames_makes_none_hard(sure: float) -> None:
    subject = taught(sure)
    assert abs(subject.ease(tap(1), 12.5)) < 0.2


def test_a_doubt_makes_the_next_frame_of_its_tap_hard_and_of_no_other() -> None:
    subject = taught(0.6)
    subject.heard(tap(0), "small", 0.6, 0.2, 20.0)
    assert subject.ease(tap(0), 20.0) == pytest.approx(log_odds(0.2) - log_odds(0.6), abs=0.1)
    assert subject.ease(tap(0), 20.0 + ALIKE_SECONDS) == pytest.approx(ALIKE * subject.ease(tap(0), 20.0))
    assert abs(subject.ease(tap(0), 23.0)) < 0.01
    assert abs(subject.ease(tap(1), 20.0)) < 0.01


def test_a_size_that_is_given_the_hard_frames_is_not_thought_a_worse_one() -> None:
    """Else the frames it is given would not look hard any more."""
    rng = random.Random(3)
    subject, eases = Difficulty(), []
    for number in range(4000):
        now, hard = 0.1 * number, number // 50 % 2
        size = "medium" if subject.ease(tap(), now) < 0.0 else "small"
        usual = {"small": 0.4, "medium": 1.2}[size]
        sure = eased(0.5, usual + (-1.0 if hard else 1.0) + rng.gauss(0.0, 0.3))
        subject.heard(tap(), size, 0.5, sure, now)
        if number > 2000 and hard and number % 50 > 5:
            eases.append(subject.ease(tap(), now))
    assert sum(eases) / len(eases) < -0.5


def test_what_is_easy_is_easy_for_all_and_shares_stay_shares() -> None:
    assert eased(0.6, 1.0) - 0.6 > eased(0.92, 1.0) - 0.92 > 0.0
    assert eased(0.6, -1.0) < 0.6
    assert (eased(0.0, 3.0), eased(1.0, -3.0)) == (0.0, 1.0)
    assert 0.0 < eased(0.9, 100.0) <= 1.0


def test_a_tap_that_leaves_is_forgotten() -> None:
    subject = taught(0.6)
    subject.heard(tap(0), "small", 0.6, 0.1, 20.0)
    subject.forget(tap(0))
    assert subject.ease(tap(0), 20.0) == 0.0
