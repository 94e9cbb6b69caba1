"""Which berth starts: a trial three times at most, then what is kept, and what is outside whenever nothing else can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.berths.choice import (
    BERTHS,
    OUTSIDE,
    STARTS,
    Choice,
    candidates,
    counted,
    free,
    from_bytes,
    to_bytes,
)

CHOICES = st.builds(
    Choice, st.sampled_from((OUTSIDE, *BERTHS)), st.sampled_from(("", *BERTHS)), st.integers(0, STARTS + 2)
)


def test_a_trial_starts_three_times_and_then_what_is_kept() -> None:
    choice, started = Choice("a", "b"), []
    for _ in range(STARTS + 2):
        started.append(candidates(choice)[0])
        choice = counted(choice)
    assert started == ["b", "b", "b", "a", "a"]
    assert choice == Choice("a", "b", STARTS)


@given(CHOICES)
def test_what_is_outside_is_always_the_last_resort(choice: Choice) -> None:
    assert candidates(choice)[-1] == OUTSIDE
    assert choice.kept in candidates(choice)


@given(CHOICES, st.sampled_from((OUTSIDE, *BERTHS)))
def test_the_berth_that_is_written_neither_runs_nor_is_kept(choice: Choice, running: str) -> None:
    assert free(choice, running) not in {running, choice.kept}


@given(CHOICES)
def test_a_choice_survives_its_file(choice: Choice) -> None:
    assert from_bytes(to_bytes(choice)) == choice


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 64, b"[]", b"{}", b'{"kept": "c", "trial": "", "starts": 0}', b"[" * 100_000]
)
def test_a_damaged_file_is_no_choice(content: bytes) -> None:
    assert from_bytes(content) == Choice()


def test_fields_of_later_agents_are_passed_over() -> None:
    assert from_bytes(b'{"kept": "a", "trial": "", "starts": 0, "later": [1]}') == Choice("a")
