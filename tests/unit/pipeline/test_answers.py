"""What a frame in which nothing moved is answered with, and when its camera must be looked at on. In virtual time."""

from __future__ import annotations

from agent.cameras.captured import PassedOver
from agent.pipeline.answers import FORGOTTEN_SECONDS, LastAnswers
from agent.types import Box, Finished, Tap
from protos.ids import CameraName, DeploymentName, digest_of
from protos.outcomes import Outcome

TAP = Tap(CameraName("quay"), DeploymentName("watch"))
RELEASE = digest_of(b"1")


def boat(x: float = 0.1, label: str = "boat") -> Box:
    return Box(x, 0.4, x + 0.2, 0.6, 0.9, label)


def answered(seq: int, at: float, *boxes: Box) -> Finished:
    return Finished(TAP, seq, Outcome.OK_LOCAL, at, int(at * 1e9), at + 0.02, boxes, RELEASE)


def lost(seq: int, at: float, outcome: Outcome = Outcome.SHED) -> Finished:
    return Finished(TAP, seq, outcome, at, int(at * 1e9), at + 0.25)


def passed_over(seq: int, at: float) -> PassedOver:
    return PassedOver(TAP, seq, at, int(at * 1e9), "rtcp")


def quiet(*boxes: Box) -> LastAnswers:
    """A tap that was answered so at 100, and whose frames are passed over since."""
    answers = LastAnswers()
    answers.heard(answered(1, 100.0, *boxes))
    answers.still(passed_over(2, 100.2), 100.21)
    return answers


def test_it_has_the_boxes_that_were_answered_last_and_their_age() -> None:
    answers = LastAnswers()
    assert not answers.heard(answered(1, 100.0, boat()))
    ended = answers.still(passed_over(2, 100.5), 100.52)
    assert ended == Finished(
        TAP, 2, Outcome.STALE_TRACK, 100.5, int(100.5e9), 100.52, (boat(),), None, ts_source="rtcp", age=0.5
    )


def test_a_late_answer_to_an_older_frame_changes_nothing() -> None:
    answers = LastAnswers()
    answers.heard(answered(5, 101.0, boat(0.5)))
    answers.heard(answered(4, 100.8, boat(0.1)))
    ended = answers.still(passed_over(6, 101.2), 101.2)
    assert ended is not None
    assert ended.boxes == (boat(0.5),)


def test_where_nothing_was_answered_yet_it_says_so() -> None:
    assert LastAnswers().still(passed_over(1, 100.0), 100.0) is None


def test_answers_of_another_release_or_other_settings_are_not_repeated() -> None:
    answers = quiet(boat())
    assert answers.forget() == {TAP.camera}
    assert answers.still(passed_over(3, 100.4), 100.4) is None


def test_a_look_that_brought_no_answer_is_none() -> None:
    answers = quiet(boat())
    assert all(answers.heard(lost(3, 110.0, outcome)) for outcome in (Outcome.SHED, Outcome.EXPIRED, Outcome.ERROR))


def test_a_thing_that_came_or_that_moved_on_is_news_and_one_that_stays_is_none() -> None:
    answers = quiet(boat())
    assert not answers.heard(answered(3, 110.0, boat(0.11)))
    assert answers.heard(answered(4, 110.2, boat(0.11), boat(0.11, "person")))
    assert answers.heard(answered(5, 120.0, boat(0.19)))


def test_a_thing_so_slow_that_no_two_answers_tell_is_news_in_the_end() -> None:
    answers = quiet(boat())
    news = [answers.heard(answered(3 + step, 101.0 + step, boat(0.1 + 0.01 * step))) for step in range(20)]
    assert sum(news) == 2


def test_a_box_that_comes_and_goes_in_one_place_is_no_news() -> None:
    answers = quiet(boat())
    flickering = [answers.heard(answered(3 + n, 101.0 + n, *([boat()] if n % 2 else []))) for n in range(10)]
    assert not any(flickering)
    assert answers.heard(answered(20, 111.0 + FORGOTTEN_SECONDS, boat()))


def test_of_cameras_that_are_always_looked_at_nothing_is_asked() -> None:
    answers = LastAnswers()
    assert not answers.heard(answered(1, 100.0, boat()))
    assert not answers.heard(answered(2, 100.2, boat(0.6)))
    assert not answers.heard(lost(3, 100.4))
    assert answers.forget() == set()


def test_of_a_tap_that_is_gone_nothing_is_kept() -> None:
    answers = quiet(boat())
    answers.drop(TAP)
    assert not answers.heard(lost(3, 100.4))
    assert answers.still(passed_over(4, 100.6), 100.6) is None
