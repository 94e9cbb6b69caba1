"""The tables and decisions of the agent's own update."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.berths import progress
from agent.berths.choice import BERTHS, OUTSIDE, STARTS, Choice
from agent.berths.machine import LIMITS, MACHINE, RESTING, RESUME, STOPPABLE, TRANSITIONS, Place, State
from agent.berths.progress import UNCONFIRMED_SECONDS, Health, Progress, Verdict, judged
from agent.update.record import Event, UnknownTransition, spent
from protos.ids import DeploymentName, Digest

OLD, NEW, NEWER = (Digest(f"sha256:{number:064x}") for number in range(1, 4))
AGENTS, NORTH, YARD = DeploymentName("agents"), DeploymentName("north"), DeploymentName("yard")
BUSY = [state for state in State if state not in RESTING]


def test_resume_knows_every_state_wherever_the_process_finds_itself() -> None:
    assert set(RESUME) == set(itertools.product(State, Place))


@pytest.mark.parametrize("state", State)
def test_beside_a_trial_everything_is_taken_back(state: State) -> None:
    assert RESUME[state, Place.BESIDE] is State.REVERTING


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_a_pair_outside_the_table_raises(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert MACHINE.next_state(state, event) in State
    else:
        with pytest.raises(UnknownTransition, match=f"{event} cannot happen in {state}"):
            MACHINE.next_state(state, event)


@pytest.mark.parametrize("state", [state for state in BUSY if state is not State.RESTARTING])
def test_every_busy_state_has_a_way_on_and_a_way_to_fail(state: State) -> None:
    assert {(state, Event.OK), (state, Event.RETRY)} <= set(TRANSITIONS)
    assert {(state, Event.REJECTED), (state, Event.UNHEALTHY)} & set(TRANSITIONS)


def test_nothing_is_stopped_once_it_was_switched() -> None:
    assert {state for state, event in TRANSITIONS if event is Event.ABORTED} == STOPPABLE


@pytest.mark.parametrize(
    ("state", "target", "offer", "means"),
    [
        (State.IDLE, None, NEW, Event.OFFERED),
        (State.IDLE, None, OLD, None),
        (State.IDLE, None, None, None),
        (State.FAILED, NEW, NEWER, Event.OFFERED),
        (State.FAILED, NEW, OLD, Event.OK),
        (State.PULLING, NEW, NEW, None),
        (State.PULLING, NEW, NEWER, Event.ABORTED),
        (State.INSTALLING, NEW, None, Event.ABORTED),
        (State.SWITCHING, NEW, NEWER, None),
        (State.CONFIRMING, NEW, NEWER, None),
    ],
)
def test_what_an_offer_means(state: State, target: Digest | None, offer: Digest | None, means: Event | None) -> None:
    assert progress.decide(Progress(state=state, target=target), offer, OLD) is means


def test_a_refused_release_is_refused_once_and_stays_so() -> None:
    failed = progress.advanced(Progress(state=State.CONFIRMING, target=NEW), Event.UNHEALTHY, "it answered nothing")
    failed = progress.advanced(failed, Event.REJECTED, failed.message)
    assert failed.state is State.FAILED
    assert progress.decide(failed, NEW, OLD) is None
    again = progress.offered(failed, AGENTS, OLD, Event.OK)
    assert progress.decide(again, NEW, OLD) is Event.REJECTED
    told = progress.offered(again, AGENTS, NEW, Event.REJECTED).message
    assert told == "refused before: it answered nothing; deploy another version"


def test_a_refusal_by_a_rule_is_asked_about_again_by_the_next_process() -> None:
    refused = progress.advanced(Progress(state=State.PULLING, target=NEW), Event.REJECTED, "not here", "device-class")
    assert progress.decide(progress.resumed(refused, Choice(), OUTSIDE), NEW, OLD) is Event.OFFERED


@pytest.mark.parametrize("starts", range(STARTS + 1))
def test_a_trial_that_was_started_and_does_not_run_is_refused(starts: int) -> None:
    record = progress.resumed(Progress(state=State.RESTARTING, target=NEW), Choice("a", "b", starts), "a", NEW)
    assert record.state is State.REVERTING
    assert bool(record.refusal(NEW)) is bool(starts)  # one that could not be counted was not started


def test_a_record_that_was_lost_is_no_reason_to_lose_the_trial() -> None:
    record = progress.resumed(Progress(), Choice("a", "b", 1), "b", NEW)
    assert (record.state, record.target) == (State.CONFIRMING, NEW)


def test_a_power_cut_while_installing_is_no_fault_and_twelve_are() -> None:
    record = Progress(state=State.VERIFYING, target=NEW)
    for _ in range(LIMITS[State.INSTALLING]):
        record = progress.advanced(replace(record, state=State.VERIFYING), Event.OK)
        assert not spent(MACHINE, record)
        record = progress.resumed(record, Choice(), OUTSIDE)
        assert record.state is State.PULLING
    assert spent(MACHINE, progress.advanced(replace(record, state=State.VERIFYING), Event.OK))


def test_the_same_wrong_bytes_are_fetched_twice_at_most() -> None:
    once = progress.advanced(Progress(state=State.VERIFYING, target=NEW), Event.DAMAGED, "changed")
    assert once.state is State.PULLING
    twice = progress.advanced(progress.advanced(once, Event.OK), Event.DAMAGED, "changed")
    assert (twice.state, bool(twice.refusal(NEW))) == (State.FAILED, True)


# ---- a trial is judged ----

RECORD = Progress(state=State.CONFIRMING, target=NEW, answering=(NORTH, YARD))
WELL = Health(True, frozenset({NORTH, YARD}), frozenset({NORTH, YARD}))


def verdict(health: Health, now: float, since: float | None = 0.0) -> Verdict:
    return judged(RECORD, Verdict(since), health, 0.0, now, 60.0)


def test_a_trial_is_good_when_it_synced_and_answered_for_a_minute_on_end() -> None:
    assert verdict(WELL, 59.0).event is None
    assert verdict(WELL, 60.0).event is Event.OK
    assert verdict(replace(WELL, synced=False), 60.0) == Verdict(None)
    assert verdict(WELL, 70.0, since=None) == Verdict(70.0)


def test_a_trial_that_never_answers_what_the_one_before_did_is_refused() -> None:
    mute = replace(WELL, answering=frozenset({NORTH}))
    assert verdict(mute, UNCONFIRMED_SECONDS - 1).event is None
    assert verdict(mute, UNCONFIRMED_SECONDS).event is Event.UNHEALTHY
    assert "yard did not answer" in verdict(mute, UNCONFIRMED_SECONDS).message


def test_a_trial_that_became_good_late_may_finish_its_minute() -> None:
    assert verdict(WELL, UNCONFIRMED_SECONDS + 10.0, since=UNCONFIRMED_SECONDS - 30.0).event is None
    assert verdict(WELL, UNCONFIRMED_SECONDS + 30.0, since=UNCONFIRMED_SECONDS - 30.0).event is Event.OK


def test_what_is_wanted_no_more_need_not_answer() -> None:
    assert verdict(replace(WELL, wanted=frozenset({NORTH}), answering=frozenset({NORTH})), 60.0).event is Event.OK


def test_a_network_that_is_away_is_not_held_against_a_release() -> None:
    assert verdict(replace(WELL, synced=False), UNCONFIRMED_SECONDS).event is Event.RETRY


FAR = replace(WELL, synced=False, took=True)  # no network, and what was carried is taken up


@pytest.mark.parametrize(
    ("carried", "health", "means"),
    [
        (True, FAR, Event.OK),
        (True, replace(FAR, took=False), None),
        (True, replace(FAR, answering=frozenset()), None),
        (True, replace(FAR, synced=True, took=False), Event.OK),  # a network came
        (False, FAR, None),  # it had a network before, and must have it under the trial
    ],
)
def test_the_next_word_must_reach_a_trial_by_the_way_the_last_one_came(
    carried: bool, health: Health, means: Event | None
) -> None:
    assert judged(replace(RECORD, carried=carried), Verdict(0.0), health, 0.0, 60.0, 60.0).event is means


def test_a_trial_that_takes_up_nothing_that_is_carried_is_tried_again() -> None:
    record, blind = replace(RECORD, carried=True), replace(FAR, took=False)
    after = judged(record, Verdict(0.0), blind, 0.0, UNCONFIRMED_SECONDS, 60.0)
    assert (after.event, "what was carried here was not taken up" in after.message) == (Event.RETRY, True)


RECORDS = st.builds(
    Progress,
    state=st.sampled_from(State),
    target=st.sampled_from((None, OLD, NEW)),
    attempts=st.dictionaries(st.sampled_from(list(LIMITS)), st.integers(0, 20)),
)


@given(RECORDS)
def test_a_record_survives_its_bytes(record: Progress) -> None:
    assert progress.from_bytes(progress.to_bytes(record)) == record


@pytest.mark.parametrize("content", [b"", b"\x00", b"[]", b'{"state": "WALKING"}'])
def test_what_cannot_be_read_is_no_record(content: bytes) -> None:
    assert progress.from_bytes(content) == Progress()


def test_fields_that_a_later_agent_wrote_are_passed_over() -> None:
    assert progress.from_bytes(b'{"state": "IDLE", "later": 1}') == Progress()


@given(RECORDS, st.sampled_from((OUTSIDE, *BERTHS)), st.sampled_from(("", *BERTHS)), st.integers(0, STARTS))
def test_whatever_is_found_at_a_start_there_is_a_way_on(record: Progress, kept: str, trial: str, starts: int) -> None:
    after = progress.resumed(record, Choice(kept, trial, starts), kept, NEW if trial else None)
    assert after.state is not State.RESTARTING  # only a process that is about to end is in it
