"""The update machine as data: what follows an event, and where to go on after the power came back.

IDLE          nothing to do: the wanted release answers, or none is wanted
PULLING       manifest and files come to staging, by digest, resumable
VERIFYING     every staged file is hashed against the manifest and takes its final place
WARMING       a new engine loads beside the old one and runs on real shapes
SWAPPING      one reference moves, between two batches
CONFIRMING    the new release answers and must stay healthy; the old one waits, loaded
ROLLING_BACK  the new engine goes, the old one answers
FAILED        the wanted release is refused; the old one answers

Events are those of agent.update.record; a newer offer always supersedes.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from agent.update.record import Event, Machine


class State(StrEnum):
    IDLE = "IDLE"
    PULLING = "PULLING"
    VERIFYING = "VERIFYING"
    WARMING = "WARMING"
    SWAPPING = "SWAPPING"
    CONFIRMING = "CONFIRMING"
    ROLLING_BACK = "ROLLING_BACK"
    FAILED = "FAILED"


_S, _E = State, Event

TRANSITIONS = MappingProxyType(
    {
        (_S.IDLE, _E.OFFERED): _S.PULLING,
        (_S.IDLE, _E.REJECTED): _S.FAILED,  # asked again for a release that was refused before
        (_S.FAILED, _E.OFFERED): _S.PULLING,
        (_S.FAILED, _E.OK): _S.IDLE,
        (_S.FAILED, _E.REJECTED): _S.FAILED,  # asked for another release that was refused before
        (_S.PULLING, _E.OK): _S.VERIFYING,
        (_S.PULLING, _E.RETRY): _S.PULLING,
        (_S.PULLING, _E.REJECTED): _S.FAILED,
        (_S.PULLING, _E.ABORTED): _S.IDLE,
        (_S.VERIFYING, _E.OK): _S.WARMING,
        (_S.VERIFYING, _E.RETRY): _S.VERIFYING,
        (_S.VERIFYING, _E.DAMAGED): _S.PULLING,
        (_S.VERIFYING, _E.REJECTED): _S.FAILED,
        (_S.VERIFYING, _E.ABORTED): _S.IDLE,
        (_S.WARMING, _E.OK): _S.SWAPPING,
        (_S.WARMING, _E.RETRY): _S.WARMING,
        (_S.WARMING, _E.DAMAGED): _S.ROLLING_BACK,  # and pulled again from there, for it is still wanted
        (_S.WARMING, _E.REJECTED): _S.ROLLING_BACK,
        (_S.WARMING, _E.ABORTED): _S.ROLLING_BACK,
        (_S.SWAPPING, _E.OK): _S.CONFIRMING,
        (_S.SWAPPING, _E.RETRY): _S.ROLLING_BACK,  # half a swap is undone, not repeated
        (_S.SWAPPING, _E.REJECTED): _S.ROLLING_BACK,
        (_S.SWAPPING, _E.ABORTED): _S.ROLLING_BACK,
        (_S.CONFIRMING, _E.OK): _S.IDLE,
        (_S.CONFIRMING, _E.RETRY): _S.ROLLING_BACK,
        (_S.CONFIRMING, _E.REJECTED): _S.ROLLING_BACK,
        (_S.CONFIRMING, _E.UNHEALTHY): _S.ROLLING_BACK,
        (_S.CONFIRMING, _E.ABORTED): _S.ROLLING_BACK,
        (_S.ROLLING_BACK, _E.OK): _S.IDLE,  # nothing was refused: desired state decides what is next
        (_S.ROLLING_BACK, _E.REJECTED): _S.FAILED,
        (_S.ROLLING_BACK, _E.RETRY): _S.ROLLING_BACK,
    }
)

RESUME = MappingProxyType(
    {
        _S.IDLE: _S.IDLE,
        _S.PULLING: _S.PULLING,
        _S.VERIFYING: _S.PULLING,  # finds its files complete and comes back at once
        _S.WARMING: _S.ROLLING_BACK,  # a candidate may be loaded, if only this update ended and not the process
        _S.SWAPPING: _S.ROLLING_BACK,
        _S.CONFIRMING: _S.ROLLING_BACK,  # not confirmed is not kept
        _S.ROLLING_BACK: _S.ROLLING_BACK,
        _S.FAILED: _S.FAILED,
    }
)

RESTING = frozenset({_S.IDLE, _S.FAILED})

# How often one release may be found DAMAGED, and how often WARMING may be begun; the next time is a REJECTED. A release
# that fells the box each time it loads stops here, well after a few power cuts in its first seconds, which are not its
# fault. A RETRY is never counted: a network may be away for weeks, a GPU may not start, a disk may be full.
LIMITS = MappingProxyType({_S.VERIFYING: 2, _S.WARMING: 12})

_COUNTED = MappingProxyType(
    {(_S.VERIFYING, _E.DAMAGED): _S.VERIFYING, (_S.VERIFYING, _E.OK): _S.WARMING}  # each WARMING that is begun
)

MACHINE = Machine("update machine", TRANSITIONS, _COUNTED, LIMITS, RESTING, _S.FAILED, _S.ROLLING_BACK)
