"""What is told of things at lines and in zones: each crossing, stay and dwelling once, whatever boxes tremble."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from agent.pipeline.zones import tagged
from agent.tracking.rules import Marks, Rules
from agent.tracking.tracker import KEEP_SECONDS, Tracker
from agent.types import Direction, Happening, Line, What, Zone
from tests.sim.walking import Walker, Way, moments, straight, through, trembled, visible

GATE = Line("gate", ((0.5, 0.9), (0.5, 0.3)))  # from below upwards: the right of it is the right of the picture
YARD = Zone("yard", ((0.4, 0.4), (0.8, 0.4), (0.8, 0.8), (0.4, 0.8)), dwell_seconds=5.0)
LINE, ZONE = Marks(lines=(GATE,)), Marks(zones=(YARD,))


def happened(
    marks: Marks, walkers: Iterable[Walker], times: Iterable[float], tremble: float = 0.02
) -> list[tuple[float, Happening]]:
    """With the second it was told at."""
    tracker, rules, chance, told = Tracker(), Rules(), random.Random(5), []
    for time in times:
        boxes = [trembled(walker.box(time - 100), chance, tremble) for walker in visible(walkers, time - 100)]
        boxes = list(tagged(boxes, marks.zones))
        seen = tracker.see(boxes, time)
        found = [each for track in seen.ended for each in rules.ended(marks, track)]
        for box, track in zip(boxes, seen.tracks, strict=True):
            found += rules.saw(marks, track, box, time) if track else []
        told += [(round(time - 100, 3), each) for each in found]
    assert len(rules) <= len(tracker)
    return told


def crossings(way: Way, rate: float = 5, seconds: float = 12, **walker: object) -> list[tuple[str, Direction | None]]:
    told = happened(LINE, [Walker(way, **walker)], moments(seconds, rate))  # type: ignore[arg-type]  # a shorthand
    assert all(each.what is What.CROSSED for _, each in told)
    return [(each.place, each.direction) for _, each in told]


@pytest.mark.parametrize("rate", [2, 5, 25])
def test_a_line_is_crossed_once_and_the_direction_is_seen_from_its_first_point(rate: float) -> None:
    assert crossings(straight((0.2, 0.6), (0.06, 0)), rate) == [("gate", Direction.TO_RIGHT)]
    assert crossings(straight((0.8, 0.6), (-0.06, 0)), rate) == [("gate", Direction.TO_LEFT)]


def test_a_line_drawn_the_other_way_round_has_the_other_directions() -> None:
    other = Marks(lines=(Line("gate", (GATE.points[1], GATE.points[0])),))
    [(_, crossed)] = happened(other, [Walker(straight((0.2, 0.6), (0.06, 0)))], moments(12, 5))
    assert crossed == Happening(What.CROSSED, "gate", "person", 1, Direction.TO_LEFT)


def test_the_foot_crosses_and_not_the_head() -> None:
    lying = Marks(lines=(Line("kerb", ((0.1, 0.6), (0.9, 0.6))),))
    assert happened(lying, [Walker(straight((0.3, 0.55), (0.03, 0)))], moments(10, 5)) == []
    below = Walker(straight((0.3, 0.65), (0.03, 0)))  # its box lies across the line all the time
    assert happened(lying, [below], moments(10, 5)) == []


def test_a_thing_that_trembles_on_the_line_is_told_once() -> None:
    """A wide one, so that each side of its box is off by half a percent of the picture."""
    to_the_line = through((0, 0.3, 0.6), (3, 0.5, 0.6), (23, 0.5, 0.6), (26, 0.7, 0.6))
    assert crossings(to_the_line, 10, 30, wide=0.25) == [("gate", Direction.TO_RIGHT)]


def test_a_thing_that_turns_round_on_the_line_did_not_cross_it() -> None:
    assert crossings(through((0, 0.3, 0.6), (3, 0.5, 0.6), (8, 0.5, 0.6), (11, 0.3, 0.6))) == []


def test_a_thing_that_comes_back_is_told_both_ways() -> None:
    to_and_fro = through((0, 0.3, 0.6), (4, 0.7, 0.6), (6, 0.7, 0.6), (10, 0.3, 0.6))
    assert crossings(to_and_fro) == [("gate", Direction.TO_RIGHT), ("gate", Direction.TO_LEFT)]


@pytest.mark.parametrize("foot", [0.2, 0.97])
def test_beyond_its_ends_the_line_is_none(foot: float) -> None:
    assert crossings(straight((0.2, foot), (0.06, 0))) == []


def test_a_thing_hidden_while_it_crosses_is_told_when_it_is_back() -> None:
    told = happened(LINE, [Walker(straight((0.2, 0.6), (0.06, 0)), hidden=((4.0, 6.0),))], moments(12, 5))
    assert [each.direction for _, each in told] == [Direction.TO_RIGHT]
    assert told[0][0] >= 6.0


def test_a_thing_seen_first_on_one_side_and_known_on_the_other_has_crossed() -> None:
    assert crossings(straight((0.42, 0.6), (0.15, 0)), 1, 3, wide=0.2) == [("gate", Direction.TO_RIGHT)]


def test_a_line_drawn_while_things_stand_about_is_not_crossed_by_that() -> None:
    tracker, rules = Tracker(), Rules()
    walker = Walker(through((0, 0.3, 0.6), (4, 0.7, 0.6)))
    for time in moments(10, 5):
        box = walker.box(time - 100)
        [track] = tracker.see([box], time).tracks
        if track:
            assert rules.saw(LINE if time > 107 else Marks(), track, box, time) == []


def words(told: list[tuple[float, Happening]]) -> list[str]:
    return [each.what.value for _, each in told]


def test_a_zone_is_entered_and_left_once_and_the_stay_is_told() -> None:
    told = happened(ZONE, [Walker(straight((0.2, 0.6), (0.1, 0)))], moments(9, 10))
    assert words(told) == ["entered", "left"]
    assert told[1][1].seconds == pytest.approx(4.0, abs=0.5)  # of 0.4 to 0.8 at 0.1 a second


def test_a_thing_that_trembles_on_the_edge_of_a_zone_enters_it_once() -> None:
    way = through((0, 0.2, 0.6), (3, 0.4, 0.6), (7, 0.4, 0.6), (10, 0.2, 0.6))
    assert words(happened(ZONE, [Walker(way, wide=0.25)], moments(14, 10))) == ["entered", "left"]


@pytest.mark.parametrize("rate", [1, 5, 20])
def test_a_stay_is_told_once_as_dwelling_when_it_is_long_enough(rate: float) -> None:
    told = happened(ZONE, [Walker(straight((0.6, 0.6), (0, 0)))], moments(20, rate))
    assert words(told) == ["entered", "dwelt"]
    assert told[1][1].seconds == pytest.approx(5.0, abs=1 / rate + 0.01)


def test_a_stay_that_is_too_short_is_no_dwelling_and_a_zone_without_a_time_tells_none() -> None:
    assert words(happened(ZONE, [Walker(straight((0.6, 0.6), (0, 0)), ends=4.0)], moments(9, 5))) == ["entered", "left"]
    plain = Marks(zones=(Zone("yard", YARD.points),))
    assert words(happened(plain, [Walker(straight((0.6, 0.6), (0, 0)))], moments(60, 1))) == ["entered"]


def test_a_stay_runs_on_while_the_thing_is_hidden() -> None:
    walker = Walker(straight((0.6, 0.6), (0, 0)), hidden=((1.5, 3.5), (4.0, 5.8)))
    told = happened(ZONE, [walker], moments(8, 10))
    assert words(told) == ["entered", "dwelt"]
    assert told[1][0] == pytest.approx(5.8, abs=0.11)  # seen there again: nobody could say so before


def test_what_vanishes_in_a_zone_left_it_when_it_was_seen_last() -> None:
    told = happened(ZONE, [Walker(straight((0.6, 0.6), (0, 0)), ends=3.0)], moments(9, 10))
    assert words(told) == ["entered", "left"]
    assert told[1][0] == pytest.approx(3.0 + KEEP_SECONDS, abs=0.11)
    assert told[1][1].seconds == pytest.approx(2.9, abs=0.11)


def test_who_comes_back_dwells_anew() -> None:
    way = through((0, 0.6, 0.6), (6, 0.6, 0.6), (8, 0.2, 0.6), (9, 0.2, 0.6), (11, 0.6, 0.6))
    assert words(happened(ZONE, [Walker(way)], moments(19, 5))) == ["entered", "dwelt", "left", "entered", "dwelt"]


def test_each_thing_is_told_by_its_number_and_label() -> None:
    walkers = [
        Walker(straight((0.2, 0.5), (0.06, 0))),
        Walker(straight((0.8, 0.8), (-0.06, 0)), label="truck", wide=0.2),
    ]
    told = happened(LINE, walkers, moments(12, 5))
    assert {(each.label, each.direction) for _, each in told} == {
        ("person", Direction.TO_RIGHT),
        ("truck", Direction.TO_LEFT),
    }
    assert len({each.track for _, each in told}) == 2
