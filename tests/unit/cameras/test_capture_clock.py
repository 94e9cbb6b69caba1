"""When a picture was captured, by cameras whose clocks are wrong, drift, are set, and lie behind bad networks."""

from __future__ import annotations

import itertools
import statistics

import pytest

from agent.cameras.capture_clock import LONGEST_SETTLED, SETTLED, WINDOW, CaptureClock
from agent.cameras.pacer import LONGEST_DELAY
from tests.sim.camera_clock import Sent, SimCamera

DAY = 86_400.0


def shown(camera: SimCamera, seconds: float = 120.0) -> list[tuple[Sent, float, str]]:
    clock = CaptureClock()
    return [(sent, *clock.captured(sent.stream_time, sent.sent, sent.arrival)) for sent in camera.film(seconds)]


def errors(camera: SimCamera, seconds: float = 120.0, after: float = 10.0) -> list[float]:
    """Seconds by which pictures are said to be younger than they are, from `after` on."""
    return [captured - sent.taken for sent, captured, _ in shown(camera, seconds)[round(10 * after) :]]


def sources(camera: SimCamera, seconds: float = 120.0) -> list[str]:
    return [source for _, _, source in shown(camera, seconds)]


def test_a_camera_without_reports_is_timed_by_arrival() -> None:
    assert set(sources(SimCamera(), 1.0)) == {"arrival"}


def test_with_reports_it_is_timed_by_them_once_the_estimate_has_settled() -> None:
    said = sources(SimCamera(), 10.0)
    assert said == ["arrival"] * said.index("rtcp") + ["rtcp"] * said.count("rtcp")
    assert said.index("rtcp") == pytest.approx(10 * (1.0 + SETTLED), abs=2)


@pytest.mark.parametrize("days", [-400, -1 / 24, 0, 30, 400, -20_000])
def test_a_wall_clock_may_be_wrong_by_any_amount(days: float) -> None:
    assert max(map(abs, errors(SimCamera(days * DAY, jitter=0.3)))) < 0.06


@pytest.mark.parametrize("drift", [-200e-6, 200e-6])
def test_drift_is_followed_for_hours(drift: float) -> None:
    found = errors(SimCamera(DAY, drift, jitter=0.2), 2 * 3600, after=60)
    assert max(found) - min(found) < 0.03 + 200e-6 * WINDOW


def test_a_media_clock_that_runs_wrong_does_not_matter_once_reports_come() -> None:
    found = errors(SimCamera(media_drift=-2e-3, jitter=0.1), 1800)
    assert max(map(abs, found)) < 0.06


def test_times_are_steadier_than_arrivals_on_a_network_that_varies() -> None:
    film = shown(SimCamera(-3 * DAY, jitter=0.3, loss=0.1))[100:]
    arrived = statistics.pstdev(sent.arrival - sent.taken for sent, _, _ in film)
    assert statistics.pstdev(captured - sent.taken for sent, captured, _ in film) < arrived / 10


def test_lost_pictures_do_not_disturb_it() -> None:
    assert max(map(abs, errors(SimCamera(DAY, jitter=0.2, loss=0.5)))) < 0.06


@pytest.mark.parametrize("step", [-400 * DAY, -3600.0, -1.0, 1.0, 3600.0, 400 * DAY])
def test_a_wall_clock_that_is_set_is_seen_at_once_and_no_time_jumps(step: float) -> None:
    film = shown(SimCamera(jitter=0.2, steps={60.0: step}), 120)
    assert max(abs(captured - sent.taken) for sent, captured, _ in film[100:]) < 0.1
    said = [source for _, _, source in film]
    assert said[599] == "rtcp"
    assert said[600] == "arrival"
    assert said[-1] == "rtcp"


def test_a_media_clock_that_was_set_starts_the_estimate_anew() -> None:
    film = shown(SimCamera(media_steps={60.0: -50.0}), 120)
    assert [film[index][2] for index in (599, 600, -1)] == ["rtcp", "arrival", "rtcp"]
    assert max(abs(captured - sent.taken) for sent, captured, _ in film) < 0.1


def test_reports_that_are_wrong_again_and_again_are_believed_less_and_less() -> None:
    said = sources(SimCamera(steps=dict.fromkeys(range(5, 1800, 5), 90.0)), 1800)
    assert said[600:].count("rtcp") == 0
    settled = CaptureClock()._reports
    for number in range(20):
        settled.captured(float(number), 1e6 * number, float(number))
    assert settled._settled == LONGEST_SETTLED


def test_reports_that_are_a_picture_off_move_times_by_no_more_than_that_and_never_back() -> None:
    film = shown(SimCamera(sloppy=0.2, jitter=0.1))
    assert max(abs(captured - sent.taken) for sent, captured, _ in film) < 0.45
    assert all(later[1] >= earlier[1] for earlier, later in itertools.pairwise(film))


def test_a_wall_clock_that_is_set_by_little_again_and_again_makes_no_picture_too_old() -> None:
    film = shown(SimCamera(steps={float(at): -0.45 for at in range(20, 60)}))
    assert min(captured - sent.arrival for sent, captured, _ in film) >= -LONGEST_DELAY


def test_a_way_that_became_longer_for_good_is_followed_within_the_window() -> None:
    clock = CaptureClock()
    for number in range(1200):
        at, longer = number / 10, 0.4 if number >= 600 else 0.0
        captured, _ = clock.captured(at, 5e6 + at, 100 + at + longer)
    assert captured == pytest.approx(100 + at + 0.4, abs=0.01)


def test_no_picture_is_later_than_its_arrival_too_old_or_before_the_one_before_it() -> None:
    camera = SimCamera(jitter=2.0, loss=0.2, sloppy=0.6, steps={20.0: -9.0, 40.0: 3.0}, media_steps={30.0: 4.0})
    last = float("-inf")
    for sent, captured, _ in shown(camera):
        assert sent.arrival - LONGEST_DELAY <= captured <= sent.arrival
        assert captured >= last
        last = captured
