"""`make mutants`, or: python -m tests.mutants [--only NAME]… [--sample N --seed S] [--json FILE]

Ends with 1 unless every mutant turned each of its tests red, and none of them is red without.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machine import commit, describe
from tests.mutants.checkout import run
from tests.mutants.mutant import Case, Gone, Mutant, Outcome, Verdict
from tests.mutants.table import MUTANTS, sample


def main() -> int:
    wish = _wish()
    try:
        wanted = _wanted(wish)
        started, copied = time.monotonic(), commit()  # what is looked at is copied now
        verdicts, amiss = run(wanted, _told, baseline=True)
    except Gone as error:
        print(error, file=sys.stderr)
        return 2
    for case in amiss:
        print(f"without any mutant, {case.test} fails: {case.failure}", file=sys.stderr)
    seconds = time.monotonic() - started
    counts = Counter(verdict.outcome for verdict in verdicts)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    print(f"{len(verdicts)} mutants in {seconds:.0f} s: {told}")
    if wish.json:
        wish.json.write_text(json.dumps(_report(verdicts, amiss, seconds, copied), indent=2) + "\n")
    return int(bool(amiss) or counts.keys() != {Outcome.RED})


def _wish() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", default=[], help="these alone")
    parser.add_argument("--sample", type=int, metavar="N", help="so many of each table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def _wanted(wish: argparse.Namespace) -> Sequence[Mutant]:
    """Raises Gone for a name that no mutant has."""
    known = {mutant.name: mutant for mutant in MUTANTS}
    if unknown := set(wish.only) - known.keys():
        raise Gone(f"there is no mutant {min(unknown)!r}; there are {', '.join(known)}")
    if wish.only:
        return [known[name] for name in wish.only]
    return MUTANTS if wish.sample is None else sample(wish.sample, wish.seed)


def _told(verdict: Verdict) -> None:
    mutant = verdict.mutant
    print(f"{verdict.outcome:<12} {mutant.name:<30} {verdict.seconds:5.1f} s  {mutant.guarantee}", flush=True)
    if verdict.outcome is not Outcome.RED:
        for test in mutant.tests:
            print(f"{'':<12} {test}: {verdict.reasons.get(test, 'passed, or was not run')}", flush=True)


def _kind(reason: str) -> str:
    """Of a failure, without its words: they hold paths and keys of tests."""
    found = re.match(r"[\w.]*", reason)
    return found[0] if found else ""


def _report(verdicts: Sequence[Verdict], amiss: Sequence[Case], seconds: float, copied: str) -> dict[str, Any]:
    return {
        "machine": describe(),
        "commit": copied,
        "seconds": round(seconds),
        "mutants": len(verdicts),
        "red": sum(verdict.outcome is Outcome.RED for verdict in verdicts),
        "failed_without_any": [case.test for case in amiss],
        "each": [
            {
                "name": verdict.mutant.name,
                "guarantee": verdict.mutant.guarantee,
                "file": verdict.mutant.file,
                "outcome": verdict.outcome,
                "tests": {test: _kind(verdict.reasons.get(test, "")) for test in verdict.mutant.tests},
            }
            for verdict in verdicts
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
