"""Which frames are due, and when they were captured."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.pacer import LONGEST_DELAY, ArrivalClock, LoopClock, Pacer


def chosen(rate: float, times: list[float]) -> list[float]:
    pacer = Pacer(rate)
    return [time for time in times if pacer.due(time)]


def stream(fps: float, seconds: float, start: float = 0.0) -> list[float]:
    return [start + index / fps for index in range(round(fps * seconds))]


@pytest.mark.parametrize(("fps", "rate"), [(10, 10), (30, 10), (25, 10), (30, 12), (15, 10), (60, 60), (29.97, 5)])
def test_the_configured_rate_is_met_on_average(fps: float, rate: float) -> None:
    assert len(chosen(rate, stream(fps, 60))) == pytest.approx(rate * 60, abs=2)


def test_a_camera_slower_than_the_rate_gives_all_it_has() -> None:
    times = stream(4, 10)
    assert chosen(10, times) == times


def test_jitter_costs_no_frame() -> None:
    rng = random.Random(3)
    times = [time + rng.uniform(-0.025, 0.025) for time in stream(10, 60)]
    assert len(chosen(10, times)) >= 599


def test_after_a_gap_the_first_frame_is_due_and_no_lost_ones_are_made_up() -> None:
    times = [*stream(10, 1), *stream(10, 1, start=30.03)]
    assert len(chosen(10, times)) == 20


def test_a_clock_that_jumps_back_does_not_stop_the_stream() -> None:
    times = [*stream(10, 1, start=500), *stream(10, 1)]
    assert len(chosen(10, times)) == 20


@given(
    st.floats(0.1, 60),
    st.lists(st.floats(0.001, 2.0), min_size=1, max_size=200),
)
def test_never_more_frames_than_the_rate_allows(rate: float, steps: list[float]) -> None:
    pacer, now, due = Pacer(rate), 0.0, 0
    for step in steps:
        due += pacer.due(now)
        now += step
    assert due <= now * rate + 2


def test_a_late_arrival_is_seen_as_old() -> None:
    clock = ArrivalClock()
    for index in range(20):
        clock.captured(index / 10, 100.0 + index / 10)
    held_up = clock.captured(2.0, 102.4)
    assert held_up == pytest.approx(102.0, abs=0.01)


def test_a_capture_is_never_later_than_its_arrival() -> None:
    clock, rng = ArrivalClock(), random.Random(1)
    for index in range(500):
        arrival = 50.0 + index / 10 + rng.uniform(0, 0.3)
        assert clock.captured(index / 10, arrival) <= arrival


def test_a_camera_clock_that_runs_slow_is_followed() -> None:
    clock = ArrivalClock()
    for index in range(36_000):
        captured = clock.captured(index / 10, 10.0 + index / 10 * 1.0001)
    assert captured == pytest.approx(10.0 + 3599.9 * 1.0001, abs=0.01)


def test_a_camera_clock_that_was_set_starts_anew() -> None:
    clock = ArrivalClock()
    clock.captured(1000.0, 20.0)
    assert clock.captured(3.0, 21.0) == 21.0
    assert clock.captured(3.1, 21.1 + LONGEST_DELAY + 1) == 21.1 + LONGEST_DELAY + 1


def test_time_goes_on_across_the_loop() -> None:
    clock, times = LoopClock(), []
    for _ in range(3):
        times += [clock.stream_time(5.0 + index / 10) for index in range(20)]
        clock.start_over()
    assert times == pytest.approx([index / 10 for index in range(60)])


def test_a_file_whose_times_go_back_stands_still_but_never_goes_back() -> None:
    clock = LoopClock()
    times = [clock.stream_time(time) for time in (0.0, 0.2, 0.1, 0.3)]
    assert times == sorted(times)


def test_seconds_that_a_source_left_out_are_frames_missed_and_no_fraction_is_lost() -> None:
    pacer = Pacer(10.0)
    assert [pacer.missed(seconds) for seconds in (0.0, 1.25, 0.0, 0.05, 0.3)] == [0, 12, 0, 1, 3]
