"""How far one deployment's update has come: the durable record, and every decision made on it.

Rules that hold here: a record is written before its state is acted on; `active` is a release that was confirmed, and
what answers after a power cut; a refused digest stays refused until its deployment is removed; attempts belong to one
target and are forgotten with it. Pure: values in, values out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from agent.update import record as records
from agent.update.machine import MACHINE, RESTING, RESUME, State
from agent.update.record import Event, Record
from protos.errors import Rejected
from protos.ids import Digest

RECORD_VERSION = 1


@dataclass(frozen=True)
class Progress(Record[State]):
    """The record. `active` answers, `previous` answered before it, or failed to come back."""

    state: State = field(default=State.IDLE, kw_only=True)
    active: Digest | None = None
    previous: Digest | None = None

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
    return replace(records.reconsidered(record), state=RESUME[record.state])


def afforded(record: Progress, budget: float) -> Progress:
    """Without the refusals of what was too slow, and is not where an inference may take `budget` seconds."""
    return replace(record, refused=tuple(known for known in record.refused if not 0 < known.took <= budget))


def decide(record: Progress, offered: Digest) -> Event | None:
    """What an offer means now; None when there is nothing to do, or not yet."""
    if not record.resting:
        return Event.ABORTED if _interrupts(record, offered) else None
    return records.at_rest(MACHINE, record, offered, record.active)


def _interrupts(record: Progress, offered: Digest) -> bool:
    if offered == record.target or record.state in (State.SWAPPING, State.ROLLING_BACK):
        return False  # nothing new; or a step that is short and always ends
    # A first release being confirmed is let finish: nothing else on this box could answer meanwhile.
    return record.state is not State.CONFIRMING or record.active is not None


def offered(record: Progress, digest: Digest, event: Event) -> Progress:
    """The record after `event` (OFFERED, OK or REJECTED) that `decide` gave for `digest`, out of a resting state."""
    # A box has room for two releases: the one before makes way when a new one comes.
    previous = None if event is Event.OFFERED else record.previous
    return replace(records.offered(MACHINE, record, digest, event), previous=previous)


def advanced(record: Progress, event: Event, message: str = "", rule: str = "", took: float = 0.0) -> Progress:
    """See records.advanced: after CONFIRMING the target is what answers."""
    after = records.advanced(MACHINE, record, event, message, rule, took)
    if (record.state, event) == (State.CONFIRMING, Event.OK):
        after = replace(after, active=record.target, previous=_before(record), attempts={}, message="")
    return after


def fell_back(record: Progress) -> Progress:
    """The one before answers in place of an active release that does not load any more; that one is kept beside it."""
    return replace(record, active=record.previous, previous=record.active)


def _before(record: Progress) -> Digest | None:
    return record.active if record.active != record.target else record.previous
