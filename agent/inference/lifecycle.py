"""The life of an engine as data.

    NEW ─start─► STARTING ─ready─► READY ─died─► RESTARTING ─ready─► READY
                                          any ─close─► CLOSED

A worker that dies while the engine is STARTING or RESTARTING changes nothing here: whoever starts it counts the tries.
A model that loaded once is never given up: whether its release stays is decided by those who deploy it.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from enum import StrEnum

from agent.inference.errors import BadModel
from protos.errors import Fatal, LongshoreError, Retryable

# How code that goes wrong ends its process. Not among them: SIGKILL and SIGBUS, as of a box short of memory; SIGILL, of
# a runtime built for another processor; and codes above 0, of a library that is not there or a mistake of ours.
FAULTS = frozenset({-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGFPE})


class State(StrEnum):
    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    CLOSED = "closed"


class Event(StrEnum):
    START = "start"
    READY = "ready"
    DIED = "died"
    CLOSE = "close"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.NEW, Event.START): State.STARTING,
    (State.STARTING, Event.READY): State.READY,
    (State.READY, Event.DIED): State.RESTARTING,
    (State.RESTARTING, Event.DIED): State.RESTARTING,
    (State.RESTARTING, Event.READY): State.READY,
    **{(state, Event.CLOSE): State.CLOSED for state in State},
}


def after(state: State, event: Event) -> State:
    """The next state. Raises Fatal for a pair that cannot happen."""
    if (state, event) not in TRANSITIONS:
        raise Fatal(f"this is a bug: an engine cannot go on from {state} by {event}")
    return TRANSITIONS[state, event]


def check_ready(state: State) -> None:
    """Raises what a call in this state deserves; nothing when READY."""
    match state:
        case State.READY:
            return
        case State.CLOSED:
            raise Retryable("this engine was closed; another release took its place")
        case _:
            raise Retryable("the engine worker is starting; try again in a moment", after_seconds=0.5)


def blamed(codes: Sequence[int | None], last: Retryable) -> LongshoreError:
    """The error of a load that failed each time; `codes` say how its workers ended, None: there was none to start.

    Only a model whose every try crashed its worker is at fault; anything else may pass.
    """
    if all(code in FAULTS for code in codes):
        return BadModel(f"the model crashed its worker {len(codes)} times while loading; deploy another release")
    return last
