"""The bound of the decision bench: right where it can be worked out by hand, and never below what anybody reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.simulation.contender import Maker
from agent.simulation.drive import play
from agent.simulation.meter import measured
from agent.simulation.ourselves import ABLATIONS, maker
from agent.simulation.scenario import Arrivals, Scenario, Spell, Step, Uplink
from agent.simulation.world import draw, known
from bench.decision.optimum import optimum
from bench.decision.rivals.named import FIXED
from bench.decision.scenarios import CALIBRATION, SCENARIOS

EVEN = replace(CALIBRATION, seconds=60.0, thermal=Spell(0.0, 0.0), slow_share=0.0, noise=0.0)
GOOD = Uplink(steps=(Step(0.0, 8e6),), jitter=0.0)
SHORT = 12.0  # seconds, of worlds that contenders meet


def _steady(rate: float, **changes: object) -> Scenario:
    return replace(EVEN, arrivals=Arrivals("steady", rate=rate / 8), uplink=GOOD, **changes)  # type: ignore[arg-type]


def test_a_box_with_time_to_spare_answers_all_with_its_best() -> None:
    world = draw(_steady(20.0), 1)
    assert optimum(world, 0.0, knows_difficulty=False).useful == pytest.approx(world.chance[:, 1].mean(), abs=1e-6)


def test_a_box_without_it_mixes_its_sizes_so_that_it_is_always_busy() -> None:
    world = draw(_steady(50.0), 1)
    small, medium = world.chance.mean(axis=0)[:2]
    share = (1 / 50 - 0.012) / (0.030 - 0.012)  # of frames, in medium
    expected = small + share * (medium - small)
    assert optimum(world, 0.0, knows_difficulty=False).useful == pytest.approx(expected, abs=0.003)


def test_a_box_that_is_too_slow_for_its_best_uses_the_cheapest_for_what_it_can() -> None:
    world = draw(_steady(160.0), 1)
    expected = world.chance[:, 0].mean() / (160 * 0.012)
    assert optimum(world, 0.0, knows_difficulty=False).useful == pytest.approx(expected, rel=0.01)


def test_an_uplink_without_end_answers_all_in_the_cloud() -> None:
    world = draw(_steady(20.0), 1)
    found = optimum(world, 1e9, knows_difficulty=False)
    assert found.useful == pytest.approx(world.chance[:, 2].mean(), abs=1e-6)
    assert found.rate == pytest.approx(20 * 28_000 * 8, rel=0.01)


def test_the_link_bounds_what_goes_up() -> None:
    world = draw(replace(_steady(20.0), uplink=Uplink(steps=(Step(0.0, 2e6),), jitter=0.0)), 1)
    assert optimum(world, 1e9, knows_difficulty=False).rate <= 2e6 * (1 + 0.25 / 60)


def test_a_cloud_that_is_too_far_away_for_the_deadline_is_worth_nothing() -> None:
    world = draw(replace(_steady(50.0), brownout=Spell(0.0, 99.0, extra=0.5)), 1)
    alone = optimum(world, 0.0, knows_difficulty=False).useful
    assert optimum(world, 1.5e6, knows_difficulty=False).useful == pytest.approx(alone, abs=1e-6)


def test_two_calls_at_once_do_as_much_as_their_interference_leaves() -> None:
    one = optimum(draw(_steady(160.0), 1), 0.0, knows_difficulty=False).useful
    two = optimum(draw(_steady(160.0, width=2, interference=1.25), 1), 0.0, knows_difficulty=False).useful
    assert two == pytest.approx(1.6 * one, rel=0.02)


def test_more_uplink_and_more_knowledge_are_never_worth_less() -> None:
    world = draw(replace(CALIBRATION, seconds=SHORT), 1)
    blind = [optimum(world, budget, knows_difficulty=False).useful for budget in (0.0, 0.5e6, 1.5e6, 3e6)]
    assert blind == sorted(blind)
    assert optimum(world, 1.5e6, knows_difficulty=True).useful > blind[2]


@pytest.mark.parametrize("scenario", ["calibration", "mixed", "two-slots", "mobile"])
def test_nobody_is_above_the_optimum_that_knows_difficulty(scenario: str) -> None:
    world = draw(replace(SCENARIOS[scenario], seconds=SHORT), 3)
    contenders: dict[str, Maker] = {"ours": maker(), "unpriced": maker(ABLATIONS["no prices"]), **_rivals()}
    reached = {name: measured(world, play(world, made(known(world.scenario), 3))) for name, made in contenders.items()}
    most = max(figures.mbit_s for figures in reached.values())
    bound = optimum(world, 1e6 * most, knows_difficulty=True).useful
    assert {name: figures.useful for name, figures in reached.items() if figures.useful > bound} == {}


def _rivals() -> dict[str, Maker]:
    return {name: FIXED[name] for name in ("newest-small", "guarded", "linucb")}
