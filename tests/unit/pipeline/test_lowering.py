"""What a lane did, told to the rates: overload lowers cameras, room raises them, and neither is seen for nothing."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from agent.offload.ladder import Facts, Rung, judged
from agent.offload.rates import OVERLOAD_SECONDS, Setting
from agent.offload.terms import Terms
from agent.pipeline.lowering import LEAST_RATE, Lowering, Tally
from protos.outcomes import Outcome
from tests.sim.lane import SECONDS, Box, lane, measured, shares, tap
from tests.sim.lowered import LoweredBox

NOW = 100.0
QUAY = tap().camera


def four(seconds: float, *, floor: float = 1.0, cloud: bool = False, deadline: float = 0.25) -> LoweredBox:
    """Four cameras of ten frames a second, each of which takes so many seconds on the box."""
    made = lane(cloud=cloud, planned=seconds)
    made.agree(replace(made.terms, floor_rate=floor))
    return LoweredBox(made, cameras=4, deadline=deadline, infer=lambda _: seconds)


def test_overload_lowers_all_cameras_alike_until_what_comes_is_answered_and_room_raises_them_again() -> None:
    box = four(0.05)
    box.live(60)
    assert 12.0 <= sum(box.rates()) <= 21.0, "of the 40 that were asked for, 20 can be"
    assert max(box.rates()) <= 1.6 * min(box.rates())
    lost = shares(box.run(10))
    assert sum(lost[outcome] for outcome in (Outcome.SHED, Outcome.SUPERSEDED, Outcome.EXPIRED)) <= 0.05
    assert box.lowering.said.endswith(" of 10 a second")
    box.infer = lambda _: 0.005
    box.live(300)
    assert box.rates() == [10.0] * 4
    assert (box.lowering.rates, box.lowering.said) == ({}, "")


def test_frames_come_evenly_at_the_lowered_rate_and_none_that_is_not_due_is_shed() -> None:
    box = four(0.05)
    box.live(60)
    before, due = {camera: len(at) for camera, at in box.given.items()}, box.due
    ended = box.run(10)
    box.settle()
    for camera, at in box.given.items():
        gaps = [later - earlier for earlier, later in zip(at[before[camera] :], at[before[camera] + 1 :], strict=False)]
        assert max(gaps) - min(gaps) <= 1.01 / box.rate, "to a picture of the camera"
        assert statistics.mean(gaps) == pytest.approx(1 / box.rates()[camera], rel=0.05)
    assert len(ended) <= box.due - due + 8 < 10 * 40, "what was not due has no end either"


def test_no_camera_goes_below_the_floor_of_the_terms_whatever_is_lost() -> None:
    box = four(0.2, floor=4.0)
    box.live(90)
    assert box.rates() == [4.0] * 4
    assert shares(box.run(10))[Outcome.SHED] > 0.3


def test_a_floor_of_nothing_leaves_a_camera_that_gives_a_frame_now_and_then() -> None:
    box = four(0.24, floor=0.0)
    box.live(400)
    assert min(box.rates()) >= LEAST_RATE


def test_where_the_cloud_takes_what_the_box_cannot_nothing_is_lowered() -> None:
    box = four(0.05, cloud=True)
    box.live(60)
    assert box.lowering.rates == {}
    assert shares(box.finished)[Outcome.OK_CLOUD] > 0.3


def test_with_the_cloud_back_rates_come_back_though_the_box_stays_full() -> None:
    box = four(0.05, deadline=0.5)
    box.live(60)
    assert box.lowering.rates
    box.lane.there.allowed = True
    box.live(240)
    assert box.rates() == [10.0] * 4


def test_a_box_too_slow_for_the_deadline_answers_nothing_and_lowers_nothing() -> None:
    """Fewer frames would be as late."""
    box = four(0.6)
    box.live(60)
    assert shares(box.finished)[Outcome.SHED] > 0.8
    assert box.lowering.rates == {}


def test_a_box_too_slow_for_the_deadline_lowers_nothing_though_the_cloud_answers_not_all() -> None:
    """What the uplink can't carry is chosen by worth."""
    box = four(0.6, cloud=True)
    box.lane.agree(replace(box.lane.terms, uplink_bits_per_second=3e6))
    box.live(60)
    found = shares(box.finished)
    assert found[Outcome.OK_CLOUD] > 0.3
    assert found[Outcome.SHED] > 0.1
    assert box.lowering.rates == {}


def test_a_box_that_is_slow_for_a_while_is_helped_by_the_cloud_and_lowers_nothing_before_meanwhile_or_after() -> None:
    """As `longshore` shows with its switch: cloud off, cloud on, fast again."""
    box = four(0.03, cloud=True, deadline=0.5)
    box.live(10)
    box.infer, box.lane.there.allowed = (lambda _: 0.63), False
    box.live(14)
    assert box.lowering.rates == {}
    box.lane.there.allowed = True
    box.live(20)
    assert box.lowering.rates == {}
    assert shares(box.finished[-400:])[Outcome.OK_CLOUD] > 0.9
    box.infer = lambda _: 0.03
    box.live(30)
    assert box.lowering.rates == {}


def test_a_load_that_passes_lowers_nothing() -> None:
    box = four(0.05)
    box.live(OVERLOAD_SECONDS - 2)
    box.infer = lambda _: 0.01
    box.live(20)
    assert box.lowering.rates == {}


def test_a_camera_worth_more_and_one_in_which_much_moves_keep_their_rates_longer() -> None:
    box = four(0.05)
    box.lane.agree(replace(box.lane.terms, camera_values={tap(2).camera: 5.0}))
    box.live(40)
    assert box.rates()[2] == 10.0
    assert max(rate for camera, rate in enumerate(box.rates()) if camera != 2) < 10.0


def test_how_seldom_something_moves_is_learned_from_the_frames_that_were_passed_over() -> None:
    told = Lowering(lane(cloud=False), NOW)
    rates = {QUAY: 10.0, tap(1).camera: 10.0}
    for step in range(30):
        for number in range(20):
            (told.still if number else told.moved)(QUAY)
            told.moved(tap(1).camera)
        told.step(rates, NOW + 2 * step)
    assert told._motion[QUAY] == pytest.approx(0.05, abs=0.01)
    assert told._motion[tap(1).camera] == 1.0


def test_frames_in_which_nothing_moved_are_neither_given_up_nor_answered() -> None:
    told = Lowering(lane(cloud=False), NOW)
    for _ in range(100):
        told.still(QUAY)
    assert (told._tally.ended, told._tally.shed) == (0, 0.0)


@pytest.mark.parametrize(
    ("outcomes", "share"),
    [
        ([], 0.0),
        ([Outcome.OK_LOCAL, Outcome.SHED], 0.5),
        ([Outcome.OK_HEDGE, Outcome.SUPERSEDED, Outcome.EXPIRED, Outcome.SHED], 0.75),
        ([Outcome.OK_CLOUD, Outcome.SHED], 0.02),
        ([Outcome.OK_LOCAL, Outcome.ERROR, Outcome.CLOUD_LATE], 0.0),
        ([Outcome.SHED, Outcome.SHED], 0.02),
    ],
)
def test_what_was_given_up_is_told_as_a_share_where_the_box_answered_something(
    outcomes: list[Outcome], share: float
) -> None:
    tally = Tally(NOW)
    for outcome in outcomes:
        tally.end(outcome)
    assert tally.shed == share


def test_the_engine_is_busy_for_the_time_that_it_runs() -> None:
    box = LoweredBox(lane(cloud=False, planned=0.05), cameras=1, rate=5.0, infer=lambda _: 0.05)
    box.live(10)
    assert box.lowering._tally.busy(box.now) == pytest.approx(0.25, abs=0.03)


def test_a_larger_size_counts_as_the_cheapest_that_it_gives_way_to() -> None:
    """Or a box that runs the larger one wherever there is time would never be seen to have room."""
    box = LoweredBox(measured(cloud=False), cameras=4, rate=6.0)
    box.live(30)
    small = SECONDS["small"] * len(box.begun) / 30
    assert sum(SECONDS[size] for _, _, size in box.begun) / 30 > 1.5 * small, "it was busier than that"
    assert box.lowering._tally.busy(box.now) == pytest.approx(small, rel=0.2)


def test_a_camera_made_smaller_takes_no_larger_size() -> None:
    made = measured(cloud=False)
    made.here.smaller = {QUAY: 1}
    box = Box(made, cameras=2, rate=5.0)
    box.run(10)
    sizes = {account.camera: set[str]() for account in made.accounts}
    for account in made.accounts:
        sizes[account.camera].add(account.size)
    assert sizes[QUAY] == {"small"}
    assert "medium" in sizes[tap(1).camera]
    assert any(account.why_size.startswith("overload made") for account in made.accounts)


def test_a_release_of_two_sizes_at_its_floor_is_told_which_cameras_are_smaller() -> None:
    made = measured(Terms(floor_rate=10.0), cloud=False)
    told = Lowering(made, NOW)
    for step in range(8):
        for outcome in (Outcome.OK_LOCAL, Outcome.SHED):
            told._tally.end(outcome)
        told._tally.ran = 2.0
        settings = told.step({QUAY: 10.0}, NOW + 2 * step)
    assert settings[QUAY] == Setting(10.0, 1, settings[QUAY].since)
    assert made.here.smaller == {QUAY: 1}


def test_the_ladder_says_which_cameras_give_how_many_of_what_was_asked_for() -> None:
    box = four(0.05)
    box.live(40)
    rung, why = judged(Facts("cpu", "cpu", lowered=len(box.lowering.rates), lowest=box.lowering.said))
    assert rung is Rung.LOWER_RATE
    assert "4 cameras give fewer or smaller ones: camera-" in why
    assert why.count(" of 10") == 3
    assert why.endswith(" a second.")
