"""What is sent again, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.telemetry.window import FIRST_BACKOFF, JITTER, LONGEST_BACKOFF, Window, backoff


def window(most: int = 8) -> Window:
    return Window(chance=lambda: 0.5, most=most)


def test_a_new_batch_is_due_at_once_and_again_only_after_the_back_off() -> None:
    w = window()
    flight = w.add("e1", b"a", [1, 2], now=10.0)
    assert w.due(10.0) is flight
    w.sent(flight, 10.0)
    assert w.due(10.0 + FIRST_BACKOFF - 0.1) is None
    assert w.due(10.0 + FIRST_BACKOFF) is flight


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
    flight = w.add("e1", b"a", [1, 2, 3], now=0.0)
    w.acknowledged("e1", [(1, 1), (3, 3)])
    assert w.in_air == 1
    assert w.due(0.0) is flight
    w.acknowledged("e1", [(2, 2)])
    assert (w.in_air, w.next_at) == (0, None)


def test_no_more_batches_than_allowed_are_in_the_air() -> None:
    w = window(most=2)
    w.add("e1", b"a", [1], 0.0)
    assert not w.full
    w.add("e1", b"b", [2], 0.0)
    assert w.full
    w.acknowledged("e1", [(1, 1)])
    assert not w.full


def test_after_a_reconnect_everything_goes_out_again_without_waiting() -> None:
    w = window()
    flight = w.add("e1", b"a", [1], 0.0)
    for _ in range(5):
        w.sent(flight, 0.0)
    w.hurry(1.0)
    assert w.due(1.0) is flight


def test_an_answer_revives_only_what_has_waited_long() -> None:
    w = window()
    patient, fresh = w.add("e1", b"a", [1], 0.0), w.add("e1", b"b", [2], 0.0)
    for _ in range(4):
        w.sent(patient, 0.0)
    w.sent(fresh, 0.0)
    w.revive(0.5)
    assert w.due(0.5) is patient
    w.sent(patient, 0.5)
    w.revive(0.6)
    assert w.due(0.6) is None


def test_the_batch_that_waits_longest_goes_first() -> None:
    w = window()
    late, early = w.add("e1", b"late", [1], 5.0), w.add("e1", b"early", [2], 1.0)
    assert w.due(6.0) is early
    w.acknowledged("e1", [(2, 2)])
    assert w.due(6.0) is late
