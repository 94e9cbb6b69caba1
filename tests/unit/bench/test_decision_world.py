"""Worlds of the decision bench: the same for everyone, and what the design says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agent.simulation import arrivals
from agent.simulation.scenario import Spell
from agent.simulation.world import World, draw, known
from bench.decision.scenarios import CALIBRATION, SCENARIOS

SEEDS = range(1, 9)


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [draw(CALIBRATION, seed) for seed in SEEDS]


def test_a_seed_draws_the_same_world_again() -> None:
    one, two = draw(CALIBRATION, 5), draw(CALIBRATION, 5)
    for name in ("captured", "camera", "chance", "right", "confidence", "times", "jitter", "luck"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert one.trace.steps == two.trace.steps


def test_another_seed_draws_another_world() -> None:
    assert draw(CALIBRATION, 5).frames != draw(CALIBRATION, 6).frames


def test_a_change_of_the_box_moves_no_other_chance() -> None:
    hot = draw(replace(CALIBRATION, thermal=Spell(0.0, 300.0, factor=2.0), slow_share=0.2), 5)
    cool = draw(CALIBRATION, 5)
    assert np.array_equal(hot.captured, cool.captured)
    assert np.array_equal(hot.right, cool.right)
    assert hot.trace.steps == cool.trace.steps


def test_cameras_offer_what_the_calibration_scenario_says(worlds: list[World]) -> None:
    rates = [world.frames / world.scenario.seconds for world in worlds]
    assert np.mean(rates) == pytest.approx(48, abs=2)
    peaks = [np.bincount(world.captured.astype(int)).max() for world in worlds]
    assert all(78 <= peak <= 82 for peak in peaks)


def test_answers_are_right_as_often_as_the_release_says(worlds: list[World]) -> None:
    right = np.concatenate([world.right for world in worlds]).mean(axis=0)
    assert right == pytest.approx([0.61, 0.76, 0.92], abs=0.01)


def test_answers_are_surer_of_themselves_than_they_should_be_and_tell_something_all_the_same(
    worlds: list[World],
) -> None:
    said = np.concatenate([world.confidence[:, 0] for world in worlds])
    right = np.concatenate([world.right[:, 0] for world in worlds])
    assert said.mean() > right.mean() + 0.05
    sure, unsure = right[said > np.median(said)].mean(), right[said <= np.median(said)].mean()
    assert sure > unsure + 0.2


def test_the_release_tells_a_calibration_that_holds(worlds: list[World]) -> None:
    said = np.concatenate([world.confidence[:, 0] for world in worlds])
    right = np.concatenate([world.right[:, 0] for world in worlds])
    raw, share = zip(*known(CALIBRATION).confidence, strict=True)
    assert list(share) == sorted(share)
    for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 1.0)):
        told = np.interp(said, raw, share)
        of = (told >= low) & (told < high)
        assert right[of].mean() == pytest.approx(told[of].mean(), abs=0.03)


def test_a_drifted_box_is_worse_than_its_release_says_and_nobody_is_told() -> None:
    drifted = SCENARIOS["drift"]
    assert known(drifted) == known(CALIBRATION)
    right = np.concatenate([draw(drifted, seed).chance for seed in SEEDS]).mean(axis=0)
    assert right == pytest.approx([0.41, 0.56, 0.92], abs=0.015)


def test_a_clock_that_steps_changes_nothing_but_the_stamps() -> None:
    stepped, even = draw(SCENARIOS["clock"], 3), draw(CALIBRATION, 3)
    assert np.array_equal(stepped.captured, even.captured)
    assert stepped.unix_ns(150.0) < stepped.unix_ns(50.0)
    assert even.unix_ns(150.0) > even.unix_ns(50.0)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_draws_frames_in_order_of_time_that_are_due_after_they_came(name: str) -> None:
    world = draw(replace(SCENARIOS[name], seconds=70.0), 1)
    assert world.frames > 500
    assert (np.diff(world.captured) >= 0).all()
    assert (world.deadline > world.captured).all()


def test_a_storm_brings_all_cameras_back_at_once() -> None:
    storm = SCENARIOS["storm"].arrivals
    came = arrivals.drawn(storm, 70.0, np.random.default_rng(1))
    assert not [at for at, _ in came if 60.0 <= at < 63.0]
    assert len([at for at, _ in came if at == 63.0]) == storm.cameras * storm.storm_frames
