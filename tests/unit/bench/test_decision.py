"""The agent's lane against its goals, on few seeds: the full form is `python -m bench.bench_decision`.

Two seeds in place of ten: what is asked of a mean has a margin here, and what holds in each minute has none.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.simulation.drive import play
from agent.simulation.meter import Figures, measured
from agent.simulation.ourselves import ABLATIONS, maker
from agent.simulation.world import World, draw, known
from bench.decision import goals, study, table
from bench.decision.optimum import optimum
from bench.decision.rivals.named import FIXED
from bench.decision.scenarios import SCENARIOS
from bench.decision.study import OURS, Done

SEEDS = (3, 4)
SECONDS = 70.0  # of them


@pytest.fixture(scope="module")
def calibration() -> list[Done]:
    worlds = [_world("calibration", SECONDS, seed) for seed in SEEDS]
    return [study.met(world, study.Task("calibration", world.seed, (OURS,), bounds=False)) for world in worlds]


def _world(scenario: str, seconds: float, seed: int = 3) -> World:
    return draw(replace(SCENARIOS[scenario], seconds=seconds), seed)


def _lane(world: World, part: str = "") -> Figures:
    made = maker(ABLATIONS[part]) if part else maker()
    return measured(world, play(world, made(known(world.scenario), world.seed)))


def test_the_lane_is_near_the_optimum_within_its_budget(calibration: list[Done]) -> None:
    rows = [done.rows[OURS] for done in calibration]
    assert min(row["of_optimum"] for row in rows) > 0.92
    assert max(row["over_budget"] for row in rows) <= 1.0
    assert max(row["late"] for row in rows) <= 0.01
    assert min(row["on_time"] for row in rows) > 0.96


def test_frames_are_shared_among_cameras_as_they_come(calibration: list[Done]) -> None:
    assert min(done.rows[OURS]["jain"] for done in calibration) > 0.99


def test_every_frame_has_one_outcome(calibration: list[Done]) -> None:
    for done in calibration:
        assert sum(done.outcomes[OURS].values()) == done.rows[OURS]["frames"]


def test_a_cloud_that_is_cut_off_leaves_the_box_as_good_as_it_is_alone() -> None:
    world = _world("cut-off", 40.0)
    figures = _lane(world)
    assert figures.useful > 0.96 * optimum(world, 0.0, knows_difficulty=False).useful
    assert figures.late <= 0.005


def test_nothing_is_lost_to_a_wall_clock_that_steps() -> None:
    stepped, even = (replace(SCENARIOS[name], seconds=20.0, clock_steps=steps) for name, steps in _STEPS)
    one, two = (play(draw(each, 3), maker()(known(each), 3)) for each in (stepped, even))
    assert one.fates == two.fates


_STEPS = (("clock", ((5.0, -3600.0), (10.0, 86_400.0))), ("calibration", ()))


def test_without_its_hard_bucket_prices_alone_overshoot_a_minute() -> None:
    budget = 0.4e6
    world = draw(replace(SCENARIOS["outage"], seconds=70.0, budget=budget), 3)
    most = 1.05 * budget / 1e6
    assert _lane(world).window_mbit_s <= most
    assert _lane(world, "no hard bucket").window_mbit_s > 1.05 * most


def test_frames_that_are_under_way_when_the_cloud_falls_silent_are_answered_by_the_box() -> None:
    world = _world("flaps", 60.0)
    assert _lane(world).late < 0.8 * _lane(world, "no hedge").late


def test_without_prices_the_lane_earns_less() -> None:
    world = _world("outage", 70.0)
    assert _lane(world).useful > _lane(world, "no prices").useful + 0.002


def test_counting_the_whole_backlog_loses_frames_where_deadlines_differ() -> None:
    """The first draft of the admission test did."""
    world = _world("mixed", 60.0, seed=1)
    assert _lane(world).on_time > _lane(world, "whole backlog counts").on_time + 0.002


def test_the_lane_is_better_than_small_alone_and_newest_alone() -> None:
    world = _world("calibration", 30.0)
    ours = _lane(world).useful
    for rival in ("newest-small", "newest", "guarded"):
        assert ours > measured(world, play(world, FIXED[rival](known(world.scenario), 3))).useful + 0.03


def test_the_table_shows_what_was_reached_and_what_was_missed(calibration: list[Done]) -> None:
    means, bounds = study.means(calibration), study.bounds(calibration)
    shown = table.shown(means, bounds)
    assert OURS in shown
    assert f"{100 * bounds['calibration']['optimum'].mean:5.1f}" in shown
    row = dict(means["calibration"][OURS], on_time=study.summed([0.9, 0.91]))
    missed = goals.missed({"calibration": {OURS: row}})
    assert "calibration: on time 0.905, of at least 0.98" in missed
