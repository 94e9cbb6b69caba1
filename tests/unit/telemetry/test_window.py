"""What is sent again, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.telemetry.outbox import Lane
from agent.telemetry.window import (
    BEHIND_SECONDS,
    FIRST_BACKOFF,
    JITTER,
    LONGEST_BACKOFF,
    NO_RECORDS,
    Flight,
    Window,
    backoff,
)

EPOCH = "e1"


def window(most: int = 8) -> Window:
    return Window(chance=lambda: 0.5, most=most)


def added(w: Window, seqs: set[int], now: float = 0.0, lane: Lane = Lane.LIVE, epoch: str = EPOCH) -> Flight:
    return w.add(Flight(epoch, lane, b"", seqs, len(seqs - {NO_RECORDS}), now))


def test_a_new_batch_is_due_at_once_and_again_only_after_the_back_off() -> None:
    w = window()
    flight = added(w, {1, 2}, now=10.0)
    assert w.due(Lane.LIVE, 10.0) is flight
    w.sent(flight, 10.0, taken=True)
    assert w.due(Lane.LIVE, 10.0 + FIRST_BACKOFF - 0.1) is None
    assert w.due(Lane.LIVE, 10.0 + FIRST_BACKOFF) is flight


def test_while_answers_are_slow_what_is_not_answered_yet_is_not_taken_for_lost() -> None:
    w = window()
    for number in range(20):
        w.sent(added(w, {number + 1}, now=0.0), 0.0, taken=True)
        w.acknowledged(EPOCH, [(number + 1, number + 1)], 5.0)
    late = added(w, {100}, now=5.0)
    w.sent(late, 5.0, taken=True)
    assert w.due(Lane.LIVE, 5.0 + FIRST_BACKOFF + 5.0) is None
    w.sent(late, 50.0, taken=True)
    assert w.due(Lane.LIVE, 50.0 + LONGEST_BACKOFF) is late, "however slow"


def test_what_is_historical_is_given_time_because_what_is_live_is_stored_before_it() -> None:
    w = window()
    flight = added(w, {1}, lane=Lane.HISTORICAL)
    w.sent(flight, 0.0, taken=True)
    assert w.due(Lane.HISTORICAL, FIRST_BACKOFF + BEHIND_SECONDS - 0.1) is None
    assert w.due(Lane.HISTORICAL, FIRST_BACKOFF + BEHIND_SECONDS) is flight


def test_the_back_off_doubles_up_to_its_bound() -> None:
    waits = [backoff(tries, 0.5) for tries in range(12)]
    assert waits[:3] == [FIRST_BACKOFF, 2 * FIRST_BACKOFF, 4 * FIRST_BACKOFF]
    assert waits[-1] == LONGEST_BACKOFF


@given(tries=st.integers(0, 1000), chance=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_share(tries: int, chance: float) -> None:
    plain = backoff(tries, 0.5)
    assert plain * (1 - JITTER) <= backoff(tries, chance) <= plain * (1 + JITTER)


def test_a_batch_stays_until_every_record_of_it_is_acknowledged() -> None:
    w = window()
    flight = added(w, {1, 2, 3})
    assert w.acknowledged(EPOCH, [(1, 1), (3, 3)], 0.0) == []
    assert w.in_air() == 1
    assert w.due(Lane.LIVE, 0.0) is flight
    assert w.acknowledged(EPOCH, [(2, 2)], 0.0) == [flight]
    assert (w.in_air(), w.next_at(Lane.LIVE)) == (0, None)


def test_an_acknowledgement_is_of_its_own_epoch_only() -> None:
    w = window()
    added(w, {1, 2}, epoch="e2")
    assert w.acknowledged(EPOCH, [(1, 9)], 0.0) == []
    assert w.in_air() == 2


def test_any_acknowledgement_of_the_epoch_answers_a_batch_without_records() -> None:
    w = window()
    flight = added(w, {NO_RECORDS})
    assert w.in_air() == 0
    assert w.acknowledged(EPOCH, [], 0.0) == [flight]


def test_no_more_live_batches_than_allowed_are_in_the_air_whatever_waits_from_before() -> None:
    w = window(most=2)
    for number in range(5):
        added(w, {number}, lane=Lane.HISTORICAL, epoch="old")
    added(w, {1})
    assert not w.full
    added(w, {2})
    assert w.full
    w.acknowledged(EPOCH, [(1, 1)], 0.0)
    assert not w.full


def test_what_is_due_is_told_lane_by_lane() -> None:
    w = window()
    historical = added(w, {1}, now=1.0, lane=Lane.HISTORICAL)
    assert w.due(Lane.LIVE, 2.0) is None
    assert w.due(Lane.HISTORICAL, 2.0) is historical
    assert (w.next_at(Lane.LIVE), w.next_at(Lane.HISTORICAL)) == (None, 1.0)


def test_what_was_in_the_air_when_a_dark_time_ends_makes_room_for_what_is_live() -> None:
    w = window(most=1)
    flight = added(w, {1})
    w.darken()
    assert not w.full
    assert w.due(Lane.HISTORICAL, 0.0) is flight


def test_after_a_reconnect_everything_goes_out_again_without_waiting() -> None:
    w = window()
    flight = added(w, {1})
    for _ in range(5):
        w.sent(flight, 0.0, taken=True)
    w.hurry(1.0)
    assert w.due(Lane.LIVE, 1.0) is flight


def test_an_answer_revives_only_what_has_waited_long() -> None:
    w = window()
    patient, fresh = added(w, {1}), added(w, {2})
    for _ in range(4):
        w.sent(patient, 0.0, taken=True)
    w.sent(fresh, 0.0, taken=True)
    w.revive(0.5)
    assert w.due(Lane.LIVE, 0.5) is patient
    w.sent(patient, 0.5, taken=True)
    w.revive(0.6)
    assert w.due(Lane.LIVE, 0.6) is None


def test_the_batch_that_waits_longest_goes_first() -> None:
    w = window()
    late, early = added(w, {1}, 5.0), added(w, {2}, 1.0)
    assert w.due(Lane.LIVE, 6.0) is early
    w.acknowledged(EPOCH, [(2, 2)], 0.0)
    assert w.due(Lane.LIVE, 6.0) is late
