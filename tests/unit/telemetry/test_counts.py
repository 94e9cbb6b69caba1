"""Counting how frames ended, and which are recorded."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.offload.standing import Link, Routes, Standing
from agent.telemetry.counts import OutcomeWindows, stages
from agent.telemetry.sampling import Sampling
from agent.types import Tap
from protos.decided import Decided
from protos.ids import CameraName, DeploymentName
from protos.outcomes import Outcome, Stage
from tests.sim.telemetry import TAP, finished

OTHER = Tap(CameraName("crane"), DeploymentName("harbour"))
BUSY = Standing(
    Routes(), 1.5, Link(3e6, 0.04), prices={"bits": 0.25, "money": 0.5}, rung="cloud", rung_why="No engine runs."
)


@given(st.lists(st.tuples(st.sampled_from(list(Outcome)), st.booleans()), max_size=200))
def test_counts_over_all_windows_sum_to_the_frames_due(frames: list[tuple[Outcome, bool]]) -> None:
    windows, sums = OutcomeWindows(0), Counter[str]()
    for number, (outcome, cut) in enumerate(frames):
        windows.finished(finished(number, outcome))
        if cut:
            sums += sum((Counter(each.counts) for each in windows.close(number)), Counter[str]())
    closed = windows.close(10_000)
    sums += sum((Counter(each.counts) for each in closed), Counter[str]())
    assert sums == Counter(outcome for outcome, _ in frames)
    assert all(window.due == sum(window.counts.values()) for window in closed)


def test_frames_that_were_never_announced_are_counted_too() -> None:
    windows = OutcomeWindows(0)
    windows.unseen(TAP, Outcome.SUPERSEDED, 3)
    windows.unseen(TAP, Outcome.SUPERSEDED, 0)
    windows.finished(finished())
    (window,) = windows.close(2_000)
    assert window.due == 4
    assert window.counts == {Outcome.SUPERSEDED: 3, Outcome.OK_LOCAL: 1}


def test_each_tap_has_a_window_of_its_own_and_a_silent_one_says_nothing() -> None:
    windows = OutcomeWindows(0)
    windows.finished(finished(tap=OTHER))
    assert [each.tap for each in windows.close(2_000)] == [OTHER]
    assert windows.close(4_000) == []


def test_windows_follow_each_other_without_a_hole() -> None:
    windows = OutcomeWindows(1_000)
    windows.finished(finished())
    (first,) = windows.close(3_000)
    windows.finished(finished())
    (second,) = windows.close(5_000)
    assert (first.start_unix_ms, first.end_unix_ms) == (1_000, 3_000)
    assert (second.start_unix_ms, second.end_unix_ms) == (3_000, 5_000)


def test_a_clock_set_back_makes_no_negative_span() -> None:
    windows = OutcomeWindows(5_000)
    windows.finished(finished())
    (window,) = windows.close(1_000)
    assert window.start_unix_ms <= window.end_unix_ms
    assert windows.start_unix_ms == 1_000


@pytest.mark.parametrize(
    ("milliseconds", "bucket"),
    [(0, 0), (0.99, 0), (1.01, 1), (2, 3), (2.01, 4), (31, 15), (249, 24), (2500, 34), (9999, 35)],
)
def test_a_latency_is_counted_in_the_first_bucket_that_reaches_it(milliseconds: float, bucket: int) -> None:
    windows = OutcomeWindows(0)
    windows.finished(finished(latency=milliseconds / 1000, at=milliseconds / 1000))
    (window,) = windows.close(1)
    assert window.box.frames == (*[0] * bucket, 1)
    assert window.box.seconds == pytest.approx(milliseconds / 1000)


def test_latencies_say_who_answered_and_unanswered_frames_have_none() -> None:
    windows = OutcomeWindows(0)
    windows.finished(finished(outcome=Outcome.OK_LOCAL))
    windows.finished(finished(outcome=Outcome.EXPIRED, latency=0.4))
    windows.finished(finished(outcome=Outcome.OK_CLOUD, where="cloud-1"))
    for outcome in (Outcome.EXPIRED, Outcome.CLOUD_LATE, Outcome.SHED):
        windows.finished(finished(outcome=outcome, release=None, latency=9.0))
    (window,) = windows.close(1)
    assert (window.due, sum(window.box.frames), sum(window.cloud.frames)) == (6, 2, 1)


def test_the_time_of_a_frame_is_told_by_what_it_went_into() -> None:
    told = {"decode": 0.004, "queue": 0.010, "infer": 0.015}
    assert stages(finished(latency=0.030, stages=told)) == pytest.approx(
        {Stage.DECODE: 0.004, Stage.WAIT: 0.006, Stage.INFER: 0.015, Stage.ANSWER: 0.005}
    )
    told = {"decode": 0.004, "encode": 0.006, "cloud": 0.050}
    assert stages(finished(latency=0.070, where="cloud-1", stages=told)) == pytest.approx(
        {Stage.DECODE: 0.004, Stage.ENCODE: 0.006, Stage.CLOUD: 0.050, Stage.WAIT: 0.010}
    )


@given(
    st.floats(0, 5),
    st.dictionaries(st.sampled_from(["decode", "queue", "infer", "encode", "cloud"]), st.floats(0, 5)),
    st.sampled_from(["local", "cloud-1"]),
)
def test_stages_add_up_to_the_latency_however_they_overlap(latency: float, told: dict[str, float], where: str) -> None:
    spent = stages(finished(latency=latency, where=where, stages=told))
    assert sum(spent.values()) == pytest.approx(latency, abs=1e-9)
    assert min(spent.values()) >= -1e-9


def test_the_stages_of_a_window_add_up_to_its_latencies() -> None:
    windows = OutcomeWindows(0)
    windows.finished(finished(latency=0.030, stages={"queue": 0.010, "infer": 0.015}))
    windows.finished(finished(latency=0.070, where="cloud-1", stages={"cloud": 0.050}))
    windows.finished(finished(latency=9.0, release=None, outcome=Outcome.SHED, stages={"queue": 8.0}))
    (window,) = windows.close(1)
    assert sum(window.stages.values()) == pytest.approx(window.box.seconds + window.cloud.seconds)


def test_uplink_bytes_add_up() -> None:
    windows = OutcomeWindows(0)
    for size in (10, 20):
        windows.finished(finished(outcome=Outcome.OK_CLOUD, uplink_bytes=size))
    assert windows.close(1)[0].uplink_bytes == 30


def test_sampling_keeps_to_its_rate_on_average() -> None:
    sampling = Sampling()
    kept = sum(sampling.wanted(TAP, 2.0, 100 + frame * 0.1) for frame in range(100))
    assert kept == pytest.approx(20, abs=1)


def test_sampling_counts_each_tap_alone_and_starts_with_the_first_frame() -> None:
    sampling = Sampling()
    assert sampling.wanted(TAP, 1.0, 5.0)
    assert sampling.wanted(OTHER, 1.0, 5.0)
    assert not sampling.wanted(TAP, 1.0, 5.5)


def test_after_a_pause_sampling_does_not_catch_up() -> None:
    sampling = Sampling()
    assert sampling.wanted(TAP, 2.0, 0.0)
    burst = [sampling.wanted(TAP, 2.0, 60.0 + frame * 0.1) for frame in range(6)]
    assert sum(burst) == 2


def test_sampling_forgets_taps_that_are_gone_when_another_comes() -> None:
    sampling = Sampling()
    for number in range(50):
        assert sampling.wanted(Tap(CameraName(f"camera-{number}"), TAP.deployment), 1.0, 10.0 * number)
    assert len(sampling._next) == 1


def test_a_rate_of_zero_records_nothing() -> None:
    assert not Sampling().wanted(TAP, 0.0, 1.0)


def test_where_frames_went_is_counted_with_the_window_in_which_they_ended() -> None:
    windows = OutcomeWindows(0)
    for route in (Decided.LOCAL, Decided.CLOUD, Decided.LOCAL):
        windows.finished(finished())
        windows.went(TAP, route)
    (window,) = windows.close(2_000)
    assert window.decided == {Decided.LOCAL: 2, Decided.CLOUD: 1}
    windows.finished(finished())
    assert windows.close(4_000)[0].decided == {}


def test_what_was_decided_against_is_told_once_however_many_cameras_a_deployment_has() -> None:
    windows = OutcomeWindows(0)
    windows.finished(finished())
    windows.finished(finished(tap=OTHER))
    assert TAP.deployment == OTHER.deployment
    told, beside = windows.close(2_000, {TAP.deployment: BUSY, DeploymentName("gone"): BUSY})
    assert told.decided == {
        Decided.LOOKS: 1, Decided.LOAD: 1.5, Decided.LINKS: 1, Decided.LINK: 3.0, Decided.RUNG_CLOUD: 1,
        Decided.PRICE_BITS: 0.25, Decided.PRICE_MONEY: 0.5,
    }  # fmt: skip
    assert (told.rung_why, beside.decided, beside.rung_why) == ("No engine runs.", {}, "")


def test_a_look_that_saw_no_way_to_the_cloud_counts_for_no_link() -> None:
    windows = OutcomeWindows(0)
    windows.finished(finished())
    (window,) = windows.close(2_000, {TAP.deployment: Standing(Routes(), 0.5, rung="cpu")})
    assert window.decided == {Decided.LOOKS: 1, Decided.LOAD: 0.5, Decided.RUNG_CPU: 1}
