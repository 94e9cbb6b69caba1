"""What a key wants to be told before it signs: the PIN of a token, from the environment or from whoever sits here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import click

from protos.errors import Rejected

PIN = "LONGSHORE_KEY_PIN"


def asker(environment: Mapping[str, str]) -> Callable[[str], str]:
    """Asks once, whatever signs how often: a wrong PIN that is said thrice locks most tokens."""
    known: dict[str, str] = {}

    def ask(what: str) -> str:
        if what not in known:
            known[what] = environment.get(PIN) or _typed(what)
        return known[what]

    return ask


def _typed(what: str) -> str:
    if not _somebody():
        raise Rejected(f"the key wants its {what} and nobody is there to ask; give it in {PIN}")
    try:
        answer: str = click.prompt(f"{what.upper()} of the key", hide_input=True, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None  # which no one who asks takes for a refusal of the key
    return answer


def agreed(question: str, *, yes: bool) -> bool:
    """Whether somebody who saw what it is about wants it. Raises Rejected where nobody could say so."""
    if yes:
        return True
    if not _somebody():
        raise Rejected("nobody is there to look at it; say --yes where somebody did")
    return click.confirm(question, err=True)


def _somebody() -> bool:
    """A job that was started without one has no standard input at all."""
    return bool(sys.stdin and sys.stdin.isatty())
