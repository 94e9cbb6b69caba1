"""How a frame ends, once it is known who answered it and when. Pure."""

from __future__ import annotations

from agent.pipeline.actions import Action, Answer, Finish, Release
from agent.pipeline.jobs import Job, Leg
from agent.types import Finished
from protos.outcomes import Outcome


def finish(job: Job, outcome: Outcome, now: float, answer: Answer | None = None) -> list[Action]:
    """Its one Finish; none where it has ended before."""
    if job.ended:
        return []
    job.ended, job.hedge_at, job.account.outcome = True, None, outcome
    answer, frame = answer or Answer(), job.frame
    finished = Finished(
        tap=frame.tap,
        seq=frame.seq,
        outcome=outcome,
        captured=frame.captured,
        captured_unix_ns=frame.captured_unix_ns,
        finished=now,
        boxes=answer.boxes,
        release=answer.release,
        where=answer.where,
        ts_source=frame.ts_source,
        uplink_bytes=job.uplink_bytes,
        stages={"decode": frame.decode_seconds, **job.stages},
    )
    return [Finish(finished)]


def heard(job: Job, answer: Answer) -> None:
    """The box answered, or failed: how long that took, and in which size it ran."""
    job.stages["infer"] = answer.infer_seconds
    if answer.size is not None:
        was_largest = not job.account.why_size
        job.account.size, job.account.why_size = answer.size, "its worker is not there" if was_largest else ""


def give_back(job: Job) -> list[Action]:
    """Its slot, once, as soon as nothing reads it any more."""
    if job.reads_slot or not job.slot_held:
        return []
    job.slot_held = False
    return [Release(job.frame.tap, job.frame.slot)]


def answered_here(job: Job, now: float) -> Outcome:
    """By the box, now."""
    if now > job.frame.deadline:
        return Outcome.EXPIRED
    return Outcome.OK_LOCAL if job.cloud is Leg.UNUSED else Outcome.OK_HEDGE


def answered_there(job: Job, now: float) -> Outcome:
    """By the cloud, now."""
    return Outcome.OK_CLOUD if now <= job.frame.deadline else Outcome.CLOUD_LATE


def unanswered(job: Job) -> Outcome:
    """Its deadline has passed."""
    return Outcome.EXPIRED if job.cloud is Leg.UNUSED else Outcome.CLOUD_LATE
