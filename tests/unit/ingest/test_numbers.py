"""Sets of numbers as ranges, held against Python's own sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controlplane.ingest.numbers import MOST_RANGES, Numbers, ranges

SETS = st.sets(st.integers(1, 60))


def of(numbers: Numbers) -> set[int]:
    spans = [(1, numbers.up_to), *numbers.beyond]
    return {number for first, last in spans for number in range(first, last + 1)}


@given(st.sets(st.integers(1, 200)))
def test_ranges_cover_exactly_the_numbers_in_as_few_as_can_be(numbers: set[int]) -> None:
    found = ranges(numbers)
    assert {number for first, last in found for number in range(first, last + 1)} == numbers
    assert all(found[index][1] + 1 < found[index + 1][0] for index in range(len(found) - 1))


@given(st.lists(SETS, max_size=6))
def test_numbers_hold_what_was_put_in_and_up_to_is_the_last_before_the_first_hole(parts: list[set[int]]) -> None:
    found = Numbers()
    for part in parts:
        found = found.plus(ranges(part))
    wanted = set().union(*parts)
    assert of(found) == wanted == {number for number in range(1, 70) if number in found}
    assert found.count == len(wanted)
    assert found.up_to == next(number for number in range(1, 70) if number not in wanted) - 1
    assert all(first > found.up_to + 1 for first, _ in found.beyond)


def test_of_more_ranges_than_are_kept_the_lowest_are_forgotten() -> None:
    found = Numbers().plus([(number, number) for number in range(3, 2 * MOST_RANGES + 10, 2)])
    assert len(found.beyond) == MOST_RANGES
    assert (3 in found, found.beyond[-1][1] in found) == (False, True)


def test_of_many_ranges_only_those_are_said_that_hold_what_came() -> None:
    found = Numbers().plus([(number, number + 1) for number in range(10, 40, 3)])
    assert found.around({11, 30}, most=100) == found.beyond
    assert found.around({11, 30}, most=3) == ((10, 11),)
    assert found.around({11, 32}, most=3) == ((10, 11), (31, 32))
