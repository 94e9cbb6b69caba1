"""Lives of a box whose agent updates itself, in processes of their own.

python -m tests.crash.agent_world     serves Lives: tests.crash.lives
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent.berths import progress
from agent.berths.machine import RESUME, Place
from agent.berths.progress import Progress
from tests.crash.lives import serve
from tests.sim import agent_releases
from tests.sim.agent_box import AgentBox, Faults, quickly
from tests.sim.crashing import CrashPoint

MADE = {name: agent_releases.make(version) for name, version in (("old", "0.3.0"), ("new", "0.3.1"))}
VERSIONS = {"old": "0.3.0", "new": "0.3.1"}
NAMES = {made.digest: name for name, made in MADE.items()}


class Life(msgspec.Struct, frozen=True):
    """From power on until the update rests, or until the kill. `without`: a protection that is taken away."""

    folder: str
    wants: str
    kill_at: int | None = None
    falls: bool = False  # "new" ends at each start
    sick: bool = False  # under "new" nothing answers
    by_hand: bool = False  # no network; what is wanted was carried
    without: str = ""


class Ended(msgspec.Struct, frozen=True):
    killed: bool = False
    runs: str = ""
    state: str = ""
    first: str = ""  # what the first start was of
    calls: int = 0
    error: str = ""


def _no_whole_berths(patch: pytest.MonkeyPatch) -> None:
    """The berth that is kept is written over."""
    patch.setattr("agent.berths.choice.free", lambda choice, running: "a")


def _no_counting(patch: pytest.MonkeyPatch) -> None:
    """Starts of a trial are not counted."""
    patch.setattr("agent.berths.choice.counted", lambda choice: choice)


def _no_confirming(patch: pytest.MonkeyPatch) -> None:
    """Whatever starts is kept."""
    patch.setattr("agent.berths.choice.candidates", lambda choice: (choice.trial or choice.kept, "outside"))


def _no_looking_where_it_is(patch: pytest.MonkeyPatch) -> None:
    """The record alone says where to go on."""

    def resumed(record: Progress, *_: object) -> Progress:
        return replace(record, state=RESUME[record.state, Place.KEPT])

    patch.setattr(progress, "resumed", resumed)


AWAY = {
    "two berths": _no_whole_berths,
    "counted starts": _no_counting,
    "going back": _no_confirming,
    "looking where the process is": _no_looking_where_it_is,
}


async def _lived(life: Life) -> Ended:
    box = AgentBox(Path(life.folder), point=CrashPoint(life.kill_at))
    box.blobs.add(*MADE.values())
    new = frozenset({MADE["new"].digest})
    box.faults = Faults(falls=new if life.falls else frozenset(), sick=new if life.sick else frozenset())
    box.network, box.by_hand = not life.by_hand, life.by_hand
    box.point.witness = lambda label: _witness(box, label)
    await box.lives(MADE[life.wants], VERSIONS[life.wants])
    runs = NAMES.get(box.runs, "outside") if box.runs else "outside"
    return Ended(False, runs, box.update.record.state, box.starts[0], len(box.point.labels))


def _witness(box: AgentBox, label: str) -> None:
    """At any moment what is kept is whole."""
    if not box.whole():
        raise AssertionError(f"before {label}: the berth that is kept is not whole")


def _here(life: Life) -> Ended:
    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        if life.without:
            AWAY[life.without](patch)
        try:
            return asyncio.run(asyncio.wait_for(_lived(life), 20))
        except (AssertionError, TimeoutError) as error:
            return Ended(error=repr(error))


if __name__ == "__main__":
    serve(Life, _here, Ended(killed=True), lambda why: Ended(error=why))
