"""The life of an engine as data.

    NEW ─start─► STARTING ─ready─► READY ─died─► RESTARTING ─ready─► READY
                    │ refused                       │ spent
                    ▼                               ▼
                  CLOSED ◄──────close── any       FAILED ─close─► CLOSED

A worker that dies while the engine is STARTING or RESTARTING changes nothing here: whoever starts it counts the tries.
"""

from __future__ import annotations

from enum import StrEnum

from agent.inference.errors import Broken
from protos.errors import Fatal, Retryable


class State(StrEnum):
    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"  # crashed too often
    CLOSED = "closed"


class Event(StrEnum):
    START = "start"
    READY = "ready"
    REFUSED = "refused"  # the model does not load
    DIED = "died"
    SPENT = "spent"  # the restart budget
    CLOSE = "close"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.NEW, Event.START): State.STARTING,
    (State.STARTING, Event.READY): State.READY,
    (State.STARTING, Event.REFUSED): State.CLOSED,
    (State.READY, Event.DIED): State.RESTARTING,
    (State.RESTARTING, Event.DIED): State.RESTARTING,
    (State.RESTARTING, Event.READY): State.READY,
    (State.RESTARTING, Event.SPENT): State.FAILED,
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
        case State.FAILED:
            raise Broken("this model crashed its worker too often; deploy another release or look at the agent's log")
        case State.CLOSED:
            raise Retryable("this engine was closed; another release took its place")
        case _:
            raise Retryable("the engine worker is starting; try again in a moment", after_seconds=0.5)
