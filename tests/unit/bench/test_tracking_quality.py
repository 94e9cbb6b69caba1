"""What the bench of tracking says of numbers, on runs small enough to count by hand, and a short form of it."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from agent.types import Box
from bench import bench_tracking
from bench.bench_tracking import Case, measured
from bench.tracking_quality import Quality, best_sum
from bench.tracking_scenes import Sight

BOX = Box(0, 0, 1, 1, 0.9, "boat")


def quality(*frames: dict[str, int]) -> Quality:
    """Who had which number, a second apart; 0: missed."""
    made = Quality()
    for second, frame in enumerate(frames):
        found = [who for who, number in frame.items() if number]
        sight = Sight(float(second), tuple(frame), (BOX,) * len(found), tuple(found))
        made.add(sight, [frame[who] for who in found])
    return made


def test_who_keeps_every_number_is_perfect() -> None:
    made = quality(*({"a": 1, "b": 2} for _ in range(5)))
    assert (made.idf1, made.mota, made.switches) == (1.0, 1.0, 0)


def test_a_switch_costs_mota_once_and_idf1_for_as_long_as_it_lasts() -> None:
    made = quality(*({"a": 1} for _ in range(6)), *({"a": 2} for _ in range(4)))
    assert made.switches == 1
    assert made.mota == pytest.approx(1 - 1 / 10)
    assert made.idf1 == pytest.approx(0.6)


def test_what_is_missed_and_what_is_nothing_count_against_it() -> None:
    made = quality({"a": 1}, {"a": 0}, {"a": 1})
    made.add(Sight(3.0, ("a",), (BOX, BOX), ("a", None)), [1, 7])
    assert made.mota == pytest.approx(1 - (1 + 1) / 4)
    assert made.idf1 == pytest.approx(2 * 3 / (4 + 4))


def test_who_comes_back_is_counted_by_how_long_it_was_away() -> None:
    made = quality({"a": 1}, {"a": 0}, {"a": 1}, {"a": 0}, {"a": 5})
    assert (made.hidden[3], made.kept[3]) == (2, 1)  # two seconds each
    assert made.through(3) == 0.5


def test_numbers_are_given_to_things_so_that_most_fits() -> None:
    greedy_is_wrong: dict[tuple[Hashable, Hashable], int] = {("a", 1): 10, ("a", 2): 9, ("b", 1): 9}
    assert best_sum(greedy_is_wrong) == 18
    assert best_sum({("a", 1): 3, ("b", 1): 5, ("c", 1): 4}) == 5
    assert best_sum({("a", number): number for number in range(1, 9)}) == 8
    assert best_sum({}) == 0


def test_in_the_drawn_harbour_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_tracking, "SEEDS", (0, 1))
    told = measured(Case("harbour", 5.0), 12)
    assert told["idf1"] >= 0.9 * told["idf1_perfect"]
    assert told["switches_per_1000_sightings"] < 4
