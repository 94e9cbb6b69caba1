"""The table is whole, the runner tells red from green, and a sample by seed turns red. All of it: `make mutants`."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.mutants.checkout import CHECKOUT, limit, run, shares
from tests.mutants.mutant import Case, Gone, Mutant, Outcome, judged
from tests.mutants.table import MUTANTS, TABLES, sample

EACH, SEED = 2, 0
FLOOR = next(mutant for mutant in MUTANTS if mutant.name == "root-floor")


def test_each_has_a_name_of_its_own_and_there_are_enough_of_each_table() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert all(len(table) >= 15 for table in TABLES)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_it_takes_away_is_there_and_so_are_its_tests(mutant: Mutant) -> None:
    compile(mutant.applied((CHECKOUT / mutant.file).read_text()), mutant.file, "exec")
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert re.search(rf"def {name}\(", (CHECKOUT / path).read_text()), test


def test_text_that_is_gone_or_there_twice_is_an_error() -> None:
    for text in ("", FLOOR.old * 2):
        with pytest.raises(Gone, match=f"root-floor: what it takes away stands {text.count(FLOOR.old)} times"):
            FLOOR.applied(text)


@pytest.mark.parametrize(
    ("cases", "outcome"),
    [
        ([Case("one", failure="assert 1 == 2"), Case("one"), Case("two", failure="DID NOT RAISE")], Outcome.RED),
        ([Case("one", failure="assert 1 == 2"), Case("two")], Outcome.SURVIVED),
        ([Case("one"), Case("two")], Outcome.SURVIVED),
        ([Case("one", failure="assert 1 == 2"), Case("two", skipped=True)], Outcome.SKIPPED),
        ([Case("one", failure="NameError: name 'x' is not defined"), Case("two", failure="no")], Outcome.BROKEN),
        ([Case("elsewhere", failure="ImportError: no")], Outcome.BROKEN),
        ([Case("one", failure="failed on setup with no"), Case("two", failure="no")], Outcome.BROKEN),
        ([], Outcome.SKIPPED),
    ],
    ids=lambda value: value if isinstance(value, Outcome) else "",
)
def test_only_one_whose_every_test_failed_is_red(cases: list[Case], outcome: Outcome) -> None:
    assert judged(replace(FLOOR, tests=("one", "two")), cases).outcome is outcome


def test_a_slow_machine_has_time_for_what_is_run_in_an_unchanged_copy() -> None:
    few, many = sorted({test for mutant in MUTANTS for test in mutant.tests})[:1], shares(MUTANTS)[0]
    assert len(many) > 50
    assert limit(many) - limit(few) >= 10.0 * (len(many) - 1), "ten seconds for each, where half a second is usual"


@pytest.mark.timeout(300)  # half a minute on an idle machine
def test_a_sample_turns_red_and_what_takes_nothing_away_survives() -> None:
    """In copies of this checkout; nothing here is changed."""
    harmless = replace(FLOOR, name="harmless", new=f"    # nothing is taken away\n{FLOOR.old}")
    verdicts, _ = run([harmless, *sample(EACH, SEED)], lambda _: None, baseline=False)
    assert verdicts[0].outcome is Outcome.SURVIVED
    fine = (Outcome.RED, Outcome.SKIPPED)  # what needs root or a layer of the kernel is not run everywhere
    assert [(each.mutant.name, each.reasons) for each in verdicts if each.outcome not in fine][1:] == []
