"""A Run and how it gets on, decided without I/O.

    Pending → Preparing → Running → Publishing → Succeeded
                                               ↘ Failed, from any of them
    Cancelling → Cancelled; and back to Pending when its process was killed: it then goes on from its checkpoint

`TRANSITIONS` is all of it and `moved` is the one function that changes a phase, with why. `decided` says what follows
from what the executor sees, for each phase and whatever happened meanwhile: a control plane that comes back needs
nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from controlplane.errors import Conflict
from controlplane.fleet.objects import Condition, Meta
from controlplane.training.ports import Look, State
from controlplane.training.progress import Progress
from controlplane.training.recipe import Value
from protos.ids import ModelName, Version

MOST_STARTS = 3  # of one Run that is killed again and again: by then it is no accident
KEEP_WORK = 20  # newest Runs that keep checkpoints and release folder on disk
KEEP_RUNS = 500  # newest Runs that are remembered at all
FIRST_VERSION = Version("1.0.0")
_KILLED = frozenset({-9, 137, -15, 143})  # by somebody else: SIGKILL, as a machine short of memory sends it, or SIGTERM
_DOTTED = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,2}")
_NUMBERED = re.compile(r"(.+)-(\d{1,9})")


class Phase(StrEnum):
    PENDING = "Pending"
    PREPARING = "Preparing"
    RUNNING = "Running"
    PUBLISHING = "Publishing"
    CANCELLING = "Cancelling"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


FINISHED = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})
ON_THE_MACHINE = frozenset({Phase.PREPARING, Phase.RUNNING, Phase.CANCELLING})  # they have, or soon had, a process


class Event(StrEnum):
    BEGIN = "its turn came"
    TRAINING = "the recipe runs"
    ENDED = "the recipe ended well"
    INTERRUPTED = "it was killed and goes on"
    BROKE = "it cannot go on"
    PUBLISHED = "the registry took the release"
    CANCEL = "somebody cancelled it"
    STOPPED = "its process is gone"


P, E = Phase, Event
TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    (P.PENDING, E.BEGIN): P.PREPARING,
    (P.PENDING, E.BROKE): P.FAILED,
    (P.PENDING, E.CANCEL): P.CANCELLED,
    (P.PREPARING, E.TRAINING): P.RUNNING,
    (P.PREPARING, E.ENDED): P.PUBLISHING,  # over before anybody looked
    (P.PREPARING, E.INTERRUPTED): P.PENDING,
    (P.PREPARING, E.BROKE): P.FAILED,
    (P.PREPARING, E.CANCEL): P.CANCELLING,
    (P.RUNNING, E.ENDED): P.PUBLISHING,
    (P.RUNNING, E.INTERRUPTED): P.PENDING,
    (P.RUNNING, E.BROKE): P.FAILED,
    (P.RUNNING, E.CANCEL): P.CANCELLING,
    (P.PUBLISHING, E.PUBLISHED): P.SUCCEEDED,
    (P.PUBLISHING, E.BROKE): P.FAILED,
    (P.CANCELLING, E.STOPPED): P.CANCELLED,
}


@dataclass(frozen=True)
class Run:
    name: str
    meta: Meta
    recipe: str
    model: ModelName
    version: Version
    settings: Mapping[str, Value]
    phase: Phase = Phase.PENDING
    attempt: int = 0  # counts starts; names the one that should run
    killed: int = 0  # starts that ended by a kill nobody here asked for
    started_ms: int = 0  # 0: not yet
    ended_ms: int = 0
    conditions: tuple[Condition, ...] = ()  # one for each phase it was in, the last is where it is
    progress: Progress = field(default_factory=Progress)
    release: str = ""  # name of the release it gave
    kept: bool = True  # its checkpoints are still on disk

    @property
    def finished(self) -> bool:
        return self.phase in FINISHED

    @property
    def why(self) -> Condition:
        """Of the phase it is in."""
        return self.conditions[-1]

    @property
    def place(self) -> str:
        """Where it stands in lists, oldest first; compares as text."""
        return f"{self.meta.created_unix_ms:015d}/{self.name}"


@dataclass(frozen=True)
class Why:
    reason: str  # CamelCase, for programs
    message: str  # a sentence, for people


def begun(run: Run, why: Why, now_ms: int) -> Run:
    """A Run that was just asked for."""
    return replace(run, conditions=(_condition(Phase.PENDING, why, now_ms),))


def moved(run: Run, event: Event, why: Why, now_ms: int) -> Run:
    """The Run after `event`. Raises Conflict when its phase knows no such event."""
    phase = TRANSITIONS.get((run.phase, event))
    if phase is None:
        raise Conflict(f"run {run.name} is {run.phase}: {_refusals(run)}")
    past = tuple(replace(each, status="False") for each in run.conditions if each.type != phase)
    return replace(
        run,
        phase=phase,
        meta=replace(run.meta, resource_version=run.meta.resource_version + 1),
        conditions=(*past, _condition(phase, why, now_ms)),
        attempt=run.attempt + (event is Event.BEGIN),
        started_ms=run.started_ms or (now_ms if event is Event.BEGIN else 0),
        ended_ms=now_ms if phase in FINISHED else 0,
    )


def _condition(phase: Phase, why: Why, now_ms: int) -> Condition:
    return Condition(phase.value, "True", why.reason, why.message, now_ms)


def _refusals(run: Run) -> str:
    if run.phase is Phase.PUBLISHING:
        return "its training is over and its release is being stored; delete the release afterwards"
    if run.phase is Phase.CANCELLING:
        return "it is being cancelled already"
    return "it is over"


class Act(StrEnum):
    """What the executor is asked to do."""

    BEGIN = "begin"
    STOP = "stop"
    PUBLISH = "publish"


@dataclass(frozen=True)
class Decision:
    """An event, or something to do, or neither."""

    event: Event | None = None
    why: Why = Why("", "")
    act: Act | None = None
    killed: bool = False  # count it against MOST_STARTS


def decided(run: Run, look: Look) -> Decision:
    """What follows for a Run that has begun and has not finished, from what its executor sees."""
    match run.phase:
        case Phase.PREPARING | Phase.RUNNING:
            return _going(run, look)
        case Phase.CANCELLING if look.alive:
            return Decision(act=Act.STOP)
        case Phase.CANCELLING:
            return Decision(Event.STOPPED, Why("Cancelled", "it was cancelled; nothing was published"))
        case Phase.PUBLISHING:
            return Decision(act=Act.PUBLISH)
        case _:
            return Decision()


def _going(run: Run, look: Look) -> Decision:
    if look.alive:
        if run.phase is Phase.PREPARING and look.state is State.RUNNING:
            return Decision(Event.TRAINING, Why("Training", "the recipe runs"))
        return Decision()
    if look.attempt != run.attempt:
        if run.phase is Phase.PREPARING:
            return Decision(act=Act.BEGIN)
        return _killed(run, "its folder is gone")
    if look.code == 0:
        return Decision(Event.ENDED, Why("Trained", "the recipe ended well; its release goes into the registry"))
    if look.told:
        return Decision(Event.INTERRUPTED, Why("ControlPlaneStopped", "it was paused and goes on from its checkpoint"))
    if look.code is None:
        return _killed(run, "its process is gone, as after a power cut")
    if look.code in _KILLED:
        return _killed(run, "it was killed from outside; was memory short?")
    return Decision(Event.BROKE, _exit(look))


def _killed(run: Run, how: str) -> Decision:
    starts = run.killed + 1
    if starts >= MOST_STARTS:
        why = Why("KilledTooOften", f"{how} ({starts} times in all); look at its log, then train again")
        return Decision(Event.BROKE, why, killed=True)
    why = Why("Killed", f"{how}; it goes on from its checkpoint (start {starts + 1} of {MOST_STARTS})")
    return Decision(Event.INTERRUPTED, why, killed=True)


def _exit(look: Look) -> Why:
    how = f"exit code {look.code}" if (look.code or 0) > 0 else f"signal {-(look.code or 0)}"
    if look.state is State.UNPREPARED:
        return Why("NoEnvironment", f"the training environment could not be made ({how}); see the log")
    return Why("RecipeFailed", f"the recipe ended with {how}")


# ---- names and versions ----


def free_name(recipe: str, taken: Iterable[str]) -> str:
    """`harbour-3`, where `harbour-2` is the highest so far."""
    numbers = [int(found[2]) for each in taken if (found := _NUMBERED.fullmatch(each)) and found[1] == recipe[:50]]
    return f"{recipe[:50]}-{max(numbers, default=0) + 1}"


def next_version(taken: Iterable[str]) -> Version:
    """The patch after the highest dotted version, such as 1.4.1 after 1.4.0; 1.0.0 where there is none."""
    dotted = [tuple(int(part) for part in each.split(".")) for each in taken if _DOTTED.fullmatch(each)]
    if not dotted:
        return FIRST_VERSION
    major, minor, patch = (*max(dotted), 0, 0)[:3]
    return Version(f"{major}.{minor}.{patch + 1}")
