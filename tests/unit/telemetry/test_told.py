"""What the control plane is told of the books, when, and when not."""

from __future__ import annotations

from dataclasses import replace

from agent.telemetry.books import Tally
from agent.telemetry.records import RecordClass
from agent.telemetry.told import MOST, Told

A = Tally("a", RecordClass.DETECTION, accepted=10, waiting=3, dropped=0, oldest_unix_ms=7)
B = Tally("b", RecordClass.METRIC, accepted=5, waiting=2, dropped=1, oldest_unix_ms=9)


def test_the_records_of_the_batch_itself_count_as_stored() -> None:
    (told,) = Told().beside([A], "a", records=2)
    assert (told.waiting, told.oldest_unix_ms) == (1, 7)
    (all_of_it,) = Told().beside([A], "a", records=3)
    assert (all_of_it.waiting, all_of_it.oldest_unix_ms) == (0, 0)


def test_a_batch_repeats_a_tally_until_it_is_acknowledged() -> None:
    told = Told()
    first = told.beside([A], "a", 1)
    assert told.beside([A], "a", 1) == first
    told.heard(first)
    assert told.beside([A], "a", 1) == ()


def test_others_are_told_when_they_grew_and_not_merely_because_they_wait_no_more() -> None:
    told = Told()
    told.heard([A, B])
    assert told.beside([A, replace(B, waiting=0)], "a", 0) == ()
    assert told.beside([A, replace(B, accepted=6)], "a", 0) == (replace(B, accepted=6),)
    assert told.beside([A, replace(B, dropped=2)], "a", 0) == (replace(B, dropped=2),)


def test_at_rest_all_that_differs_is_told_and_the_age_of_the_oldest_alone_is_nothing_new() -> None:
    told = Told()
    told.heard([A, B])
    assert told.at_rest([A, replace(B, oldest_unix_ms=1)]) == ()
    assert told.at_rest([replace(A, waiting=0), B]) == (replace(A, waiting=0),)


def test_at_most_so_many_go_with_one_batch_its_own_among_them() -> None:
    many = [replace(B, epoch=f"e{number}") for number in range(2 * MOST)]
    found = Told().beside([*many, A], "a", 0)
    assert len(found) == MOST
    assert found[0].epoch == "a"


def test_what_the_outbox_no_longer_knows_is_forgotten_and_after_a_reconnection_everything() -> None:
    told = Told()
    told.heard([A, B])
    told.keep([B])
    assert told.at_rest([A, B]) == (A,)
    told.forget()
    assert told.at_rest([A, B]) == (A, B)
