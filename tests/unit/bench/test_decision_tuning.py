"""The tuner in the simulator: off and in the shadow it changes nothing, and its verdict is hard to please."""

from __future__ import annotations

from functools import cache

import pytest

from agent.offload.tuner import FEATURES, SHIPPED, SHIPPED_MODE, Mode, Tuner, Weights
from agent.pipeline.tuned import seen
from agent.simulation.contender import Maker
from agent.simulation.drive import Played, play
from agent.simulation.ourselves import Ourselves
from agent.simulation.ourselves import maker as analytic
from agent.simulation.world import World, draw, known
from bench.decision.tuning import search
from bench.decision.tuning.contender import WithTuner, maker
from bench.decision.tuning.search import Effort, Reached, Round, score, searched
from bench.decision.tuning.verdict import p_value, verdict

EAGER: Weights = ((-3.0, *(0.0,) * (FEATURES - 1)), (-3.0, *(0.0,) * (FEATURES - 1)))
PLAIN = Reached(useful=0.70, on_time=0.98, late=0.002)


@cache
def world() -> World:
    return search.world("overload-2", 11, 12.0)


def played(made: Maker) -> list[tuple[str, str | None, float]]:
    found: Played = play(world(), made(known(world().scenario), 1))
    return [(fate.outcome, fate.by, fate.at) for fate in found.fates]


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.SHADOW])
def test_a_tuner_that_is_not_on_changes_no_frame(mode: Mode) -> None:
    assert played(maker(EAGER, mode)) == played(analytic())


def test_a_tuner_that_is_on_changes_some() -> None:
    assert played(maker(EAGER, Mode.ON)) != played(analytic())


def test_a_shadow_has_something_to_propose() -> None:
    tuner = Tuner(EAGER, Mode.SHADOW)
    of = draw(world().scenario, 2)
    play(of, WithTuner(known(of.scenario), 1, tuner))
    assert tuner.proposed.price < 1.0


def test_what_a_tuner_sees_tells_a_full_box_from_an_idle_one() -> None:
    idle = Ourselves(known(world().scenario), 1)
    busy = Ourselves(known(world().scenario), 1)
    play(world(), busy)
    last = float(world().captured[-1])
    assert seen(idle.lane, last).load == 0.0
    assert seen(busy.lane, last).load > 0.5
    assert seen(idle.lane, last).left == pytest.approx(1.0)
    assert seen(busy.lane, last).left < 1.0


def test_a_frame_less_in_time_costs_more_than_a_useful_one_brings() -> None:
    assert score(Reached(0.72, 0.98, 0.0), PLAIN) == pytest.approx(0.02)
    assert score(Reached(0.72, 0.96, 0.0), PLAIN) < 0.0


def test_a_search_finds_the_same_twice_and_tells_of_each_round() -> None:
    effort, told = Effort(rounds=2, drawn=2, kept=1, worlds=1, seconds=3.0), list[Round]()
    one, two = searched(3, effort, told.append), searched(3, effort, told.append)
    assert one == two
    assert len(told) == 4
    assert [len(row) for row in one] == [FEATURES, FEATURES]


def test_the_search_and_the_verdict_share_no_world() -> None:
    from bench.bench_tuning import HELD_OUT

    effort = Effort()
    trained = {each for number in range(effort.rounds) for each in range(number * effort.worlds, effort.rounds * 8)}
    assert not {search.FIRST_SEED + each for each in trained} & set(HELD_OUT)


@pytest.mark.parametrize(
    ("tuned", "seeds", "ships"),
    [
        (Reached(0.72, 0.98, 0.002), 20, True),
        (Reached(0.72, 0.98, 0.002), 19, False),
        (Reached(0.71, 0.98, 0.002), 20, False),
        (Reached(0.72, 0.979, 0.002), 20, False),
        (Reached(0.72, 0.98, 0.003), 20, False),
    ],
    ids=["all of the bar", "too few seeds", "less than 2 %", "fewer in time", "more late"],
)
def test_it_ships_on_only_with_all_of_the_bar(tuned: Reached, seeds: int, *, ships: bool) -> None:
    found = verdict([PLAIN] * seeds, [tuned] * seeds)
    assert found.ships_on is ships


def test_luck_is_no_gain() -> None:
    luck = [0.1 if number % 2 else -0.09 for number in range(20)]
    assert p_value(luck) > 0.3
    assert p_value([0.01] * 20) < 0.001


def test_an_agent_has_the_tuner_off() -> None:
    assert SHIPPED_MODE is Mode.OFF
    assert [len(row) for row in SHIPPED] == [FEATURES, FEATURES]
