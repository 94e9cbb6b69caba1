"""Which level answers what."""

from __future__ import annotations

import pytest

from controlplane.rollups.domain import Kept, Level, levels_of
from protos.errors import Rejected

NOW = 1_795_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
KEPT = Kept(7 * DAY, 30 * DAY, 800 * DAY)


@pytest.mark.parametrize(
    ("length", "step", "level"),
    [
        (5 * MINUTE, 10_000, Level.RAW),
        (30 * MINUTE, MINUTE, Level.RAW),
        (3 * HOUR, 3 * MINUTE, Level.MINUTE),
        (3 * HOUR, 10_000, Level.RAW),
        (2 * DAY, HOUR, Level.MINUTE),
        (7 * DAY, 3 * HOUR, Level.HOUR),
        (7 * DAY, 30 * MINUTE, Level.MINUTE),
        (400 * DAY, DAY, Level.HOUR),
    ],
)
def test_a_span_is_answered_by_the_finest_level_that_is_few_rows(length: int, step: int, level: Level) -> None:
    assert levels_of(NOW - length, NOW, step, NOW, KEPT)[0] is level


@pytest.mark.parametrize(
    ("age", "step", "level"),
    [(8 * DAY, MINUTE, Level.MINUTE), (31 * DAY, HOUR, Level.HOUR), (900 * DAY, HOUR, Level.HOUR)],
)
def test_what_is_kept_no_longer_is_answered_by_what_still_is(age: int, step: int, level: Level) -> None:
    assert levels_of(NOW - age, NOW - age + MINUTE, step, NOW, KEPT)[0] is level


def test_a_step_finer_than_what_is_kept_is_refused_with_what_to_ask_instead() -> None:
    with pytest.raises(Rejected, match="of so long ago there are only minutes: take a step of whole minutes"):
        levels_of(NOW - 8 * DAY, NOW - 8 * DAY + MINUTE, 10_000, NOW, KEPT)


def test_a_coarser_level_is_kept_at_least_as_long_as_a_finer_one() -> None:
    kept = Kept(60 * DAY, 30 * DAY, DAY)
    assert [kept.of(level) for level in Level] == [60 * DAY] * 3


def test_who_asks_about_many_may_take_a_coarser_one() -> None:
    assert levels_of(NOW - DAY, NOW, HOUR, NOW, KEPT) == [Level.MINUTE, Level.HOUR]
    assert levels_of(NOW - DAY, NOW, MINUTE, NOW, KEPT) == [Level.MINUTE]
