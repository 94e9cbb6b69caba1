"""How far the agent's own update has come: the durable record, and every decision made on it. Pure.

A record is written before its state is acted on, by whichever agent runs: the one before reads what the trial wrote, so
fields are added and never changed. What starts is not in it but in agent.berths.choice; where they disagree, RESUME
says who is right. A refused digest stays refused until 16 others were.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from agent.berths.choice import Choice
from agent.berths.machine import LIMITS, RESTING, RESUME, STOPPABLE, Event, Place, State, next_state
from agent.update.progress import MOST_REFUSED, Refusal
from protos.ids import DeploymentName, Digest

UNCONFIRMED_SECONDS = 900.0  # of a trial that is not good by then: models compile and clocks are set meanwhile


@dataclass(frozen=True)
class Progress:
    """`target` is asked for by `deployment`. `answering`: deployments that the one before answered when it switched."""

    state: State = State.IDLE
    deployment: str = ""
    target: Digest | None = None
    refused: tuple[Refusal, ...] = ()
    attempts: dict[State, int] = field(default_factory=dict)
    answering: tuple[str, ...] = ()
    message: str = ""

    def refusal(self, digest: Digest | None) -> Refusal | None:
        return next((known for known in self.refused if known.digest == digest), None)

    @property
    def resting(self) -> bool:
        return self.state in RESTING

    @property
    def releases(self) -> tuple[Digest, ...]:
        """Those whose files must stay on disk."""
        return (self.target,) if self.target and self.state in STOPPABLE else ()


@dataclass(frozen=True)
class Health:
    """Of this process, now. `wanted`: deployments of models that are to answer, `answering`: that do."""

    synced: bool
    wanted: frozenset[DeploymentName] = frozenset()
    answering: frozenset[DeploymentName] = frozenset()


@dataclass(frozen=True)
class Verdict:
    """What a trial came to. `since`: from when on it was good without a break; None: it is not."""

    since: float | None = None
    event: Event | None = None
    message: str = ""


def to_bytes(record: Progress) -> bytes:
    return msgspec.json.encode(record, order="deterministic")


def from_bytes(content: bytes) -> Progress:
    """What cannot be read is no record: nothing is lost that desired state does not bring back."""
    try:
        return msgspec.json.decode(content, type=Progress)
    except msgspec.MsgspecError:
        return Progress()


def place(choice: Choice, running: str) -> Place:
    if not choice.trial:
        return Place.KEPT
    return Place.TRIAL if choice.trial == running else Place.BESIDE


def resumed(record: Progress, choice: Choice, running: str, trial: Digest | None = None) -> Progress:
    """Where to go on in a new process. `trial`: the release in the berth on trial.

    A trial that was started and does not run is refused here, and nowhere is that forgotten. One that could not be
    counted was not started. Refusals by a rule are asked about again: this may be another agent.
    """
    where = place(choice, running)
    record = replace(record, refused=tuple(known for known in record.refused if not known.rule))
    if where is not Place.KEPT and trial:
        record = replace(record, target=trial)
    if where is Place.BESIDE and choice.starts and record.state is not State.REVERTING:
        reason = f"it did not come to be confirmed in {_starts(choice.starts)}; the agent before it runs again"
        record = _refuse(replace(record, message=reason), reason)
    return replace(record, state=RESUME[record.state, where])


def decide(record: Progress, offered: Digest | None, running: Digest | None) -> Event | None:
    """What an offer, or none, means now. `running`: the release that this process is of."""
    if not record.resting:
        return Event.ABORTED if offered != record.target and record.state in STOPPABLE else None
    if offered is None:
        return None
    if offered == running:
        return Event.OK if record.state is State.FAILED else None
    if record.refusal(offered):
        return Event.REJECTED if (record.state, record.target) != (State.FAILED, offered) else None
    return Event.OFFERED


def offered(record: Progress, deployment: str, digest: Digest, event: Event) -> Progress:
    """The record after `event` that `decide` gave for `digest`, out of a resting state."""
    attempts = record.attempts if digest == record.target else {}
    known = record.refusal(digest)
    message = f"refused before: {known.reason}; deploy another version" if known else ""
    state = next_state(record.state, event)
    return replace(
        record, state=state, deployment=deployment, target=digest, attempts=attempts, answering=(), message=message
    )


def advanced(record: Progress, event: Event, message: str = "", rule: str = "") -> Progress:
    """The record after `event` out of a busy state. `message` says why, in one sentence, when the event is no OK."""
    damages = record.attempts.get(State.VERIFYING, 0)
    if event is Event.DAMAGED and damages + 1 >= LIMITS[State.VERIFYING]:
        event = Event.REJECTED  # no third download of the same wrong bytes
    state = next_state(record.state, event)
    after = replace(record, state=state, attempts=_counted(record, event, state), message=message)
    if event in (Event.REJECTED, Event.UNHEALTHY):
        after = _refuse(after, message, rule)
    return replace(after, attempts={}) if (record.state, event) == (State.CONFIRMING, Event.OK) else after


def spent(record: Progress) -> bool:
    """This step has been begun for the target more often than it may."""
    limit = LIMITS.get(record.state) if record.state is not State.VERIFYING else None
    return limit is not None and record.attempts.get(record.state, 0) > limit


def judged(record: Progress, before: Verdict, health: Health, began: float, now: float, seconds: float) -> Verdict:
    """A trial is good when it has synced, and answered all that the one before answered, for `seconds` on end.

    An agent that cannot sync is never confirmed: it could not be updated any more. That may be the network's fault, so
    it is not refused for it.
    """
    silent = (health.wanted & frozenset(record.answering)) - health.answering
    good = health.synced and not silent
    since = (now if before.since is None else before.since) if good else None
    if since is not None and now - since >= seconds:
        return Verdict(since, Event.OK)
    if since is not None or now - began < UNCONFIRMED_SECONDS:
        return Verdict(since)
    if silent:
        names = ", ".join(sorted(silent))
        return Verdict(since, Event.UNHEALTHY, f"under it {names} did not answer; the agent before it runs again")
    return Verdict(since, Event.RETRY, "under it the control plane was not reached; it is tried again")


def _counted(record: Progress, event: Event, after: State) -> dict[State, int]:
    """Each damage that was found, each environment and each trial that is begun."""
    began = after in (State.INSTALLING, State.SWITCHING) and after is not record.state
    counted = State.VERIFYING if event is Event.DAMAGED else after if began else None
    return record.attempts | ({counted: record.attempts.get(counted, 0) + 1} if counted else {})


def _starts(count: int) -> str:
    return "1 start" if count == 1 else f"{count} starts"


def _refuse(record: Progress, reason: str, rule: str = "") -> Progress:
    if record.target is None or record.refusal(record.target):
        return record
    return replace(record, refused=(*record.refused, Refusal(record.target, reason, rule))[-MOST_REFUSED:])
