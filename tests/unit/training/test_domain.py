"""A Run's phases as a table, and what follows from what the executor sees, in every phase."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from controlplane.errors import Conflict
from controlplane.fleet.objects import Meta
from controlplane.training import domain
from controlplane.training.domain import FINISHED, MOST_STARTS, TRANSITIONS, Act, Event, Phase, Run, Why
from controlplane.training.ports import Look, State
from protos.ids import ModelName, Version

NEW = Run("r-1", Meta("u", 5), "r", ModelName("m"), Version("1.0.0"), {})
WHY = Why("Because", "of that")
GONE = Look(State.ABSENT)
ALIVE = Look(State.RUNNING, 1)


def run(phase: Phase, attempt: int = 1, killed: int = 0) -> Run:
    return replace(domain.begun(NEW, WHY, 5), phase=phase, attempt=attempt, killed=killed)


def test_every_phase_but_the_finished_can_be_left_and_reached() -> None:
    assert {phase for phase, _ in TRANSITIONS} == set(Phase) - FINISHED
    assert set(TRANSITIONS.values()) | {Phase.PENDING} == set(Phase)


@pytest.mark.parametrize(("phase", "event"), sorted(set(product(Phase, Event)) - TRANSITIONS.keys()))
def test_what_the_table_does_not_know_is_refused(phase: Phase, event: Event) -> None:
    with pytest.raises(Conflict, match=f"run r-1 is {phase}"):
        domain.moved(run(phase), event, WHY, 9)


def test_each_phase_keeps_when_and_why() -> None:
    going = domain.moved(domain.begun(NEW, WHY, 5), Event.BEGIN, Why("Beginning", "it begins"), 7)
    again = domain.moved(going, Event.INTERRUPTED, Why("Killed", "it was killed"), 9)
    assert [(each.type, each.status, each.since_unix_ms) for each in again.conditions] == [
        ("Preparing", "False", 7),
        ("Pending", "True", 9),
    ]
    assert (again.attempt, again.started_ms, again.ended_ms, again.why.reason) == (1, 7, 0, "Killed")
    assert domain.moved(again, Event.CANCEL, WHY, 11).ended_ms == 11


def over(code: int | None, *, told: bool = False) -> Look:
    return Look(State.ENDED, 1, code, told)


CASES = {
    "its process is not there yet": (run(Phase.PREPARING), GONE, None, Act.BEGIN),
    "only an earlier start is there": (run(Phase.PREPARING, 2), over(-9), None, Act.BEGIN),
    "the environment is made": (run(Phase.PREPARING), Look(State.PREPARING, 1), None, None),
    "the recipe began": (run(Phase.PREPARING), ALIVE, Event.TRAINING, None),
    "it goes on": (run(Phase.RUNNING), ALIVE, None, None),
    "it was over before anybody looked": (run(Phase.PREPARING), over(0), Event.ENDED, None),
    "it ended well": (run(Phase.RUNNING), over(0), Event.ENDED, None),
    "it was told to stop and ended well": (run(Phase.RUNNING), over(0, told=True), Event.ENDED, None),
    "it failed": (run(Phase.RUNNING), over(1), Event.BROKE, None),
    "it crashed": (run(Phase.RUNNING), over(-11), Event.BROKE, None),
    "no environment": (run(Phase.PREPARING), Look(State.UNPREPARED, 1, 1), Event.BROKE, None),
    "it was paused": (run(Phase.RUNNING), over(143, told=True), Event.INTERRUPTED, None),
    "it was paused often": (run(Phase.RUNNING, 9), Look(State.ENDED, 9, -15, True), Event.INTERRUPTED, None),
    "it was killed": (run(Phase.RUNNING), over(-9), Event.INTERRUPTED, None),
    "nobody saw its end": (run(Phase.RUNNING), over(None), Event.INTERRUPTED, None),
    "its folder is gone": (run(Phase.RUNNING), GONE, Event.INTERRUPTED, None),
    "it was killed too often": (run(Phase.RUNNING, 3, 2), Look(State.ENDED, 3, -9), Event.BROKE, None),
    "its release waits": (run(Phase.PUBLISHING), GONE, None, Act.PUBLISH),
    "it still stops": (run(Phase.CANCELLING), ALIVE, None, Act.STOP),
    "it stopped": (run(Phase.CANCELLING), over(143, told=True), Event.STOPPED, None),
    "it ended well after it was cancelled": (run(Phase.CANCELLING), over(0), Event.STOPPED, None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_seen_decides(case: str) -> None:
    before, look, event, act = CASES[case]
    decision = domain.decided(before, look)
    assert (decision.event, decision.act) == (event, act)
    if event is not None:
        assert domain.moved(before, event, decision.why, 9).why.message


def test_whatever_is_seen_in_whatever_phase_something_allowed_follows() -> None:
    looks = [Look(state, a, c, t) for state, a, c, t in product(State, (0, 1), (None, 0, 1, -9), (False, True))]
    for phase, look in product(Phase, looks):
        decision = domain.decided(run(phase), look)
        assert decision.event is None or (phase, decision.event) in TRANSITIONS


def test_kills_are_counted_and_pauses_are_not() -> None:
    killed = domain.decided(run(Phase.RUNNING, killed=1), Look(State.ENDED, 1, -9))
    paused = domain.decided(run(Phase.RUNNING), Look(State.ENDED, 1, 143, told=True))
    assert (killed.killed, paused.killed) == (True, False)
    assert f"start 3 of {MOST_STARTS}" in killed.why.message


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ((), "1.0.0"),
        (("1.0.0",), "1.0.1"),
        (("1.0.9", "1.0.10", "0.9"), "1.0.11"),
        (("2",), "2.0.1"),
        (("2026-11-26", "latest"), "1.0.0"),
        (("1.4", "nightly"), "1.4.1"),
    ],
)
def test_the_next_version_is_free(taken: tuple[str, ...], free: str) -> None:
    assert domain.next_version(taken) == free


def test_a_name_is_the_recipe_and_the_next_number() -> None:
    assert domain.free_name("own", ["own-2", "own-10", "other-40", "own-x"]) == "own-11"
    assert len(domain.free_name("x" * 63, [])) <= 63
