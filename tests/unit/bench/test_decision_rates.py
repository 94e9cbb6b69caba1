"""Overload beyond all means, with cameras that may be lowered and without: the agent's own class in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.simulation.contender import NOT_GIVEN, Act, NotGiven, Offer
from agent.simulation.drive import BrokenRule, play
from agent.simulation.meter import Figures, measured
from agent.simulation.ourselves import Ourselves
from agent.simulation.scenario import Arrivals, Scenario
from agent.simulation.world import draw, known
from bench.decision.scenarios import BEYOND
from protos.outcomes import Outcome

SECONDS, SEED = 40.0, 1
GIVEN_UP = (Outcome.SHED, Outcome.SUPERSEDED, Outcome.EXPIRED)


def met(scenario: Scenario) -> tuple[Figures, Ourselves]:
    world = draw(scenario, SEED)
    ours = Ourselves(known(scenario), SEED)
    return measured(world, play(world, ours)), ours


def lost(figures: Figures) -> float:
    return sum(figures.outcomes.get(outcome, 0) for outcome in GIVEN_UP) / figures.frames


def test_lowered_cameras_are_known_of_at_shorter_notice_for_as_much_that_is_useful() -> None:
    """Which frames are given up is chance, which cameras are asked for fewer is not."""
    lowered, ours = met(replace(BEYOND, seconds=SECONDS))
    without, _ = met(replace(BEYOND, seconds=SECONDS, floor=None))
    assert lowered.age_p95_ms <= 0.95 * without.age_p95_ms
    assert lowered.useful >= without.useful - 0.015
    assert lowered.jain >= without.jain
    assert lost(lowered) <= 0.6 * lost(without)
    assert lowered.outcomes[NOT_GIVEN] > 0.3 * lowered.frames
    assert ours.cameras is not None
    assert 2.0 < min(ours.cameras.lowering.rates.values()) < 15.0
    assert ours.open_slots == 0


def test_where_no_floor_is_set_every_frame_is_taken() -> None:
    figures, ours = met(replace(BEYOND, seconds=12.0, floor=None))
    assert ours.cameras is None
    assert NOT_GIVEN not in figures.outcomes


def test_a_box_that_keeps_up_lowers_nothing_though_it_may() -> None:
    easy = replace(BEYOND, seconds=20.0, arrivals=Arrivals("steady", cameras=2, rate=15.0))
    assert NOT_GIVEN not in met(easy)[0].outcomes


def test_a_frame_that_was_taken_cannot_be_called_not_given() -> None:
    class Liar(Ourselves):
        def arrive(self, offer: Offer, now: float) -> list[Act]:
            return [*super().arrive(offer, now), NotGiven(offer.number)] if offer.number > 5 else []

    scenario = replace(BEYOND, seconds=1.0)
    with pytest.raises(BrokenRule, match="is said not to be given"):
        play(draw(scenario, SEED), Liar(known(scenario), SEED))
    refused = replace(scenario, floor=None)
    with pytest.raises(BrokenRule, match="is said not to be given"):
        play(draw(refused, SEED), Liar(known(refused), SEED))
