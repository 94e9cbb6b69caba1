"""One range of bytes is understood; nonsense is as good as no range, and what lies behind the end is told."""

from __future__ import annotations

import pytest

from agent.site import ranges


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, (0, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=99-", (99, 100)),
        ("bytes=10-999", (10, 100)),
        ("bytes=-30", (70, 100)),
        ("bytes=-300", (0, 100)),
        (" bytes=5-5 ", (5, 6)),
    ],
)
def test_a_range_is_those_bytes(header: str | None, part: tuple[int, int]) -> None:
    assert ranges.asked(header, 100) == part


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=20-10", "bytes=0-1,5-9", "lines=1-2", "bytes=--5",
     "bytes=+1-2", "bytes=0x1-0x2", f"bytes={'9' * 400}-", "bytes=\u0663-\u0664"],
)  # fmt: skip
def test_nonsense_is_as_good_as_no_range(header: str) -> None:
    assert ranges.asked(header, 100) == (0, 100)


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=100-", 100), ("bytes=500-600", 100), ("bytes=-0", 100), ("bytes=-5", 0), ("bytes=0-", 0)],
)
def test_what_lies_behind_the_end_is_no_part(header: str, size: int) -> None:
    assert ranges.asked(header, size) is None
