"""Whose turn it is where not all can be answered."""

from __future__ import annotations

import pytest

from agent.pipeline.lane import Answer, Infer
from agent.pipeline.shares import BEHIND, Shares
from agent.simulation.drive import play
from agent.simulation.meter import measured
from agent.simulation.ourselves import maker
from agent.simulation.scenario import Arrivals, Scenario
from agent.simulation.world import draw, known
from agent.types import Tap
from protos.ids import CameraName, DeploymentName
from tests.sim.lane import frame, tap
from tests.sim.lane import measured as measured_lane

CROWD = Scenario("crowd", "16 cameras at twice the load", 30.0, Arrivals("steady", cameras=16))


def _tap(name: str) -> Tap:
    return Tap(CameraName(name), DeploymentName("harbour"))


def test_a_tap_that_is_answered_clearly_less_often_than_the_others_is_behind() -> None:
    shares = Shares()
    for _ in range(60):
        shares.ended(_tap("quay"), in_time=True)
        shares.ended(_tap("gate"), in_time=False)
    assert shares.of(_tap("quay")) == pytest.approx(1.0)
    assert shares.of(_tap("gate")) < 1.0 - 2 * BEHIND
    assert shares.behind(_tap("gate"))
    assert not shares.behind(_tap("quay"))


def test_a_tap_that_left_is_nobody_s_measure_any_more() -> None:
    """Else one that fared well would keep those who stay behind for ever."""
    shares = Shares()
    for _ in range(60):
        shares.ended(_tap("quay"), in_time=True)
        shares.ended(_tap("gate"), in_time=False)
    shares.forget(_tap("quay"))
    assert not shares.behind(_tap("gate"))


def test_a_lane_forgets_what_it_learned_of_a_tap_that_leaves() -> None:
    lane = measured_lane(cloud=False)
    [running] = [each for each in lane.arrive(frame(1, 100.0), 100.0) if isinstance(each, Infer)]
    lane.local_done(running.jobs, [Answer(infer_seconds=0.03, confidence=0.1)], 100.03)
    assert lane.here.rate(100.05) > 0.0
    lane.leave(tap(0))
    assert lane.here.rate(100.06) == 0.0
    assert lane._difficulty.ease(tap(0), 100.06) == 0.0


def test_nobody_is_behind_while_all_fare_alike() -> None:
    shares = Shares()
    assert not shares.behind(_tap("quay"))
    for name in ("quay", "gate"):
        shares.ended(_tap(name), in_time=False)
    assert not shares.behind(_tap("quay"))


def test_sixteen_cameras_at_twice_the_load_are_answered_alike() -> None:
    world = draw(CROWD, 1)
    figures = measured(world, play(world, maker()(known(CROWD), 1)))
    assert figures.jain > 0.98
    assert figures.least_share > 0.8
