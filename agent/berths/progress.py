"""How far the agent's own update has come: the durable record, and every decision made on it. Pure.

A record is written before its state is acted on, by whichever agent runs: the one before reads what the trial wrote, so
fields are added and never changed. What starts is not in it but in agent.berths.choice; where they disagree, RESUME
says who is right. A refused digest stays refused until 16 others were.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from agent.berths.choice import Choice
from agent.berths.machine import MACHINE, RESTING, RESUME, STOPPABLE, Place, State
from agent.update import record as records
from agent.update.record import Event, Record
from protos.ids import DeploymentName, Digest

NOBODY = DeploymentName("")  # has asked yet
UNCONFIRMED_SECONDS = 900.0  # of a trial that is not good by then: models compile and clocks are set meanwhile


@dataclass(frozen=True)
class Progress(Record[State]):
    """With what the agent before could do when it switched, and the trial must.

    `answering`: deployments that answered; `carried`: the newest word had come by hand, and not over a network.
    `doubt`: why the last trial of the target was taken back without being refused.
    """

    deployment: DeploymentName = NOBODY
    state: State = field(default=State.IDLE, kw_only=True)
    answering: tuple[str, ...] = ()
    carried: bool = False
    doubt: str = ""

    @property
    def resting(self) -> bool:
        return self.state in RESTING

    @property
    def releases(self) -> tuple[Digest, ...]:
        """Those whose files must stay on disk."""
        return (self.target,) if self.target and self.state in STOPPABLE else ()


@dataclass(frozen=True)
class Health:
    """Of this process, now.

    `synced`: the control plane answers. `wanted`: deployments of models that are to answer, `answering`: that do.
    `took`: what was carried here is proven and acted on.
    """

    synced: bool
    wanted: frozenset[DeploymentName] = frozenset()
    answering: frozenset[DeploymentName] = frozenset()
    took: bool = False


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
    record = records.reconsidered(record)
    if where is not Place.KEPT and trial:
        record = replace(record, target=trial)
    if where is Place.BESIDE and choice.starts and record.state is not State.REVERTING:
        reason = f"it did not come to be confirmed in {_starts(choice.starts)}; the agent before it runs again"
        record = records.refused(replace(record, message=reason), reason)
    return replace(record, state=RESUME[record.state, where])


def decide(record: Progress, offered: Digest | None, running: Digest | None) -> Event | None:
    """What an offer, or none, means now. `running`: the release that this process is of."""
    if not record.resting:
        return Event.ABORTED if offered != record.target and record.state in STOPPABLE else None
    if offered is None:
        return None
    return records.at_rest(MACHINE, record, offered, running)


def offered(record: Progress, deployment: DeploymentName, digest: Digest, event: Event) -> Progress:
    """The record after `event` that `decide` gave for `digest`, out of a resting state."""
    doubt = record.doubt if digest == record.target else ""
    after = records.offered(MACHINE, record, digest, event)
    return replace(after, deployment=deployment, answering=(), carried=False, doubt=doubt)


def advanced(record: Progress, event: Event, message: str = "", rule: str = "") -> Progress:
    """See records.advanced."""
    after = records.advanced(MACHINE, record, event, message, rule)
    if record.state is not State.CONFIRMING:
        return after
    return replace(after, attempts={}, doubt="") if event is Event.OK else replace(after, doubt=message)


def judged(record: Progress, before: Verdict, health: Health, began: float, now: float, seconds: float) -> Verdict:
    """A trial is good when the next word would reach it, and it answers all that the one before answered, for `seconds`
    on end.

    An agent that no word reaches is never confirmed: it could not be updated any more. Words come as the last one came:
    over the network, or carried by hand to a box that no network reaches. A network may be away by no fault of the
    release, so it is not refused for it.
    """
    silent = (health.wanted & frozenset(record.answering)) - health.answering
    good = _reached(record, health) and not silent
    since = (now if before.since is None else before.since) if good else None
    if since is not None and now - since >= seconds:
        return Verdict(since, Event.OK)
    if since is not None or not overdue(began, now):
        return Verdict(since)
    if silent:
        names = ", ".join(sorted(silent))
        return Verdict(since, Event.UNHEALTHY, f"under it {names} did not answer; the agent before it runs again")
    away = "what was carried here was not taken up" if record.carried else "the control plane was not reached"
    return Verdict(since, Event.RETRY, f"under it {away}; the agent before it runs again")


def overdue(since: float, now: float) -> bool:
    """Neither a trial nor a disk that is to keep it is waited for any longer."""
    return now - since >= UNCONFIRMED_SECONDS


def _reached(record: Progress, health: Health) -> bool:
    return health.synced or (record.carried and health.took)


def _starts(count: int) -> str:
    return "1 start" if count == 1 else f"{count} starts"
