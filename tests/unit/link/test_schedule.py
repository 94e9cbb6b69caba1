"""When a box syncs: values in, times out."""

from __future__ import annotations

import random

import pytest

from agent.link.schedule import LONGEST_INTERVAL, REFUSED_SECONDS, SOON_SECONDS, Schedule

NOW = 1_000.0


def schedule(interval: float = 15.0) -> Schedule:
    made = Schedule(interval, random.Random(1))
    made.started()
    return made


def waits(made: Schedule, times: int) -> list[float]:
    found = []
    for _ in range(times):
        made.started()
        made.failed(NOW)
        found.append(made.due - NOW)
    return found


def test_the_first_sync_is_at_once() -> None:
    assert Schedule().due < 0


def test_without_news_it_syncs_each_interval_within_a_fifth() -> None:
    made = schedule()
    found = []
    for _ in range(500):
        made.started()
        made.succeeded(NOW, 15.0)
        found.append(made.due - NOW)
    assert 12.0 <= min(found) < 12.5
    assert 17.5 < max(found) <= 18.0


def test_desired_state_sets_the_interval_within_reason() -> None:
    made = schedule()
    made.succeeded(NOW, 1e9)
    assert made.due - NOW <= LONGEST_INTERVAL * 1.2
    made.succeeded(NOW, 0)
    assert made.interval == LONGEST_INTERVAL


def test_a_hint_makes_it_immediate() -> None:
    made = schedule()
    made.succeeded(NOW, 15.0)
    made.hinted(NOW + 1)
    assert made.due == NOW + 1


def test_a_hint_during_a_sync_asks_for_another_one() -> None:
    made = schedule()
    made.hinted(NOW)
    made.succeeded(NOW, 15.0)
    assert made.due == NOW


def test_changes_that_come_together_travel_together() -> None:
    made = schedule()
    made.succeeded(NOW, 15.0)
    for tick in range(5):
        made.changed(NOW + tick / 100)
    assert made.due == NOW + SOON_SECONDS


def test_away_it_backs_off_up_to_the_interval() -> None:
    found = waits(schedule(), 8)
    assert found[0] == pytest.approx(1.0, rel=0.21)
    assert found[2] == pytest.approx(4.0, rel=0.21)
    assert max(found) <= 15.0 * 1.2


def test_a_change_on_the_box_does_not_defeat_the_back_off() -> None:
    made = schedule()
    made.failed(NOW)
    due = made.due
    made.changed(NOW)
    assert made.due == due


def test_a_hint_ends_the_back_off_for_the_control_plane_is_there() -> None:
    made = schedule()
    made.failed(NOW)
    made.hinted(NOW)
    assert made.due == NOW


def test_a_deleted_box_asks_rarely() -> None:
    made = schedule()
    made.refused(NOW)
    assert made.due - NOW >= REFUSED_SECONDS * 0.8


def test_after_an_answer_the_back_off_starts_small_again() -> None:
    made = schedule()
    waits(made, 6)
    made.started()
    made.succeeded(NOW, 15.0)
    assert waits(made, 1)[0] < 1.3


def test_the_other_side_may_ask_for_patience() -> None:
    made = schedule()
    made.failed(NOW, 30.0)
    assert made.due - NOW >= 24.0
