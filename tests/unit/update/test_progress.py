"""What an offer means, what is remembered, and what the record looks like on disk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.update import progress
from agent.update.machine import LIMITS, MACHINE, State
from agent.update.progress import Progress
from agent.update.record import MOST_REFUSED, Event, Refusal, spent
from protos.errors import Rejected
from protos.ids import DeploymentName, Digest

OLD, NEW, NEWER = (Digest(f"sha256:{number:064x}") for number in (1, 2, 3))
FRESH = Progress(DeploymentName("quay"))
SERVING_OLD = replace(FRESH, target=OLD, active=OLD)


def at(state: State, target: Digest = NEW) -> Progress:
    return replace(SERVING_OLD, state=state, target=target)


def test_the_release_that_answers_is_no_news() -> None:
    assert progress.decide(SERVING_OLD, OLD) is None


def test_another_release_is_an_offer() -> None:
    assert progress.decide(SERVING_OLD, NEW) is Event.OFFERED


def test_the_release_under_way_is_no_news() -> None:
    assert progress.decide(at(State.PULLING), NEW) is None


@pytest.mark.parametrize("state", [State.PULLING, State.VERIFYING, State.WARMING, State.CONFIRMING])
def test_a_newer_release_supersedes_the_one_under_way(state: State) -> None:
    assert progress.decide(at(state), NEWER) is Event.ABORTED


@pytest.mark.parametrize("state", [State.SWAPPING, State.ROLLING_BACK])
def test_a_short_step_is_let_finish(state: State) -> None:
    assert progress.decide(at(state), NEWER) is None


def test_undoing_while_confirming_rolls_back_at_once() -> None:
    assert progress.decide(at(State.CONFIRMING), OLD) is Event.ABORTED


def test_the_first_release_of_a_box_is_let_finish_confirming() -> None:
    first = replace(FRESH, state=State.CONFIRMING, target=NEW)
    assert progress.decide(first, NEWER) is None


def test_a_refused_release_is_answered_with_its_reason() -> None:
    record = replace(SERVING_OLD, refused=(Refusal(NEW, "it crashed"),))
    assert progress.decide(record, NEW) is Event.REJECTED
    refused = progress.offered(record, NEW, Event.REJECTED)
    assert (refused.state, refused.message) == (State.FAILED, "refused before: it crashed; deploy another version")
    assert progress.decide(refused, NEW) is None


def test_going_back_to_what_answers_ends_the_failure() -> None:
    failed = replace(at(State.FAILED), message="it crashed")
    record = progress.offered(failed, OLD, Event.OK)
    assert (record.state, record.target, record.message) == (State.IDLE, OLD, "")


def test_an_unhealthy_release_is_remembered_with_its_reason() -> None:
    record = progress.advanced(at(State.CONFIRMING), Event.UNHEALTHY, "its worker crashed")
    assert record.state is State.ROLLING_BACK
    assert record.refused == (Refusal(NEW, "its worker crashed"),)


def test_a_release_that_was_too_slow_is_given_back_by_a_budget_that_allows_as_much() -> None:
    slow = progress.advanced(at(State.CONFIRMING), Event.UNHEALTHY, "takes 80 ms", took=0.08)
    for budget, refused in ((0.0, True), (0.079, True), (0.08, False), (float("inf"), False)):
        assert (progress.afforded(slow, budget).refusal(NEW) is not None) == refused
    other = progress.advanced(at(State.CONFIRMING), Event.UNHEALTHY, "crashed")
    assert progress.afforded(other, float("inf")) == other


def test_a_record_of_an_agent_without_budgets_is_read() -> None:
    old = progress.to_bytes(progress.advanced(at(State.CONFIRMING), Event.UNHEALTHY, "crashed")).replace(
        b',"took":0.0', b""
    )
    assert b"took" not in old
    assert progress.from_bytes(old).refused[0].took == 0.0


def test_a_confirmed_release_takes_the_place_of_the_one_before() -> None:
    record = progress.advanced(at(State.CONFIRMING), Event.OK)
    assert (record.active, record.previous, record.attempts) == (NEW, OLD, {})


def test_a_power_cut_while_confirming_counts_as_a_try_and_no_refusal() -> None:
    record = progress.resumed(replace(at(State.CONFIRMING), attempts={State.WARMING: 1}))
    record = progress.advanced(record, Event.OK)
    assert (record.state, record.refused) == (State.IDLE, ())
    assert progress.offered(record, NEW, Event.OFFERED).attempts == {State.WARMING: 1}


def test_tries_are_forgotten_with_their_release() -> None:
    record = replace(at(State.IDLE), attempts={State.WARMING: 3})
    assert progress.offered(record, NEWER, Event.OFFERED).attempts == {}


def test_wrong_bytes_are_fetched_once_more_and_then_refused() -> None:
    first = progress.advanced(at(State.VERIFYING), Event.DAMAGED, "changed on the way")
    assert first.state is State.PULLING
    second = progress.advanced(replace(first, state=State.VERIFYING), Event.DAMAGED, "changed on the way")
    assert (second.state, second.refused[0].digest) == (State.FAILED, NEW)


@pytest.mark.parametrize("state", [State.PULLING, State.VERIFYING, State.WARMING, State.ROLLING_BACK])
def test_a_fault_of_the_box_never_refuses_a_release(state: State) -> None:
    known = dict(LIMITS) | {State.VERIFYING: 1}
    record = replace(at(state), attempts=known)
    for _ in range(100):
        record = progress.advanced(record, Event.RETRY, "the disk failed")
        assert not spent(MACHINE, record)
    assert (record.state, record.refused, record.attempts) == (state, (), known)


def test_what_falls_back_keeps_the_files_of_both() -> None:
    record = progress.fell_back(replace(SERVING_OLD, active=NEW, previous=OLD, state=State.FAILED, target=NEWER))
    assert (record.active, record.releases[:2]) == (OLD, (OLD, NEW))


def test_a_box_keeps_two_releases_at_most() -> None:
    record = replace(SERVING_OLD, active=NEW, previous=OLD)
    assert record.releases == (NEW, OLD)
    assert progress.offered(record, NEWER, Event.OFFERED).releases == (NEW, NEWER)


def test_only_the_newest_refusals_are_kept() -> None:
    many = tuple(Refusal(Digest(f"sha256:{n:064x}"), "bad") for n in range(100, 100 + MOST_REFUSED))
    record = progress.advanced(replace(at(State.VERIFYING), refused=many), Event.REJECTED, "bad")
    assert len(record.refused) == MOST_REFUSED
    assert record.refused[-1].digest == NEW


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\x01", b'{"version":1,"record":{"deployment":"q","state":"?"}}'])
def test_a_record_that_is_not_readable_is_rejected(content: bytes) -> None:
    with pytest.raises(Rejected, match="update record"):
        progress.from_bytes(content)


def test_a_record_of_a_newer_agent_is_rejected() -> None:
    newer = progress.to_bytes(FRESH).replace(b'"version":1', b'"version":2')
    with pytest.raises(Rejected, match="too old"):
        progress.from_bytes(newer)
