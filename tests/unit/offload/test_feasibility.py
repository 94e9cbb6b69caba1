"""Whether all that wait can be in time, and who is given up when not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from agent.offload import feasibility


def test_frames_that_wait_end_one_after_the_other() -> None:
    assert feasibility.ends([10.0], [1.0], 3) == [11.0, 12.0, 13.0]


def test_calls_that_run_at_once_share_what_waits() -> None:
    assert feasibility.ends([10.0, 10.5], [1.0], 4) == [11.0, 11.5, 12.0, 12.5]


def test_frames_of_one_call_end_together_as_far_as_it_is_filled_up() -> None:
    assert feasibility.ends([10.0], [1.0, 1.5], 4) == [11.0, 11.5, 12.5, 13.0]


def test_the_first_miss_is_the_first_that_is_late() -> None:
    assert feasibility.first_miss([11.0, 11.9, 12.0], [11.0, 12.0, 13.0]) == 1
    assert feasibility.first_miss([11.0, 12.0, 13.0], [11.0, 12.0, 13.0]) is None


def test_of_equal_losses_the_last_is_given_up() -> None:
    assert feasibility.cheapest([1.0, 0.5, 0.5, 2.0]) == 2


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 9)), min_size=1, max_size=7))
def test_what_is_kept_is_worth_the_most_of_all_sets_that_can_be_in_time(frames: list[tuple[int, int]]) -> None:
    """Calls of a second each, deadlines and values as drawn: against every subset."""
    kept = sorted(frames)
    while (missed := _missed(kept)) is not None:
        del kept[feasibility.cheapest([value for _, value in kept[: missed + 1]])]
    subsets = itertools.chain.from_iterable(itertools.combinations(sorted(frames), n) for n in range(len(frames) + 1))
    best = max(sum(value for _, value in subset) for subset in subsets if _missed(subset) is None)
    assert sum(value for _, value in kept) == best


def _missed(frames: Sequence[tuple[int, int]]) -> int | None:
    return feasibility.first_miss([due for due, _ in frames], feasibility.ends([0.0], [1.0], len(frames)))
