"""The states of a camera and the waits between tries."""

from __future__ import annotations

import random

import pytest

from agent.cameras.health import (
    ABSENT_DELAYS,
    FIRST_DELAY,
    LONGEST_DELAY,
    SPREAD,
    STEADY,
    Backoff,
    Event,
    Health,
)
from agent.types import CameraState


def after(*events: Event, reason: str = "the camera refuses") -> Health:
    health = Health()
    for event in events:
        health = health.after(event, reason)
    return health


def test_a_camera_runs_once_a_picture_has_come() -> None:
    assert after(Event.OPENED).state is CameraState.STARTING
    assert after(Event.OPENED, Event.FRAME).state is CameraState.RUNNING


def test_a_camera_that_was_never_there_is_retried_with_its_reason() -> None:
    health = after(Event.FAILED)
    assert (health.state, health.reason, health.restarts) == (CameraState.RETRYING, "the camera refuses", 1)


def test_the_reason_stays_until_a_picture_has_come() -> None:
    trying = after(Event.FAILED, Event.BACKOFF_OVER, Event.OPENED)
    assert (trying.state, trying.reason) == (CameraState.RETRYING, "the camera refuses")
    running = trying.after(Event.FRAME)
    assert (running.state, running.reason, running.restarts) == (CameraState.RUNNING, "", 1)


def test_a_stalled_camera_is_told_from_a_lost_one() -> None:
    stalled = after(Event.OPENED, Event.FRAME, Event.STALLED)
    assert stalled.state is CameraState.STALLED
    assert stalled.after(Event.BACKOFF_OVER).after(Event.FAILED, "gone").state is CameraState.RETRYING


def test_every_camera_can_be_paused_and_removed() -> None:
    for events in ((), (Event.FRAME,), (Event.FAILED,), (Event.STALLED,)):
        assert after(*events, Event.PAUSED).state is CameraState.PAUSED
        assert after(*events, Event.REMOVED).state is CameraState.REMOVED
    assert after(Event.PAUSED, Event.RESUMED, Event.FRAME).state is CameraState.RUNNING


@pytest.mark.parametrize("event", list(Event))
def test_nothing_happens_to_a_removed_camera(event: Event) -> None:
    with pytest.raises(KeyError):
        after(Event.REMOVED, event)


def test_waits_double_to_thirty_seconds_and_are_spread() -> None:
    backoff = Backoff(random.Random(5))
    delays = [backoff.failed() for _ in range(9)]
    for index, delay in enumerate(delays):
        plain = min(LONGEST_DELAY, FIRST_DELAY * 2**index)
        assert plain * (1 - SPREAD) <= delay <= plain * (1 + SPREAD)


def test_cameras_lost_together_do_not_come_back_together() -> None:
    delays = [Backoff(random.Random(seed)).failed() for seed in range(64)]
    assert len({round(delay, 2) for delay in delays}) > 30


def test_64_cameras_of_a_recorder_that_was_away_are_back_within_three_seconds_and_never_all_at_once() -> None:
    away, gone = 20.0, []
    tries = []
    for seed in range(64):
        backoff = Backoff(random.Random(seed))
        now = backoff.failed(absent=True)  # the box starts, all at once
        while now < away:
            tries.append(now)
            now += backoff.failed(absent=True)
        gone.append(now - away)
        tries.append(now)
    assert max(gone) < ABSENT_DELAYS[1]
    at_once = max(sum(start <= each < start + 0.1 for each in tries) for start in sorted(tries))
    assert at_once <= 64 / 3
    assert len(tries) < 64 * away / 0.8


def test_a_source_that_is_never_there_is_one_loss_however_often_it_is_tried() -> None:
    lost = after(Event.FAILED)
    again = lost.after(Event.BACKOFF_OVER).after(Event.FAILED, "the camera refuses")
    assert again == lost  # and so nothing is told
    otherwise = again.after(Event.STALLED, "it says nothing").after(Event.FAILED, "it is not there")
    assert (otherwise.reason, otherwise.restarts) == ("it is not there", 1)
    assert otherwise.after(Event.FRAME).after(Event.FAILED, "it is not there").restarts == 2


def test_frozen_is_a_notice_until_pictures_move() -> None:
    frozen = after(Event.FRAME).after(Event.FROZEN, "frozen: the same picture")
    assert (frozen.state, frozen.reason, frozen.restarts) == (CameraState.RUNNING, "frozen: the same picture", 0)
    assert frozen.after(Event.FRAME).reason == ""


def test_a_steady_run_makes_the_next_wait_short_again() -> None:
    backoff = Backoff(random.Random(1))
    for _ in range(6):
        backoff.failed()
    backoff.frame(100.0)
    backoff.frame(100.0 + STEADY)
    assert backoff.failed() <= FIRST_DELAY * (1 + SPREAD)


def test_a_camera_that_comes_and_goes_is_not_hammered() -> None:
    backoff = Backoff(random.Random(1))
    for now in range(6):
        backoff.failed()
        backoff.frame(float(now))
    assert backoff.failed() >= LONGEST_DELAY * (1 - SPREAD)
