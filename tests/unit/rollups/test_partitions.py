"""Which parts of a table there should be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.partitions.domain import AHEAD, DAY_MS, HOURS, RECORDS, Part, days, plan, slack_ms

NOW = 20_000 * DAY_MS + 5
WEEK = 7 * DAY_MS


def test_the_first_parts_are_of_today_and_the_days_to_come() -> None:
    found = plan(RECORDS[0], [], NOW, WEEK)
    assert found.make == (Part(20_000, 20_001), Part(20_001, 20_002), Part(20_002, 20_003))
    assert found.drop == ()


def test_a_part_goes_when_the_newest_it_may_hold_is_old() -> None:
    there = [Part(19_992, 19_993), Part(19_993, 19_994), Part(20_000, 20_003)]
    assert plan(RECORDS[0], there, NOW, WEEK).drop == (Part(19_992, 19_993),)
    assert plan(RECORDS[0], there, NOW - 10, WEEK).drop == ()


def test_a_part_in_the_unit_of_its_column() -> None:
    part, *_ = plan(HOURS[0], [], NOW, 800 * DAY_MS).make
    assert (part.first, part.last) == (20_000 // 32 * 32 * DAY_MS, (20_000 // 32 + 1) * 32 * DAY_MS)


@given(
    kept=st.lists(st.integers(60_000, 3_650 * DAY_MS), min_size=1, max_size=6),
    gaps=st.lists(st.integers(0, 50), min_size=6),
)
def test_parts_never_overlap_and_hold_today_and_what_comes_however_the_settings_change(
    kept: list[int], gaps: list[int]
) -> None:
    there: list[Part] = []
    for kept_ms, days_on in zip(kept, gaps, strict=False):
        now = NOW + days_on * DAY_MS
        found = plan(RECORDS[0], there, now, kept_ms)
        there = sorted({*there, *found.make} - {*found.drop})
        assert all(one.last <= other.first for one, other in itertools.pairwise(there)), there
        for day in range(now // DAY_MS, now // DAY_MS + AHEAD * days(kept_ms) + 1):
            assert any(part.first <= day < part.last for part in there), day


@pytest.mark.parametrize(("kept", "long"), [(60_000, 1), (WEEK, 1), (30 * DAY_MS, 3), (800 * DAY_MS, 32)])
def test_there_are_few_parts_however_long_rows_are_kept(kept: int, long: int) -> None:
    assert days(kept) == long
    assert slack_ms(kept) == (long * DAY_MS if kept > DAY_MS else 0)
