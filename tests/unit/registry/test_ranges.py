"""Byte ranges as boxes and browsers ask for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.registry.ranges import Span, requested


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, (0, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=4-", (4, 10)),
        ("bytes=4-6", (4, 7)),
        ("bytes=4-99", (4, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes = 4 - 6", (4, 7)),
        ("bytes=0-1,4-5", (0, 10)),  # several: the whole is a correct answer
        ("bytes=-", (0, 10)),
        ("items=0-1", (0, 10)),
        ("nonsense", (0, 10)),
        (f"bytes={'9' * 5000}-", (0, 10)),  # more digits than an integer is read from
    ],
)
def test_what_is_asked_for_is_given(header: str | None, span: tuple[int, int]) -> None:
    assert requested(header, 10) == Span(*span, 10)


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=11-12", "bytes=7-6", "bytes=-0"])
def test_what_lies_outside_is_not_satisfiable(header: str) -> None:
    assert requested(header, 10) is None


def test_an_empty_file_is_given_whole() -> None:
    assert requested(None, 0) == Span(0, 0, 0)


@given(st.text(max_size=20), st.integers(0, 100))
def test_no_header_makes_a_span_outside_of_the_file(header: str, size: int) -> None:
    span = requested(f"bytes={header}", size)
    assert span is None or 0 <= span.start <= span.stop <= size


def test_the_header_of_an_answer_counts_inclusively() -> None:
    assert Span(4, 7, 10).header == "bytes 4-6/10"
