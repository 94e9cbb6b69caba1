"""Fewer frames of the cameras that add least under overload, more again with room, and no swinging in between."""

from __future__ import annotations

import pytest

from agent.offload.rates import OVERLOAD_SECONDS, STEP_SECONDS, Rates, Setting, Wanted
from protos.ids import CameraName

NOW = 1000.0
NAMES = [CameraName(f"camera-{number:02}") for number in range(16)]
ALIKE = dict.fromkeys(NAMES, Wanted(10.0))
GATE = NAMES[3]


def overloaded(rates: Rates, cameras: dict[CameraName, Wanted], shed: float = 0.5) -> dict[CameraName, Setting]:
    """At NOW, for long enough to be acted on."""
    rates.step(cameras, shed, 1.0, NOW - OVERLOAD_SECONDS)
    return rates.step(cameras, shed, 1.0, NOW)


class Box:
    """Runs so many frames a second, and sheds the rest."""

    def __init__(self, rates: Rates, capacity: float, cameras: dict[CameraName, Wanted] = ALIKE) -> None:
        self.rates, self.capacity, self.cameras, self.now = rates, capacity, cameras, NOW
        self.changes = 0

    def live(self, seconds: float) -> dict[CameraName, Setting]:
        settings = self.rates.step(self.cameras, 0.0, 0.9, self.now)
        for _ in range(int(seconds / STEP_SECONDS)):
            self.now += STEP_SECONDS
            offered = sum(setting.rate * 0.6**setting.smaller for setting in settings.values())
            shed, busy = max(0.0, 1 - self.capacity / offered), min(1.0, offered / self.capacity)
            before, settings = settings, self.rates.step(self.cameras, shed, busy, self.now)
            self.changes += sum(before[name] != settings[name] for name in settings)
        return settings


def test_sixteen_cameras_at_twice_the_box_come_to_equal_rates_that_it_keeps_up_with() -> None:
    box = Box(Rates(floor=1.0), 80.0)
    rates = [setting.rate for setting in box.live(60).values()]
    assert 60.0 <= 0.98 * sum(rates) <= 80.0, "at most 2 % of the frames are too many"
    assert sum(rates) ** 2 / (16 * sum(rate**2 for rate in rates)) >= 0.98, "Jain's index"


def test_half_a_minute_is_enough_to_come_down() -> None:
    assert 0.98 * sum(setting.rate for setting in Box(Rates(floor=1.0), 80.0).live(30).values()) <= 80.0


def test_what_has_come_down_stays_while_nothing_changes() -> None:
    box = Box(Rates(floor=1.0), 80.0)
    box.live(120)
    box.changes = 0
    box.live(120)
    assert box.changes <= 60, "of 960 that could be: half a frame more when there is room, and back"


def test_with_room_the_cameras_come_back_to_what_they_were() -> None:
    box = Box(Rates(floor=1.0), 80.0)
    box.live(60)
    box.capacity = 400.0
    settings = box.live(600)
    assert {setting.rate for setting in settings.values()} == {10.0}
    assert not box.rates.lowered


def test_a_camera_that_is_worth_more_keeps_more() -> None:
    rates = Box(Rates(floor=1.0), 80.0, {**ALIKE, GATE: Wanted(10.0, worth=5.0)}).live(60)
    assert rates[GATE].rate == 10.0
    assert max(rates[name].rate for name in NAMES if name != GATE) < 10.0


def test_a_camera_in_which_nothing_moves_gives_way() -> None:
    rates = Box(Rates(floor=1.0), 140.0, {**ALIKE, GATE: Wanted(10.0, motion=0.1)}).live(30)
    assert rates[GATE].rate == min(setting.rate for setting in rates.values()) < 10.0


def test_no_camera_goes_below_its_floor_and_then_its_frames_become_smaller() -> None:
    settings = Box(Rates(floor=4.0, sizes=3), 10.0).live(120)
    assert {setting.rate for setting in settings.values()} == {4.0}
    assert {setting.smaller for setting in settings.values()} == {2}
    assert Box(Rates(floor=4.0), 10.0).live(120)[GATE].smaller == 0, "of one size"


def test_a_camera_configured_below_the_floor_keeps_its_rate() -> None:
    assert Box(Rates(floor=4.0), 10.0, {GATE: Wanted(2.0)}).live(30)[GATE].rate == 2.0


def test_between_overload_and_room_nothing_changes() -> None:
    rates = Rates(floor=1.0)
    for number in range(50):
        assert rates.step(ALIKE, 0.01, 0.9, NOW + 2 * number)[GATE].rate == 10.0


def test_a_box_that_always_runs_and_gives_nothing_up_is_just_full() -> None:
    rates = Rates(floor=1.0)
    for number in range(50):
        assert rates.step(ALIKE, 0.0, 1.0, NOW + 2 * number)[GATE].rate == 10.0


@pytest.mark.parametrize(("seconds", "lowered"), [(9.9, False), (10.0, True)])
def test_overload_that_does_not_last_lowers_nothing(seconds: float, lowered: bool) -> None:
    rates = Rates(floor=1.0)
    for after in (0.0, 0.5 * seconds, seconds):
        given = rates.step({GATE: Wanted(10.0)}, 0.5, 1.0, NOW + after)
    assert (given[GATE].rate < 10.0) is lowered


def test_a_calm_step_between_begins_overload_anew() -> None:
    rates = Rates(floor=1.0)
    for after, shed in ((0.0, 0.5), (6.0, 0.02), (12.0, 0.5)):
        assert rates.step({GATE: Wanted(10.0)}, shed, 1.0, NOW + after)[GATE].rate == 10.0


@pytest.mark.parametrize(("after", "changes"), [(3.9, False), (4.0, True)])
def test_a_camera_that_changed_stays_so_for_a_while(after: float, changes: bool) -> None:
    rates = Rates(floor=1.0)
    once = overloaded(rates, {GATE: Wanted(10.0)})[GATE]
    assert once.rate == 8.0
    assert (rates.step({GATE: Wanted(10.0)}, 0.5, 1.0, NOW + after)[GATE] != once) is changes


@pytest.mark.parametrize(("seconds", "rate"), [(8.0, 8.0), (10.0, 8.5)])
def test_ten_seconds_of_room_in_a_row_give_half_a_frame_more(seconds: float, rate: float) -> None:
    rates = Rates(floor=1.0)
    overloaded(rates, {GATE: Wanted(10.0)})
    for after in (-8.0, -6.0, -4.0, -2.0, 0.0, seconds):
        given = rates.step({GATE: Wanted(10.0)}, 0.0, 0.5, NOW + 10 + after)
    assert given[GATE].rate == rate
    rates.step({GATE: Wanted(10.0)}, 0.0, 0.8, NOW + 30)
    assert rates.step({GATE: Wanted(10.0)}, 0.0, 0.5, NOW + 32)[GATE].rate == rate, "the row begins anew"


@pytest.mark.parametrize(("lost", "raised"), [(0.04, True), (0.06, False)])
def test_a_frame_lost_now_and_then_takes_no_room(lost: float, raised: bool) -> None:
    """One of fifty in two seconds is no more than chance, where there are no others."""
    rates = Rates(floor=1.0)
    overloaded(rates, {GATE: Wanted(10.0)})
    for step in range(1, 13):
        given = rates.step({GATE: Wanted(10.0)}, lost * (step % 5 == 4), 0.5, NOW + 2 * step)
    assert (given[GATE].rate > 8.0) is raised


def test_with_a_cloud_to_help_it_a_full_box_has_room() -> None:
    rates = Rates(floor=1.0)
    overloaded(rates, {GATE: Wanted(10.0)})
    for step in range(1, 14):
        given = rates.step({GATE: Wanted(10.0)}, 0.0, 1.0, NOW + 2 * step, helped=True)
    assert given[GATE].rate > 8.0


def test_a_box_that_rests_most_of_the_time_is_not_short_of_it_whatever_is_lost() -> None:
    rates = Rates(floor=1.0)
    for step in range(20):
        assert rates.step({GATE: Wanted(10.0)}, 0.3, 0.39, NOW + 2 * step)[GATE].rate == 10.0


def test_of_cameras_worth_the_same_the_fastest_gives_way_first() -> None:
    given = overloaded(Rates(floor=1.0), {NAMES[0]: Wanted(5.0), GATE: Wanted(20.0)}, 0.1)
    assert (given[GATE].rate, given[NAMES[0]].rate) == (16.0, 5.0)


def test_cameras_that_come_go_or_are_configured_anew_are_followed() -> None:
    rates = Rates(floor=1.0)
    overloaded(rates, {GATE: Wanted(10.0)})
    assert rates.step({GATE: Wanted(5.0), NAMES[0]: Wanted(3.0)}, 0.0, 0.9, NOW + 2) == {
        GATE: Setting(5.0),
        NAMES[0]: Setting(3.0),
    }
    assert rates.step({GATE: Wanted(12.0)}, 0.0, 0.9, NOW + 3) == {GATE: Setting(12.0)}
    assert rates.step({}, 0.0, 0.9, NOW + 4) == {}


def test_a_floor_that_is_raised_raises_what_lies_below_it_at_once() -> None:
    rates = Rates(floor=1.0)
    assert overloaded(rates, {GATE: Wanted(10.0)})[GATE].rate == 8.0
    rates.floor = 9.0
    assert rates.step({GATE: Wanted(10.0)}, 0.5, 1.0, NOW + 2)[GATE].rate == 9.0


def test_a_release_of_fewer_sizes_is_not_made_smaller_than_it_can() -> None:
    rates = Rates(floor=10.0, sizes=3)
    assert overloaded(rates, {GATE: Wanted(10.0)})[GATE].smaller == 1
    rates.sizes = 1
    assert rates.step({GATE: Wanted(10.0)}, 0.0, 0.9, NOW + 2) == {GATE: Setting(10.0)}
    assert not rates.lowered
