"""The context that `longshore up` lends to this user's home while it runs, so that commands find it from any folder.

It is added when the control plane answers and taken back at the end (docs/adr/0016-up-lends-a-context.md). It becomes
the current one only where none is: starting a demo must not turn a command that was meant for another fleet around.
One of this state folder that a killed `up` left behind is replaced. What a person renamed is still known by its state.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.cli.contexts import Context, changing, plain

NAME = "local"


@dataclass(frozen=True)
class Lent:
    """Under which name commands find it, and whether they do so without being told."""

    name: str
    current: bool


def lend(config: Path, context: Context) -> Lent:
    """Add `context`, whose `state` says whose it is. Raises Rejected: the file is not ours, or cannot be written."""
    with changing(config) as document:
        kept = document["contexts"]
        name = _of(kept, context.state) or _free(kept)
        kept[name] = plain(context)
        document["current"] = document["current"] or name
        return Lent(name, current=document["current"] == name)


def take_back(config: Path, state: str) -> None:
    """Forget it, if it is there still. Where it was the current one none is then: better asked than sent elsewhere."""
    if not config.is_file():
        return
    with changing(config) as document:
        name = _of(document["contexts"], state)
        document["contexts"].pop(name, None)
        document["current"] = "" if document["current"] == name else document["current"]


def _of(kept: dict[str, Any], state: str) -> str:
    return next((name for name, each in kept.items() if each.get("state") == state), "")


def _free(kept: dict[str, Any]) -> str:
    return next(name for name in (NAME, *(f"{NAME}-{number}" for number in range(2, 1000))) if name not in kept)
