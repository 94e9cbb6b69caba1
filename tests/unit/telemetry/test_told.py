"""What the control plane is told of the books, when, and when not."""

from __future__ import annotations

from dataclasses import replace

from agent.telemetry.books import Tally
from agent.telemetry.classes import RecordClass
from agent.telemetry.told import MOST, Told

A = Tally("a", RecordClass.DETECTION, accepted=10, waiting=3, dropped=0, oldest_unix_ms=7)
B = Tally("b", RecordClass.METRIC, accepted=5, waiting=2, dropped=1, oldest_unix_ms=9)


def test_the_records_of_the_batch_itself_count_as_stored() -> None:
    (told,) = Told().beside([A], "a", records=2)
    assert (told.waiting, told.oldest_unix_ms) == (1, 7)
    (all_of_it,) = Told().beside([A], "a", records=3)
    assert (all_of_it.waiting, all_of_it.oldest_unix_ms) == (0, 0)


def test_others_are_told_until_that_is_acknowledged_and_again_when_they_grew() -> None:
    told = Told()
    assert told.beside([B], "a", 0) == told.beside([B], "a", 0) == (B,)
    told.heard([B])
    assert told.beside([replace(B, waiting=0)], "a", 0) == (), "that they wait no more is nothing new"
    assert told.beside([replace(B, accepted=6)], "a", 0) == (replace(B, accepted=6),)
    assert told.beside([replace(B, dropped=2)], "a", 0) == (replace(B, dropped=2),)


def test_at_most_so_many_go_with_one_batch_its_own_among_them() -> None:
    many = [replace(B, epoch=f"e{number}") for number in range(2 * MOST)]
    found = Told().beside([*many, A], "a", 0)
    assert len(found) == MOST
    assert found[0].epoch == "a"
