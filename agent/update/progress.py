"""How far one deployment's update has come: the durable record, and every decision made on it.

Rules that hold here: a record is written before its state is acted on; `active` is a release that was confirmed, and
what answers after a power cut; a refused digest stays refused until its deployment is removed; attempts belong to one
target and are forgotten with it. Pure: values in, values out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from agent.update.machine import LIMITS, RESTING, RESUME, Event, State, next_state
from protos.errors import Rejected
from protos.ids import DeploymentName, Digest

RECORD_VERSION = 1
MOST_REFUSED = 16  # per deployment; the oldest is forgotten, so that the record stays small
_COUNTED = {(State.VERIFYING, Event.DAMAGED): State.VERIFYING, (State.VERIFYING, Event.OK): State.WARMING}


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
class Progress:
    """The record. `target` is asked for, `active` answers, `previous` answered before it, or failed to come back."""

    deployment: DeploymentName
    state: State = State.IDLE
    target: Digest | None = None
    active: Digest | None = None
    previous: Digest | None = None
    refused: tuple[Refusal, ...] = ()
    attempts: dict[State, int] = field(default_factory=dict)
    message: str = ""

    def refusal(self, digest: Digest | None) -> Refusal | None:
        return next((known for known in self.refused if known.digest == digest), None)

    @property
    def resting(self) -> bool:
        return self.state in RESTING

    @property
    def confirmed(self) -> tuple[Digest, ...]:
        """What may answer again after a start, best first. Their files are never given up."""
        return tuple(digest for digest in (self.active, self.previous) if digest is not None)

    @property
    def releases(self) -> tuple[Digest, ...]:
        """Every release whose files must stay on disk: what answers, and the one before or the one to come.

        A release that was rolled back without being refused is to come: it is tried again.
        """
        target = () if self.target is None or self.refusal(self.target) else (self.target,)
        return tuple(dict.fromkeys((*self.confirmed, *target)))


class _Stored(msgspec.Struct, frozen=True):
    version: int
    record: Progress


def to_bytes(record: Progress) -> bytes:
    return msgspec.json.encode(_Stored(RECORD_VERSION, record), order="deterministic")


def from_bytes(content: bytes) -> Progress:
    """Raises Rejected when these bytes are no record of this version."""
    try:
        stored = msgspec.json.decode(content, type=_Stored)
    except msgspec.MsgspecError as error:
        raise Rejected(f"update record: not readable ({error})") from error
    if stored.version != RECORD_VERSION:
        raise Rejected(f"update record: version {stored.version} is not {RECORD_VERSION}; this agent is too old for it")
    return stored.record


def resumed(record: Progress) -> Progress:
    """Where to go on after the process ended, however it ended."""
    return replace(reconsidered(record), state=RESUME[record.state])


def reconsidered(record: Progress) -> Progress:
    """Without the refusals that newer metadata, or another agent, may take back."""
    return replace(record, refused=tuple(known for known in record.refused if not known.rule))


def afforded(record: Progress, budget: float) -> Progress:
    """Without the refusals of what was too slow, and is not where an inference may take `budget` seconds."""
    return replace(record, refused=tuple(known for known in record.refused if not 0 < known.took <= budget))


def decide(record: Progress, offered: Digest) -> Event | None:
    """What an offer means now; None when there is nothing to do, or not yet."""
    if not record.resting:
        return Event.ABORTED if _interrupts(record, offered) else None
    if offered == record.active:
        return Event.OK if record.state is State.FAILED else None
    if record.refusal(offered):
        return Event.REJECTED if (record.state, record.target) != (State.FAILED, offered) else None
    return Event.OFFERED


def _interrupts(record: Progress, offered: Digest) -> bool:
    if offered == record.target or record.state in (State.SWAPPING, State.ROLLING_BACK):
        return False  # nothing new; or a step that is short and always ends
    # A first release being confirmed is let finish: nothing else on this box could answer meanwhile.
    return record.state is not State.CONFIRMING or record.active is not None


def offered(record: Progress, digest: Digest, event: Event) -> Progress:
    """The record after `event` (OFFERED, OK or REJECTED) that `decide` gave for `digest`, out of a resting state."""
    attempts = record.attempts if digest == record.target else {}
    known = record.refusal(digest)
    message = f"refused before: {known.reason}; deploy another version" if known else ""
    # A box has room for two releases: the one before makes way when a new one comes.
    previous = None if event is Event.OFFERED else record.previous
    state = next_state(record.state, event)
    return replace(record, state=state, target=digest, previous=previous, attempts=attempts, message=message)


def advanced(record: Progress, event: Event, message: str = "", rule: str = "", took: float = 0.0) -> Progress:
    """The record after `event` out of a busy state. `message` says why, in one sentence, when the event is no OK.

    `rule`: the name of the rule, where signed metadata excludes the release. `took`: see `Refusal`.
    """
    event = _bounded(record, event)
    state = next_state(record.state, event)
    after = replace(record, state=state, attempts=_counted(record, event), message=message)
    if event in (Event.REJECTED, Event.UNHEALTHY):
        after = _refuse(after, message, rule, took)
    if (record.state, event) == (State.CONFIRMING, Event.OK):
        after = replace(after, active=record.target, previous=_before(record), attempts={}, message="")
    return after


def spent(record: Progress) -> bool:
    """The target has been tried in this state more often than it may."""
    limit = LIMITS.get(record.state)
    return limit is not None and record.attempts.get(record.state, 0) > limit


def fell_back(record: Progress) -> Progress:
    """The one before answers in place of an active release that does not load any more; that one is kept beside it."""
    return replace(record, active=record.previous, previous=record.active)


def _bounded(record: Progress, event: Event) -> Event:
    """The last allowed damage found by the hashing is a refusal: no third download of the same wrong bytes."""
    last = record.state is State.VERIFYING and record.attempts.get(record.state, 0) + 1 >= LIMITS[State.VERIFYING]
    return Event.REJECTED if event is Event.DAMAGED and last else event


def _counted(record: Progress, event: Event) -> dict[State, int]:
    """Tries of the target: each VERIFYING that found damage, and each WARMING that is begun."""
    counted = _COUNTED.get((record.state, event))
    if counted is None:
        return record.attempts
    return {**record.attempts, counted: record.attempts.get(counted, 0) + 1}


def _refuse(record: Progress, reason: str, rule: str, took: float) -> Progress:
    if record.target is None or record.refusal(record.target):
        return record
    return replace(record, refused=(*record.refused, Refusal(record.target, reason, rule, took))[-MOST_REFUSED:])


def _before(record: Progress) -> Digest | None:
    return record.active if record.active != record.target else record.previous
