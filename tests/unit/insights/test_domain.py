"""Adding up how frames ended."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.insights import domain
from controlplane.insights.domain import Latencies, Span, Window
from protos.errors import Rejected
from protos.outcomes import LATENCY_BOUNDS_MS, Outcome

NOBODY = Latencies()
COUNTS = st.dictionaries(st.sampled_from([each.value for each in Outcome]), st.integers(0, 50), max_size=4)


def latencies(*milliseconds: float) -> Latencies:
    """Counted as a box counts them."""
    frames = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    for each in milliseconds:
        frames[bisect_left(LATENCY_BOUNDS_MS, each)] += 1
    return Latencies(frames, sum(milliseconds) / 1000)


def window(
    end_ms: int,
    counts: dict[str, int],
    camera: str = "quay",
    *,
    box: Latencies = NOBODY,
    cloud: Latencies = NOBODY,
) -> Window:
    return Window(end_ms - 2000, end_ms, counts, "quay-1", camera, "harbour", box, cloud, 100)


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
    steps = domain.spread(windows, Span(0, 60_000, 5_000))
    due = 1000 * domain.sums(windows).due
    assert len(steps) == 12
    assert due - 2 * len(windows) * len(Outcome) <= sum(sum(step.values()) for step in steps) <= due
    assert steps == [domain.between(windows, at, at + 5_000) for at in range(0, 60_000, 5_000)]


def test_a_window_across_an_edge_counts_by_its_share() -> None:
    assert domain.between([window(6_000, {"ok_local": 20})], 0, 4_500) == {"ok_local": 5_000}


def test_frames_outside_a_span_do_not_count_in_it() -> None:
    assert domain.between([window(2_000, {"ok_local": 20}), window(9_000, {"ok_local": 20})], 2_000, 7_000) == {}


def test_a_window_without_a_length_counts_whole_at_its_end() -> None:
    """A clock that was set back closes one."""
    given_window = domain.Counts(3_000, 3_000, {"ok_local": 7})
    assert domain.spread([given_window], Span(0, 4_000, 2_000)) == [{}, {"ok_local": 7_000}]


def test_only_answers_by_the_deadline_are_in_time() -> None:
    sums = domain.sums([window(1, {"ok_local": 5, "ok_cloud": 3, "ok_hedge": 1, "expired": 2, "stale_track": 4})])
    assert (sums.due, sums.looked_at, sums.in_time) == (15, 11, 9)


def test_where_inference_ran_is_told_by_who_answered() -> None:
    sums = domain.sums(
        [
            window(1, {"ok_local": 2, "expired": 9}, box=latencies(30, 30, 300)),
            window(2, {"ok_cloud": 1, "cloud_late": 4, "stale_track": 3}, cloud=latencies(90)),
        ]
    )
    assert (sums.box.answered, sums.cloud.answered, sums.answers.answered) == (3, 1, 4)


LATENCY_MS = st.floats(0.1, LATENCY_BOUNDS_MS[-1])


@given(st.lists(st.lists(LATENCY_MS, max_size=20), max_size=8), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_over_many_windows_is_that_of_all_their_frames(windows: list[list[float]], share: float) -> None:
    """Up to the width of the bucket that the true one lies in."""
    sums = domain.sums(window(index, {}, box=latencies(*each)) for index, each in enumerate(windows))
    frames = sorted(latency for each in windows for latency in each)
    if not frames:
        assert sums.answers.percentile(share) == 0.0
        return
    true = frames[-int(-share * len(frames) // 1) - 1]
    bucket = bisect_left(LATENCY_BOUNDS_MS, true)
    lower = LATENCY_BOUNDS_MS[bucket - 1] if bucket else 0.0
    assert lower <= 1000 * sums.answers.percentile(share) <= LATENCY_BOUNDS_MS[bucket] + 1e-9


def test_one_slow_window_moves_the_percentile_of_all_by_its_frames_only() -> None:
    """Of 100 frames, 6 were slow, all in one window: 95 of 100 stayed within what those took."""
    quick = [window(at, {"ok_local": 47}, box=latencies(*[30] * 47)) for at in (1, 2)]
    slow = window(3, {"expired": 6}, box=latencies(*[900] * 6))
    assert 0.025 < domain.sums([*quick, slow]).answers.percentile(0.5) <= 0.032
    assert 0.8 < domain.sums([*quick, slow]).answers.percentile(0.95) <= 1.0


def test_beyond_the_last_bucket_a_percentile_is_its_lower_end() -> None:
    assert latencies(9_999).percentile(0.5) == 2.5


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
