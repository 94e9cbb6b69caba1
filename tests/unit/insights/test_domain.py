"""Adding up how frames ended."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.insights import domain
from controlplane.insights.domain import Span, Window
from protos.errors import Rejected
from protos.outcomes import Outcome

COUNTS = st.dictionaries(st.sampled_from([each.value for each in Outcome]), st.integers(0, 50), max_size=4)


def window(end_ms: int, counts: dict[str, int], camera: str = "quay", p50: float = 0.0) -> Window:
    return Window("quay-1", camera, "harbour", end_ms - 2000, end_ms, counts, p50, 2 * p50, 100)


@given(st.lists(st.tuples(st.integers(2_000, 59_999), COUNTS), max_size=30))
def test_buckets_and_groups_add_up_to_the_whole(given_windows: list[tuple[int, dict[str, int]]]) -> None:
    windows = [window(end, counts, f"camera-{end % 3}") for end, counts in given_windows]
    whole = domain.sums(windows)
    stepped = domain.buckets(windows, Span(0, 60_000, 5_000))
    by_camera = domain.grouped(windows, lambda each: each.camera)
    assert len(stepped) == 12
    assert sum(bucket.sums.due for bucket in stepped) == whole.due
    assert sum(sums.due for sums in by_camera.values()) == whole.due
    assert sum(sums.uplink_bytes for sums in by_camera.values()) == whole.uplink_bytes
    assert whole.in_time <= whole.due


@given(st.lists(st.tuples(st.integers(2_000, 59_999), COUNTS), max_size=30))
def test_spans_that_touch_share_out_every_frame(given_windows: list[tuple[int, dict[str, int]]]) -> None:
    windows = [window(end, counts) for end, counts in given_windows]
    parts = sum((domain.between(windows, at, at + 5_000) for at in range(0, 60_000, 5_000)), Counter[str]())
    due = 1000 * domain.sums(windows).due
    assert due - 2 * len(windows) * len(Outcome) <= parts.total() <= due


def test_a_window_across_an_edge_counts_by_its_share() -> None:
    assert domain.between([window(6_000, {"ok_local": 20})], 0, 4_500) == {"ok_local": 5_000}


def test_only_answers_by_the_deadline_are_in_time() -> None:
    sums = domain.sums([window(1, {"ok_local": 5, "ok_cloud": 3, "ok_hedge": 1, "expired": 2, "stale_track": 4})])
    assert (sums.due, sums.in_time, sums.by_cloud) == (15, 9, 3)


def test_percentiles_are_those_of_a_typical_window_by_frames() -> None:
    windows = [
        window(1, {"ok_local": 80}, p50=0.05),
        window(2, {"ok_local": 1}, p50=9.0),
        window(3, {"ok_local": 90}, p50=0.07),
        window(4, {"shed": 1000}, p50=0.0),
    ]
    assert (domain.sums(windows).p50, domain.sums(windows).p95) == (0.07, 0.14)
    assert domain.sums([]).p50 == 0.0


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0s", 100_000),
        ("10s", 90_000),
        ("1m", 40_000),
        ("1970-01-01T00:01:00Z", 60_000),
        ("1970-01-01T01:00:30+01:00", 30_000),
    ],
)
def test_moments_are_given_as_how_long_ago_or_by_the_clock(text: str, ms: int) -> None:
    assert domain.moment_ms(text, 100_000, "since") == ms


@pytest.mark.parametrize("text", ["", "yesterday", "5", "5 days", "2026-11-23T20:00:00", "-5m"])
def test_other_moments_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(Rejected, match="since"):
        domain.moment_ms(text, 0, "since")


def test_a_span_is_widened_to_whole_steps() -> None:
    assert domain.span(1_001, 9_999, 1_000) == Span(1_000, 10_000, 1_000)


@pytest.mark.parametrize(("since", "until", "step"), [(5, 5, 10), (9, 5, 10), (0, 10, 0), (0, 10**9, 10)])
def test_a_span_that_makes_no_sense_is_refused(since: int, until: int, step: int) -> None:
    with pytest.raises(Rejected):
        domain.span(since, until, step)
