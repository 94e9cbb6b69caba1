"""The tables of the update machine, and its invariants over every order of events."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.update import progress
from agent.update.machine import LIMITS, MACHINE, RESTING, RESUME, TRANSITIONS, State
from agent.update.progress import Progress
from agent.update.record import Event, UnknownTransition, spent
from protos.ids import DeploymentName, Digest

RELEASES = [Digest(f"sha256:{number:064x}") for number in range(1, 5)]
BUSY = [state for state in State if state not in RESTING]


def test_resume_knows_every_state() -> None:
    assert set(RESUME) == set(State)


def test_after_a_power_cut_nothing_goes_on_that_was_not_confirmed() -> None:
    assert {RESUME[state] for state in (State.SWAPPING, State.CONFIRMING, State.ROLLING_BACK)} == {State.ROLLING_BACK}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_a_pair_outside_the_table_raises(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert MACHINE.next_state(state, event) in State
    else:
        with pytest.raises(UnknownTransition, match=f"{event} cannot happen in {state}"):
            MACHINE.next_state(state, event)


@pytest.mark.parametrize("state", BUSY)
def test_every_busy_state_has_a_way_on_and_a_way_to_fail(state: State) -> None:
    assert (state, Event.OK) in TRANSITIONS
    assert (state, Event.RETRY) in TRANSITIONS
    assert (state, Event.REJECTED) in TRANSITIONS


@pytest.mark.parametrize("state", BUSY)
def test_a_superseded_release_leads_to_rest_without_answering(state: State) -> None:
    events = [Event.ABORTED, Event.OK] if state is not State.ROLLING_BACK else [Event.OK]
    for event in events:
        if state not in RESTING:
            state = MACHINE.next_state(state, event)
    assert state is State.IDLE


@pytest.mark.parametrize("state", RESTING)
def test_a_new_release_starts_by_pulling(state: State) -> None:
    assert MACHINE.next_state(state, Event.OFFERED) is State.PULLING


def test_the_only_way_to_idle_with_a_new_release_leads_through_confirming() -> None:
    arrivals = {pair for pair, state in TRANSITIONS.items() if state is State.IDLE and pair[1] is Event.OK}
    assert arrivals == {(s, Event.OK) for s in (State.CONFIRMING, State.ROLLING_BACK, State.FAILED)}


# ---- the record under any order of offers, events and power cuts ----


def possible(record: Progress) -> Iterator[Event]:
    yield from (event for state, event in TRANSITIONS if state is record.state)


@st.composite
def histories(draw: st.DrawFn) -> list[Progress]:
    record = Progress(DeploymentName("quay"))
    seen = [record]
    for _ in range(draw(st.integers(1, 60))):
        if draw(st.integers(0, 9)) == 0:
            record = progress.resumed(progress.from_bytes(progress.to_bytes(record)))
        elif record.resting:
            digest = draw(st.sampled_from(RELEASES))
            event = progress.decide(record, digest)
            record = progress.offered(record, digest, event) if event else record
        elif spent(MACHINE, record):
            record = progress.advanced(record, Event.REJECTED, "given up")
        else:
            record = progress.advanced(record, draw(st.sampled_from(sorted(possible(record)))), "why")
        seen.append(record)
    return seen


@given(histories())
def test_a_record_survives_its_bytes(seen: list[Progress]) -> None:
    assert all(progress.from_bytes(progress.to_bytes(record)) == record for record in seen)


@given(histories())
def test_what_answers_changes_only_by_confirming(seen: list[Progress]) -> None:
    for before, after in itertools.pairwise(seen):
        if before.active != after.active:
            assert (before.state, after.state) == (State.CONFIRMING, State.IDLE)
            assert after.active == before.target


@given(histories())
def test_a_refused_release_is_never_tried_again(seen: list[Progress]) -> None:
    for record in seen:
        if record.state in (State.PULLING, State.VERIFYING, State.WARMING, State.SWAPPING, State.CONFIRMING):
            assert record.refusal(record.target) is None


@given(histories())
def test_a_release_that_answers_is_never_refused(seen: list[Progress]) -> None:
    assert all(record.refusal(record.active) is None for record in seen)


@given(histories())
def test_tries_of_one_release_are_bounded(seen: list[Progress]) -> None:
    for record in seen:
        assert record.attempts.get(State.WARMING, 0) <= LIMITS[State.WARMING] + 1
        assert record.attempts.get(State.VERIFYING, 0) <= LIMITS[State.VERIFYING]


@given(histories())
def test_the_files_of_what_answers_are_always_kept(seen: list[Progress]) -> None:
    for record in seen:
        assert record.active is None or record.active in record.releases
        assert record.resting or record.refusal(record.target) or record.target in record.releases
        assert len(record.releases) <= 2
