"""Which berth starts: what the launcher reads, and all that it decides. Pure, and of the standard library alone.

`kept` is what was confirmed last, `trial` what must prove itself; a start of the trial is counted before it happens.
OUTSIDE is the environment that somebody installed: it is never written by an update, and starts when nothing else does.
What a launcher writes, agents of later versions read, and the other way round: fields are added, never changed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

OUTSIDE = "outside"
BERTHS = ("a", "b")
STARTS = 3  # of a trial that is never confirmed: a power cut or two in its first minutes are no fault of its own
FOLDER, FILE, RELEASE, PYTHON = "berths", "choice.json", "release", "env/bin/python"
VARIABLE = "LONGSHORE_AGENT_BERTH"  # how a launcher tells the agent where it runs


@dataclass(frozen=True)
class Choice:
    """`trial`: "" for none. `starts`: of the trial, so far."""

    kept: str = OUTSIDE
    trial: str = ""
    starts: int = 0


def candidates(choice: Choice) -> tuple[str, ...]:
    """What to start, best first: the next is taken where one is not able to."""
    trial = (choice.trial,) if choice.trial and choice.starts < STARTS else ()
    return tuple(dict.fromkeys((*trial, choice.kept, OUTSIDE)))


def counted(choice: Choice) -> Choice:
    """With the start that is about to happen."""
    begins = choice.trial and choice.starts < STARTS
    return replace(choice, starts=choice.starts + 1) if begins else choice


def free(choice: Choice, running: str) -> str:
    """The berth that may be written: neither the one that runs nor the one that is kept, if there is such a one."""
    return next((each for each in BERTHS if each not in (running, choice.kept)), "")


def to_bytes(choice: Choice) -> bytes:
    return (json.dumps(asdict(choice), sort_keys=True) + "\n").encode()


def from_bytes(content: bytes) -> Choice:
    """What makes no sense is no choice: the environment outside starts, and updates itself anew."""
    try:
        found = json.loads(content)
        kept, trial, starts = found["kept"], found["trial"], found["starts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Choice()
    sane = kept in (OUTSIDE, *BERTHS) and trial in ("", *BERTHS) and type(starts) is int and starts >= 0
    return Choice(kept, trial, starts) if sane else Choice()
