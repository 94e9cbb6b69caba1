"""The agent's own update as data: what follows an event, and where to go on after a start.

IDLE        nothing to do: what runs is what is wanted, or nothing is wanted
PULLING     manifest and files come to staging, by digest, resumable, as those of any release
VERIFYING   every staged file is hashed against the manifest and takes its final place
INSTALLING  an environment is made in the free berth, without any network, and the agent in it is imported once
SWITCHING   the berth becomes the trial: one durable write of what the launcher reads
RESTARTING  this process ends, and the launcher starts the trial
CONFIRMING  the trial runs, in a process of its own: see progress.judged
REVERTING   the trial is taken back: one durable write, and a start of what was kept
FAILED      the wanted release is refused; what was kept runs

Events are those of agent.update.record. ABORTED: nothing was switched yet.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from agent.update.record import Event, Machine


class State(StrEnum):
    IDLE = "IDLE"
    PULLING = "PULLING"
    VERIFYING = "VERIFYING"
    INSTALLING = "INSTALLING"
    SWITCHING = "SWITCHING"
    RESTARTING = "RESTARTING"
    CONFIRMING = "CONFIRMING"
    REVERTING = "REVERTING"
    FAILED = "FAILED"


class Place(StrEnum):
    """Where this process finds itself at its start."""

    KEPT = "KEPT"  # no trial is chosen
    TRIAL = "TRIAL"  # this process is the trial
    BESIDE = "BESIDE"  # a trial is chosen, and the launcher started something else


_S, _E, _P = State, Event, Place

TRANSITIONS = MappingProxyType(
    {
        (_S.IDLE, _E.OFFERED): _S.PULLING,
        (_S.IDLE, _E.REJECTED): _S.FAILED,  # asked again for a release that was refused before
        (_S.FAILED, _E.OFFERED): _S.PULLING,
        (_S.FAILED, _E.OK): _S.IDLE,
        (_S.FAILED, _E.REJECTED): _S.FAILED,
        (_S.PULLING, _E.OK): _S.VERIFYING,
        (_S.PULLING, _E.RETRY): _S.PULLING,
        (_S.PULLING, _E.REJECTED): _S.FAILED,
        (_S.PULLING, _E.ABORTED): _S.IDLE,
        (_S.VERIFYING, _E.OK): _S.INSTALLING,
        (_S.VERIFYING, _E.RETRY): _S.VERIFYING,
        (_S.VERIFYING, _E.DAMAGED): _S.PULLING,
        (_S.VERIFYING, _E.REJECTED): _S.FAILED,
        (_S.VERIFYING, _E.ABORTED): _S.IDLE,
        (_S.INSTALLING, _E.OK): _S.SWITCHING,
        (_S.INSTALLING, _E.RETRY): _S.INSTALLING,
        (_S.INSTALLING, _E.DAMAGED): _S.PULLING,
        (_S.INSTALLING, _E.REJECTED): _S.FAILED,
        (_S.INSTALLING, _E.ABORTED): _S.IDLE,
        (_S.SWITCHING, _E.OK): _S.RESTARTING,
        (_S.SWITCHING, _E.RETRY): _S.SWITCHING,
        (_S.SWITCHING, _E.REJECTED): _S.FAILED,
        (_S.CONFIRMING, _E.OK): _S.IDLE,
        (_S.CONFIRMING, _E.UNHEALTHY): _S.REVERTING,
        (_S.CONFIRMING, _E.RETRY): _S.REVERTING,  # it could not be told: tried again another day
        (_S.REVERTING, _E.OK): _S.IDLE,  # nothing was refused
        (_S.REVERTING, _E.REJECTED): _S.FAILED,
        (_S.REVERTING, _E.RETRY): _S.REVERTING,
    }
)

_RESUMED = {  # state: as KEPT, as TRIAL, BESIDE the trial
    _S.IDLE: (_S.IDLE, _S.CONFIRMING, _S.REVERTING),  # with a trial: the record was lost, and what runs is not
    _S.PULLING: (_S.PULLING, _S.CONFIRMING, _S.REVERTING),
    _S.VERIFYING: (_S.PULLING, _S.CONFIRMING, _S.REVERTING),
    _S.INSTALLING: (_S.PULLING, _S.CONFIRMING, _S.REVERTING),  # a berth that is half made is made anew
    _S.SWITCHING: (_S.PULLING, _S.CONFIRMING, _S.REVERTING),  # KEPT: nothing was switched
    _S.RESTARTING: (_S.IDLE, _S.CONFIRMING, _S.REVERTING),  # KEPT: somebody installed the agent anew
    _S.CONFIRMING: (_S.IDLE, _S.CONFIRMING, _S.REVERTING),  # KEPT: it was confirmed, and the power went
    _S.REVERTING: (_S.REVERTING, _S.REVERTING, _S.REVERTING),
    _S.FAILED: (_S.FAILED, _S.REVERTING, _S.REVERTING),
}
RESUME = MappingProxyType(
    {(state, place): after[number] for state, after in _RESUMED.items() for number, place in enumerate(_P)}
)

RESTING = frozenset({_S.IDLE, _S.FAILED})
STOPPABLE = frozenset({_S.PULLING, _S.VERIFYING, _S.INSTALLING})  # nothing was switched yet

# How often one release may be found DAMAGED, and how often INSTALLING and SWITCHING may be begun; the next time is a
# REJECTED. An environment is made again after each power cut; a trial that nobody could tell to be good or bad is tried
# again twice.
LIMITS = MappingProxyType({_S.VERIFYING: 2, _S.INSTALLING: 12, _S.SWITCHING: 3})

_COUNTED = MappingProxyType(
    {
        (_S.VERIFYING, _E.DAMAGED): _S.VERIFYING,
        (_S.VERIFYING, _E.OK): _S.INSTALLING,
        (_S.INSTALLING, _E.DAMAGED): _S.VERIFYING,
        (_S.INSTALLING, _E.OK): _S.SWITCHING,
    }
)

MACHINE = Machine("agent update", TRANSITIONS, _COUNTED, LIMITS, RESTING, _S.FAILED, _S.REVERTING)
