"""Which box is which thing: numbers stay through occlusions, crossings, lost frames and changing rates."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from agent.tracking.tracker import KEEP_SECONDS, MOST_BOXES, MOST_TRACKS, Seen, Tracker
from agent.types import Box
from tests.sim.walking import Walker, moments, straight, through, trembled, visible


def numbers(
    walkers: list[Walker], times: Iterable[float], tremble: float = 0.03, seed: int = 1
) -> dict[int, list[int]]:
    """The numbers each walker was given, by its place in `walkers`, each once and in order; 0 is left out."""
    tracker, chance = Tracker(), random.Random(seed)
    given: dict[int, list[int]] = {index: [] for index in range(len(walkers))}
    for time in times:
        there = visible(walkers, time - 100)
        boxes = [trembled(walker.box(time - 100), chance, tremble) for walker in there]
        for walker, track in zip(there, tracker.see(boxes, time).tracks, strict=True):
            told = given[walkers.index(walker)]
            if track is not None and track.number not in told:
                told.append(track.number)
    return given


@pytest.mark.parametrize("rate", [1, 2, 5, 10, 30])
def test_a_thing_keeps_its_number_at_any_rate(rate: float) -> None:
    assert numbers([Walker(straight((0.1, 0.6), (0.05, 0.01)))], moments(12, rate)) == {0: [1]}


def test_a_rate_that_changes_and_frames_that_are_lost_change_no_number() -> None:
    chance = random.Random(4)
    times = [*moments(4, 30), *moments(4, 3, 104.1), *moments(8, 10, 108.5)]
    kept = [time for time in times if chance.random() > 0.3]
    walkers = [Walker(straight((0.1, 0.5 + row / 10), (0.04 - row / 100, 0))) for row in range(5)]
    assert numbers(walkers, kept) == {row: [row + 1] for row in range(5)}


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("rate", [2, 5, 15])
def test_a_thing_that_was_hidden_is_the_same_when_it_comes_back(seconds: float, rate: float) -> None:
    walker = Walker(straight((0.1, 0.6), (0.06, 0)), hidden=((4.0, 4.0 + seconds),))
    assert numbers([walker], moments(10, rate)) == {0: [1]}


def test_a_thing_that_stays_away_is_another_when_it_comes_back() -> None:
    walker = Walker(straight((0.5, 0.6), (0, 0)), hidden=((4.0, 4.0 + KEEP_SECONDS + 0.5),))
    assert numbers([walker], moments(12, 5)) == {0: [1, 2]}


@pytest.mark.parametrize("rate", [3, 5, 10])
def test_two_that_cross_behind_each_other_keep_their_numbers(rate: float) -> None:
    """The one behind is hidden while they overlap most."""
    walkers = [
        Walker(straight((0.2, 0.60), (0.06, 0))),
        Walker(straight((0.8, 0.58), (-0.06, 0)), hidden=((4.6, 5.4),)),
    ]
    assert numbers(walkers, moments(10, rate)) == {0: [1], 1: [2]}


def test_things_of_different_labels_never_take_each_others_number() -> None:
    walkers = [
        Walker(straight((0.5, 0.6), (0, 0)), ends=3.0),
        Walker(straight((0.5, 0.6), (0, 0)), label="truck", begins=3.1),
    ]
    assert numbers(walkers, moments(6, 10)) == {0: [1], 1: [2]}


def test_a_thing_is_known_at_its_second_sighting_and_a_faint_one_at_its_third() -> None:
    tracker = Tracker()
    sure, faint = Box(0.1, 0.1, 0.2, 0.3, 0.9, "boat"), Box(0.6, 0.1, 0.7, 0.3, 0.35, "boat")
    told = [tracker.see([sure, faint], 100 + frame / 10).tracks for frame in range(3)]
    assert [[bool(track) for track in frame] for frame in told] == [[False, False], [True, False], [True, True]]


def test_a_faint_box_carries_on_a_thing_that_was_sure() -> None:
    walker = Walker(straight((0.1, 0.6), (0.05, 0)))
    tracker = Tracker()
    told = set()
    for frame, time in enumerate(moments(5, 10)):
        box = walker.box(time - 100)
        seen = tracker.see([Box(box.x0, box.y0, box.x1, box.y1, 0.9 if frame % 4 else 0.31, "person")], time)
        told |= {track.number for track in seen.tracks if track}
    assert told == {1}


def test_a_sure_box_is_matched_before_a_faint_one_that_lies_better() -> None:
    tracker = Tracker()
    thing = Box(0.40, 0.40, 0.50, 0.60, 0.9, "boat")
    for frame in range(4):
        tracker.see([thing], 100 + frame / 10)
    ghost, real = Box(0.40, 0.40, 0.50, 0.60, 0.3, "boat"), Box(0.42, 0.42, 0.52, 0.62, 0.9, "boat")
    assert [track and track.number for track in tracker.see([ghost, real], 100.4).tracks] == [None, 1]


def test_what_flashes_up_once_is_nothing() -> None:
    tracker = Tracker()
    for frame, time in enumerate(moments(20, 5)):
        x, y = frame * 7 % 10 / 10, frame * 3 % 10 / 10
        assert tracker.see([Box(x, y, x + 0.02, y + 0.02, 0.9, "boat")], time).tracks == (None,)
    assert len(tracker) < 10


def test_a_late_frame_moves_nothing_and_gets_the_numbers_of_who_was_there() -> None:
    walkers = [Walker(straight((0.1, 0.6), (0.08, 0))), Walker(straight((0.6, 0.3), (-0.05, 0.02)))]

    def run(late: Callable[[Tracker, float], Seen | None]) -> list[list[int]]:
        tracker, told = Tracker(), []
        for time in moments(4, 10):
            seen = tracker.see([walker.box(time - 100) for walker in walkers], time)
            told.append([track.number for track in seen.tracks if track])
            late(tracker, time)
        return told

    frames: list[Seen] = []

    def ask_again(tracker: Tracker, time: float) -> Seen:
        frames.append(tracker.see([walker.box(time - 100.15) for walker in reversed(walkers)], time - 0.15))
        return frames[-1]

    assert run(ask_again) == run(lambda *_: None)
    assert all(frame.late and not frame.ended for frame in frames)
    assert [track and track.number for track in frames[-1].tracks] == [2, 1]


def test_who_is_given_up_is_told_once() -> None:
    tracker = Tracker()
    box = Box(0.1, 0.1, 0.2, 0.3, 0.9, "boat")
    for frame in range(3):
        tracker.see([box], 100 + frame)
    ended = [[each.number for each in tracker.see([], time).ended] for time in (103, 105, 105.1, 106)]
    assert ended == [[], [], [1], []]
    assert len(tracker) == 0


def test_a_model_that_sees_things_everywhere_fills_no_memory() -> None:
    chance, tracker = random.Random(3), Tracker()
    for time in moments(4, 10):
        corners = [(chance.random() * 0.9, chance.random() * 0.9) for _ in range(300)]
        seen = tracker.see([Box(x, y, x + 0.05, y + 0.05, chance.random(), "boat") for x, y in corners], time)
        assert len(tracker) <= MOST_TRACKS
        assert sum(track is not None for track in seen.tracks) <= MOST_BOXES


def test_the_same_frames_give_the_same_numbers() -> None:
    walkers = [Walker(straight((0.1 * row, 0.4 + 0.05 * row), (0.03, 0.002 * row))) for row in range(8)]
    assert numbers(walkers, moments(8, 7)) == numbers(walkers, moments(8, 7))


@pytest.mark.parametrize(("rate", "pace"), [(1, 0.1), (2, 0.15), (3, 0.2)])
def test_a_thing_that_stops_short_keeps_its_number(rate: float, pace: float) -> None:
    walker = Walker(through((0, 0.2, 0.6), (4, 0.2 + 4 * pace, 0.6)), wide=0.06)
    assert numbers([walker], moments(8, rate)) == {0: [1]}


@pytest.mark.parametrize(("rate", "pace"), [(1, 0.06), (2, 0.1), (3, 0.1), (5, 0.15)])
def test_a_thing_that_turns_on_the_spot_keeps_its_number(rate: float, pace: float) -> None:
    walker = Walker(through((0, 0.2, 0.6), (4, 0.2 + 4 * pace, 0.6), (8, 0.2, 0.6)), wide=0.06)
    assert numbers([walker], moments(8, rate)) == {0: [1]}
