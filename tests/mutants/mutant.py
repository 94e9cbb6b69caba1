"""What a mutant is, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# A mutant that does not run proves nothing: whatever is tried would fail. pytest says `failed on setup` of a fixture.
BROKEN = (
    "NameError",
    "ImportError",
    "ModuleNotFoundError",
    "SyntaxError",
    "UnboundLocalError",
    "TypeError",
    "failed on",
)


class Gone(Exception):
    """The text that a mutant takes away is not there, or more than once."""


@dataclass(frozen=True)
class Mutant:
    """`old` in `file` becomes `new`; then each of `tests`, by file and name, must fail in at least one of its cases."""

    name: str
    guarantee: str  # a sentence
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """`text` of `file` without the guarantee. Raises Gone."""
        found = text.count(self.old)
        if found != 1:
            raise Gone(f"{self.name}: what it takes away stands {found} times in {self.file}; mend tests/mutants")
        return text.replace(self.old, self.new)


class Outcome(StrEnum):
    RED = "red"
    SURVIVED = "survived"  # a named test passed
    SKIPPED = "not run here"  # a named test was skipped
    BROKEN = "broken"  # the mutant does not run


@dataclass(frozen=True)
class Case:
    """One test case that was run. `failure`: how it failed, empty when it passed."""

    test: str  # file::name, without parameters
    skipped: bool = False
    failure: str = ""


@dataclass(frozen=True)
class Verdict:
    """`reasons`: by test, how its first failure began."""

    mutant: Mutant
    outcome: Outcome
    reasons: Mapping[str, str]
    seconds: float = 0.0


def judged(mutant: Mutant, cases: Iterable[Case], seconds: float = 0.0) -> Verdict:
    known = list(cases)
    reasons: dict[str, str] = {}
    for case in known:
        if case.failure:
            reasons.setdefault(case.test, case.failure)
    ran = {case.test for case in known if not case.skipped}
    return Verdict(mutant, _outcome(mutant, reasons, ran), reasons, seconds)


def _outcome(mutant: Mutant, reasons: Mapping[str, str], ran: set[str]) -> Outcome:
    if any(reason.startswith(BROKEN) for reason in reasons.values()) or (not ran and not reasons):
        return Outcome.SKIPPED if not reasons else Outcome.BROKEN
    if set(mutant.tests) <= reasons.keys():
        return Outcome.RED
    return Outcome.SURVIVED if set(mutant.tests) <= ran else Outcome.SKIPPED
