"""What the checker of telemetry says about histories that a person can judge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.telemetry.history import Books, Counted, Found, History, Hole, Made, Tally, ledger

RUN = "0badcafe"


def debug(number: int, *, run: str = RUN, epoch: str = "e", seq: int = 0) -> Found:
    return Found(epoch, seq or number, Made(run, "debug", number))


def hole(first: int, last: int, dropped: int | None = None) -> Hole:
    return Hole("e", "debug", first, last, last - first + 1 if dropped is None else dropped)


WHOLE = History(
    "quay",
    {(RUN, "debug"): 4},
    [debug(1), debug(4), Found("gaps", 1, None)],
    [hole(2, 3)],
    [Tally("e", "debug", 4, 0, 2), Tally("gaps", "gap", 1, 0, 0)],
    [Counted("e", 2, 2, 4), Counted("gaps", 1, 0, 1)],
    Books(5, 0, 2),
)


def test_a_history_in_which_all_is_stored_or_declared_dropped_is_whole() -> None:
    assert WHOLE.complaints() == []
    assert WHOLE.counts() == {"accepted": 4, "stored": 2, "dropped": 2, "gaps": 1}


def test_what_was_committed_but_is_not_in_the_ledger_yet_may_be_stored() -> None:
    assert replace(WHOLE, accepted={(RUN, "debug"): 1}, burst=3).complaints() == []


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        (replace(WHOLE, holes=[hole(2, 2)]), "1 debugs of run 0badcafe are lost, the first number 3 of 4"),
        (replace(WHOLE, accepted={(RUN, "debug"): 5}), "1 debugs of run 0badcafe are lost, the first number 5 of 5"),
        (replace(WHOLE, accepted={("other", "alarm"): 1}), "1 alarms of run other are lost, the first number 1 of 1"),
        (replace(WHOLE, accepted={}), "debug 1 of run 0badcafe was never handed over"),
        (replace(WHOLE, holes=[hole(2, 4)]), "number 4 of epoch e is stored and declared dropped, or declared twice"),
        (replace(WHOLE, holes=[hole(2, 3, 1)]), "a Gap of epoch e says 1 of 2 to 3"),
        (replace(WHOLE, holes=[]), "epoch e misses 2 of its 4 numbers"),
        (
            replace(WHOLE, found=[*WHOLE.found, debug(1, epoch="f", seq=1)]),
            "debug 1 of run 0badcafe is stored 2 times",
        ),
        (
            replace(WHOLE, found=[*WHOLE.found, debug(1, run="other", seq=5)]),
            "epoch e holds records of 2 runs and classes",
        ),
        (
            replace(WHOLE, found=[debug(4, seq=1), debug(1, seq=4), Found("gaps", 1, None)]),
            "epoch e is out of order behind number 1",
        ),
        (
            replace(WHOLE, tallies=[Tally("e", "debug", 4, 1, 3)]),
            "the box told Tally(epoch='e', record_class='debug', accepted=4, waiting=1, dropped=3); "
            "stored are 2, declared 2",
        ),
        (
            replace(WHOLE, books=Books(5, 1, 2)),
            "the outbox says Books(accepted=5, waiting=1, dropped=2); "
            "by what is stored it is Books(accepted=5, waiting=0, dropped=2)",
        ),
        (
            replace(WHOLE, counted=[Counted("e", 2, 1, 3)]),
            "ingest counted Counted(epoch='e', stored=2, dropped=1, up_to=3); "
            "by its rows it is Counted(epoch='e', stored=2, dropped=2, up_to=4)",
        ),
        (replace(WHOLE, tallies=[Tally("e", "debug", 6, 0, 2)]), "epoch e misses 2 of its 6 numbers"),
    ],
)
def test_what_is_wrong_is_said(history: History, sentence: str) -> None:
    assert f"quay: {sentence}" in history.complaints()


def test_a_hundred_faults_of_one_kind_take_six_lines() -> None:
    accepted = {(f"run-{number}", "alarm"): 1 for number in range(100)}
    said = History("quay", accepted, [], []).complaints()
    assert len(said) == 6
    assert said[-1] == "quay: and 95 more like it"


def test_the_last_whole_line_of_a_run_counts() -> None:
    lines = ["a 1 4 2 3", "a 2 8 4 6", "b 1 4 2 3", "b 2 8"]
    accepted = ledger(lines)
    assert accepted["a", "detection"] == 8
    assert accepted["b", "debug"] == 3
