"""Figures of the decision bench, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agent.simulation import meter
from agent.simulation.drive import Fate, Played
from agent.simulation.scenario import Arrivals
from agent.simulation.world import World, draw
from bench.decision.scenarios import CALIBRATION
from bench.decision.study import summed
from protos.outcomes import Outcome

SCENARIO = replace(CALIBRATION, seconds=3.0, arrivals=Arrivals("steady", cameras=2, rate=2.0))


@pytest.fixture
def world() -> World:
    return draw(SCENARIO, 1)


def _played(world: World, fate: Fate) -> Played:
    return Played([replace(fate, at=float(captured) + 0.1) for captured in world.captured])


def test_useful_is_the_chance_of_the_answer_that_was_taken_in_time(world: World) -> None:
    figures = meter.measured(world, _played(world, Fate(Outcome.OK_LOCAL, "medium")))
    assert figures.useful == pytest.approx(world.chance[:, 1].mean())
    assert figures.right == pytest.approx(world.right[:, 1].mean())
    assert (figures.on_time, figures.late) == (1.0, 0.0)
    assert figures.p99_ms == pytest.approx(100.0)


def test_an_answer_that_came_late_is_worth_nothing(world: World) -> None:
    figures = meter.measured(world, _played(world, Fate(Outcome.EXPIRED, "medium")))
    assert (figures.useful, figures.on_time, figures.late) == (0.0, 0.0, 1.0)


def test_what_was_never_taken_on_is_not_late(world: World) -> None:
    played = _played(world, Fate(Outcome.SHED))
    played.fates[0] = Fate(Outcome.CLOUD_LATE)
    played.fates[1] = Fate(Outcome.OK_LOCAL, "small")
    assert meter.measured(world, played).late == 0.5


def test_outcomes_add_up_to_the_frames(world: World) -> None:
    played = _played(world, Fate(Outcome.OK_LOCAL, "small"))
    played.fates[3] = Fate(Outcome.SUPERSEDED)
    assert sum(meter.measured(world, played).outcomes.values()) == world.frames


def test_what_is_known_grows_older_with_each_frame_that_is_missed(world: World) -> None:
    answered = _played(world, Fate(Outcome.OK_LOCAL, "small"))
    assert meter.measured(world, answered).age_ms == pytest.approx(250.0)
    half = _played(world, Fate(Outcome.OK_LOCAL, "small"))
    for number in range(2, world.frames):
        half.fates[number] = Fate(Outcome.SHED)
    assert meter.measured(world, half).age_ms > 1_000.0


def test_fairness_is_one_for_equals_and_one_over_n_for_a_winner() -> None:
    assert meter.jain([0.4] * 5) == pytest.approx(1.0)
    assert meter.jain([0.0, 0.0, 0.0, 0.9]) == pytest.approx(0.25)


def test_the_fullest_minute_is_found_wherever_it_begins() -> None:
    assert meter.most_in_window([(0.0, 1.0), (59.0, 2.0), (61.0, 4.0), (118.9, 8.0), (200.0, 9.0)], 60.0) == 14.0


def test_a_window_holds_what_was_sent_after_its_begin() -> None:
    assert meter.most_in_window([(0.0, 1.0), (60.0, 1.0)], 60.0) == 1.0


def test_an_interval_is_of_the_mean_and_the_same_each_time() -> None:
    values = np.random.default_rng(3).normal(0.9, 0.02, 10).tolist()
    mean = summed(values)
    assert mean.low < mean.mean < mean.high
    assert mean.high - mean.low == pytest.approx(4 * np.std(values) / 10**0.5, rel=0.2)
    assert summed(values) == mean
