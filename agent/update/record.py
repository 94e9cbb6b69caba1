"""What the records of all updates have in common, and every decision that does not depend on what is updated. Pure.

A machine is data: what follows an event, what is counted and how often it may be. A record says how far one update has
come; it is written before its state is acted on. Attempts belong to one target and are forgotten with it.

OFFERED    desired state names a release that does not run here and is not refused
OK         the step is done (from FAILED: the release that runs is wanted again)
RETRY      the box, the disk or the wire failed, which passes and is no fault of the release; tried again after a wait
DAMAGED    bytes on the disk are not what the manifest names; they are thrown away and fetched anew
REJECTED   the release is at fault, or its tries are spent: it is remembered as refused
UNHEALTHY  the new release did not start, or did not do its work: remembered as refused
ABORTED    desired state no longer names this release
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import StrEnum
from typing import Any, Generic, TypeVar

from protos.ids import DeploymentName, Digest

MOST_REFUSED = 16  # of one update; the oldest is forgotten, so that the record stays small


class Event(StrEnum):
    OFFERED = "OFFERED"
    OK = "OK"
    RETRY = "RETRY"
    DAMAGED = "DAMAGED"
    REJECTED = "REJECTED"
    UNHEALTHY = "UNHEALTHY"
    ABORTED = "ABORTED"


class UnknownTransition(RuntimeError):
    """A bug: this event cannot happen in this state."""


S = TypeVar("S", bound=StrEnum)
R = TypeVar("R", bound="Record[Any]")


@dataclass(frozen=True)
class Machine(Generic[S]):
    """Of one kind of update. `counted`: the counter that a pair adds to; `limits`: the most of each."""

    name: str
    transitions: Mapping[tuple[S, Event], S]
    counted: Mapping[tuple[S, Event], S]
    limits: Mapping[S, int]
    resting: frozenset[S]
    failed: S
    undoing: S

    def next_state(self, state: S, event: Event) -> S:
        try:
            return self.transitions[(state, event)]
        except KeyError:
            raise UnknownTransition(f"{self.name}: {event} cannot happen in {state}; this is a bug") from None


@dataclass(frozen=True)
class Refusal:
    """`rule`: of signed metadata, that excluded it; when that changes, or this agent, it is asked about again.

    `took`: seconds of an inference, where the latency budget alone excluded it; when that allows as much, it is tried
    again.
    """

    digest: Digest
    reason: str
    rule: str = ""
    took: float = 0.0


@dataclass(frozen=True)
class Record(Generic[S]):
    """`target` is asked for by `deployment`. `message` says why it does not go on, in one sentence."""

    deployment: DeploymentName
    _: KW_ONLY
    state: S
    target: Digest | None = None
    refused: tuple[Refusal, ...] = ()
    attempts: dict[S, int] = field(default_factory=dict)
    message: str = ""

    def refusal(self, digest: Digest | None) -> Refusal | None:
        return next((known for known in self.refused if known.digest == digest), None)


def at_rest(machine: Machine[S], record: Record[S], offered: Digest, running: Digest | None) -> Event | None:
    """What an offer means in a resting state; None when there is nothing to do. `running`: the release that is."""
    if offered == running:
        return Event.OK if record.state is machine.failed else None
    if record.refusal(offered):
        return Event.REJECTED if (record.state, record.target) != (machine.failed, offered) else None
    return Event.OFFERED


def offered(machine: Machine[Any], record: R, digest: Digest, event: Event) -> R:
    """The record after `event` that `at_rest` gave for `digest`."""
    attempts = record.attempts if digest == record.target else {}
    known = record.refusal(digest)
    message = f"refused before: {known.reason}; deploy another version" if known else ""
    state = machine.next_state(record.state, event)
    return replace(record, state=state, target=digest, attempts=attempts, message=message)


def advanced(machine: Machine[Any], record: R, event: Event, message: str = "", rule: str = "", took: float = 0.0) -> R:
    """The record after `event` out of a busy state. `message` says why, in one sentence, when the event is no OK.

    `rule`: the name of the rule, where signed metadata excludes the release. `took`: see `Refusal`.
    """
    event = _bounded(machine, record, event)
    state, counter = machine.next_state(record.state, event), machine.counted.get((record.state, event))
    attempts = record.attempts if counter is None else _with(record.attempts, counter)
    after = replace(record, state=state, attempts=attempts, message=message)
    return refused(after, message, rule, took) if event in (Event.REJECTED, Event.UNHEALTHY) else after


def spent(machine: Machine[S], record: Record[S]) -> bool:
    """The target has been tried in this state more often than it may."""
    limit = machine.limits.get(record.state)
    return limit is not None and record.attempts.get(record.state, 0) > limit


def refused(record: R, reason: str, rule: str = "", took: float = 0.0) -> R:
    """With its target remembered as refused."""
    if record.target is None or record.refusal(record.target):
        return record
    return replace(record, refused=(*record.refused, Refusal(record.target, reason, rule, took))[-MOST_REFUSED:])


def reconsidered(record: R) -> R:
    """Without the refusals that newer metadata, or another agent, may take back."""
    return replace(record, refused=tuple(known for known in record.refused if not known.rule))


def _bounded(machine: Machine[Any], record: Record[Any], event: Event) -> Event:
    """The last allowed damage is a refusal: no third download of the same wrong bytes."""
    counter = machine.counted.get((record.state, event)) if event is Event.DAMAGED else None
    last = counter is not None and record.attempts.get(counter, 0) + 1 >= machine.limits[counter]
    return Event.REJECTED if last else event


def _with(attempts: Mapping[S, int], counter: S) -> dict[S, int]:
    return {**attempts, counter: attempts.get(counter, 0) + 1}
