"""One deployment's frames on this box, decided without I/O.

Events in (a frame arrived, an answer came, time passed), actions out (run it, send it up, give its slot back, it ended
so). The caller does what it is told and reports back. Rules that hold here:

- every frame handed in ends in exactly one Finish, whatever the world does;
- a tap has at most one frame waiting: the newest (mailbox of depth 1);
- frames that wait start in order of deadline, as many calls at once as the engine runs (`width`);
- a call takes all that wait, up to what it may hold, where that pays, and as long as none that would be in time alone
  is late by its company; nothing waits for company;
- a frame in the cloud ends at its deadline, not when the cloud answers;
- a slot is given back once, as soon as nothing can read it any more: with a frame in the cloud when its picture is
  encoded, unless the box may still run it too;
- a picture that could not be encoded is no failure of the cloud.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

from agent.offload import policy
from agent.offload.breaker import Breaker
from agent.offload.budget import UplinkBudget
from agent.offload.cost import CostLine
from agent.offload.estimate import Estimate
from agent.offload.policy import CloudView, LocalView, Route
from agent.types import Box, Finished, Frame, Tap
from protos.ids import Digest
from protos.outcomes import Outcome
from protos.regions import WHOLE, Region

MOST_IN_CLOUD = 8  # frames under way to the cloud at once, per lane
FIRST_JPEG_BYTES = 20_000  # until a picture was encoded: 640×360 at quality 80
FIRST_CLOUD_SECONDS = 0.08


class Infer(msgspec.Struct, frozen=True):
    """Run these frames on the box, in one call, then report `local_done`."""

    jobs: tuple[int, ...]
    frames: tuple[Frame, ...]


class SendUp(msgspec.Struct, frozen=True):
    """Encode this frame, report `encoded`, ask the cloud, report `cloud_done`; only the latter where that fails."""

    job: int
    frame: Frame
    region: Region = WHOLE  # of its picture, that goes up


class Release(msgspec.Struct, frozen=True):
    """Nobody reads this slot any more."""

    tap: Tap
    slot: int


class Finish(msgspec.Struct, frozen=True):
    """This is how the frame ended."""

    finished: Finished


Action = Infer | SendUp | Release | Finish


class _Leg(Enum):
    """How far one way of answering a frame has come."""

    UNUSED = auto()
    WAITING = auto()
    RUNNING = auto()
    OVER = auto()


@dataclass
class _Job:
    frame: Frame
    local: _Leg = _Leg.UNUSED
    cloud: _Leg = _Leg.UNUSED
    ended: bool = False
    hedge_at: float | None = None
    sent_at: float = 0.0
    reserved_bytes: float = 0.0  # of the uplink budget, for a picture of a size not yet known
    encoded: bool = False
    slot_held: bool = True
    cloud_judged: bool = False  # the breaker heard of it
    stages: dict[str, float] = field(default_factory=dict)
    uplink_bytes: int = 0

    @property
    def over(self) -> bool:
        return self.ended and not {self.local, self.cloud} & {_Leg.WAITING, _Leg.RUNNING}

    @property
    def reads_slot(self) -> bool:
        """Does anything read its slot, or may it yet?"""
        encoding = self.cloud is _Leg.RUNNING and not self.encoded
        waits = not self.ended and (self.cloud is not _Leg.RUNNING or self.hedge_at is not None)
        return encoding or waits or self.local in (_Leg.WAITING, _Leg.RUNNING)


class Answer(msgspec.Struct, frozen=True):
    """What came back from one way of answering; `error` is one sentence, empty when fine."""

    boxes: tuple[Box, ...] = ()
    release: Digest | None = None
    error: str = ""
    where: str = "local"
    infer_seconds: float = 0.0  # local: inference alone, slow-down included


@dataclass
class Lane:
    """See the module's rules. All times are monotonic seconds."""

    local: CostLine
    breaker: Breaker
    budget: UplinkBudget
    ready: bool = False  # an engine answers
    width: int = 1  # calls it runs at once
    cloud_allowed: bool = False  # by the deployment, and a cloud node is known
    round_trip: Estimate = field(default_factory=lambda: Estimate(FIRST_CLOUD_SECONDS))
    _jobs: dict[int, _Job] = field(default_factory=dict)
    _mailbox: dict[Tap, int] = field(default_factory=dict)
    _running: dict[tuple[int, ...], float] = field(default_factory=dict)  # jobs of a call -> since when
    _next: int = 0
    _jpeg_bytes: float = FIRST_JPEG_BYTES

    # ---- events ----

    def arrive(self, frame: Frame, now: float) -> list[Action]:
        self._next += 1
        number, job = self._next, _Job(frame)
        self._jobs[number] = job
        return [*self._route(number, job, now), *self._dispatch(now)]

    def local_done(self, numbers: tuple[int, ...], answers: Sequence[Answer], now: float) -> list[Action]:
        """The engine answered a call, frame by frame; `error` of an answer when it failed.

        What counts for the next frames is how long it was away: others ask the engine too, and are waited for.
        """
        away = max(answer.infer_seconds for answer in answers)
        since = self._running.pop(numbers, None)
        if since is not None:
            away = max(away, now - since)
        if not any(answer.error for answer in answers):
            self.local.observe(len(numbers), away, now)
        actions: list[Action] = []
        for number, answer in zip(numbers, answers, strict=True):
            job = self._jobs.get(number)
            if job is not None:
                job.local = _Leg.OVER
                actions += [*self._settle_local(job, answer, now), *self._clean(number, job)]
        return [*actions, *self._dispatch(now)]

    def encoded(self, number: int, nbytes: int, now: float) -> list[Action]:
        """The picture of a frame that goes up is there: the cloud is asked now."""
        job = self._jobs.get(number)
        if job is None:
            return []
        job.encoded, job.uplink_bytes = True, nbytes
        job.stages["encode"] = now - job.sent_at
        if not job.cloud_judged:
            self.breaker.called(now)
        self.budget.spend((nbytes - job.reserved_bytes) * 8, now)
        self._jpeg_bytes += 0.2 * (nbytes - self._jpeg_bytes)
        return self._give_back(job)

    def cloud_done(self, number: int, answer: Answer, now: float) -> list[Action]:
        """The cloud answered, or failed; late answers teach, but count as late."""
        job = self._jobs.get(number)
        if job is None:
            return []
        job.cloud = _Leg.OVER
        self._learn_cloud(job, answer, now)
        return [*self._settle_cloud(number, job, answer, now), *self._clean(number, job), *self._dispatch(now)]

    def tick(self, now: float) -> list[Action]:
        """Time passed: end what is due, start hedges. Call at `wake_at` at the latest."""
        actions: list[Action] = []
        for number, job in list(self._jobs.items()):
            if not job.ended and job.frame.deadline <= now:
                actions += self._expire(number, job, now)
            elif job.hedge_at is not None and job.hedge_at <= now:
                actions += [*self._hedge(number, job, now), *self._give_back(job)]
        return [*actions, *self._dispatch(now)]

    def clear(self, now: float) -> list[Action]:
        """The deployment leaves this box: everything that waits is shed."""
        actions: list[Action] = []
        for number, job in list(self._jobs.items()):
            actions += self._finish(job, Outcome.SHED, now)
            if job.slot_held:
                actions.append(Release(job.frame.tap, job.frame.slot))
            self._forget(number)
        return actions

    def meet_another_cloud(self) -> None:
        """Another node from now on: its breaker is closed, its round trip unknown."""
        self.breaker = Breaker()
        self.round_trip = Estimate(FIRST_CLOUD_SECONDS)

    # ---- questions ----

    @property
    def wake_at(self) -> float | None:
        """When `tick` has something to do; None when nothing is under way."""
        times = list(self._moments())
        return min(times) if times else None

    @property
    def calm(self) -> bool:
        """Nothing runs here, and nothing waits."""
        return not self._running and not self._mailbox

    @property
    def waiting(self) -> int:
        return len(self._mailbox)

    @property
    def in_cloud(self) -> int:
        return sum(job.cloud is _Leg.RUNNING for job in self._jobs.values())

    def _moments(self) -> Iterator[float]:
        for job in self._jobs.values():
            if not job.ended and job.local is not _Leg.RUNNING:
                yield job.frame.deadline
            if job.hedge_at is not None and not job.ended:
                yield job.hedge_at

    # ---- routing ----

    def _route(self, number: int, job: _Job, now: float) -> list[Action]:
        frame = job.frame
        route = policy.decide(frame.deadline, self._local_view(frame, now), self._cloud_view(now), now)
        match route:
            case Route.LOCAL | Route.LATE:
                return self._wait(number, job, now)
            case Route.CLOUD:
                return self._send_up(number, job, now)
            case Route.HEDGE:
                return [*self._send_up(number, job, now), *self._wait(number, job, now)]
            case Route.SHED:
                return [*self._finish(job, Outcome.SHED, now), *self._clean(number, job)]

    def _local_view(self, frame: Frame, now: float) -> LocalView:
        ahead = sum(
            self._jobs[other].frame.deadline <= frame.deadline
            for tap, other in self._mailbox.items()
            if tap != frame.tap
        )
        size = self._usual_size
        return LocalView(
            ready=self.ready,
            free_at=self._free_at(ahead // size, now),
            planned=self.local.planned(ahead % size + 1),
            idle=len(self._running) < self.width and not self._mailbox,
            waiting=frame.tap in self._mailbox,
            measured_at=self.local.last_at,
            improving=self.local.improving,
        )

    @property
    def _usual_size(self) -> int:
        """Frames in a call while many wait."""
        return self.local.most if self.local.pays(self.local.most) else 1

    def _free_at(self, calls: int, now: float) -> float:
        """When the engine takes up a call that has so many full ones before it."""
        free = sorted(max(now, since + self.local.planned(len(jobs))) for jobs, since in self._running.items())
        free = [now] * (self.width - len(free)) + free
        for _ in range(calls):
            heapq.heapreplace(free, free[0] + self.local.planned(self._usual_size))  # sorted is a heap
        return free[0]

    def _cloud_view(self, now: float) -> CloudView:
        usable = (
            self.cloud_allowed
            and self.in_cloud < MOST_IN_CLOUD
            and self.budget.allows(self._jpeg_bytes * 8, now)
            and self.breaker.allows(now)
        )
        return CloudView(usable, self.round_trip.typical_after(now))

    def _wait(self, number: int, job: _Job, now: float) -> list[Action]:
        """Into the mailbox of its tap; an older frame there is superseded."""
        actions: list[Action] = []
        older = self._mailbox.pop(job.frame.tap, None)
        if older is not None:
            actions = self._supersede(older, now)
        self._mailbox[job.frame.tap] = number
        job.local = _Leg.WAITING
        return actions

    def _supersede(self, number: int, now: float) -> list[Action]:
        job = self._jobs[number]
        job.local = _Leg.OVER
        if job.cloud is _Leg.RUNNING:
            return self._give_back(job)  # it only waited as a hedge: the cloud may still answer it
        return [*self._finish(job, Outcome.SUPERSEDED, now), *self._clean(number, job)]

    def _send_up(self, number: int, job: _Job, now: float) -> list[Action]:
        job.cloud = _Leg.RUNNING
        job.sent_at = now
        job.hedge_at = policy.hedge_at(job.frame.deadline, self.local.planned()) if self.ready else None
        job.reserved_bytes = self._jpeg_bytes
        self.breaker.reserved()
        self.budget.spend(job.reserved_bytes * 8, now)
        return [SendUp(number, job.frame)]

    # ---- running ----

    def _dispatch(self, now: float) -> list[Action]:
        """Start the frames with the earliest deadlines, as the engine is free."""
        actions: list[Action] = []
        while self.ready and len(self._running) < self.width and self._mailbox:
            waiting = sorted(self._mailbox.values(), key=lambda number: self._jobs[number].frame.deadline)
            if self._goes_up_late(self._jobs[waiting[0]], now):
                actions += self._send_up_late(waiting[0], now)
            else:
                actions.append(self._start(tuple(waiting[: self._size(waiting, now)]), now))
        return actions

    def _goes_up_late(self, job: _Job, now: float) -> bool:
        """Would it be late here, and not in the cloud?"""
        if job.cloud is not _Leg.UNUSED or now + self.local.planned() <= job.frame.deadline:
            return False
        cloud = self._cloud_view(now)
        return cloud.usable and now + cloud.typical <= job.frame.deadline

    def _send_up_late(self, number: int, now: float) -> list[Action]:
        job = self._jobs[number]
        self._drop_from_mailbox(number, job)
        job.local = _Leg.UNUSED
        return self._send_up(number, job, now)

    def _size(self, waiting: list[int], now: float) -> int:
        """How many of those that wait, by deadline, share the next call."""
        deadlines = [self._jobs[number].frame.deadline for number in waiting[: self.local.most]]
        soonest = next((deadline for deadline in deadlines if now + self.local.planned() <= deadline), math.inf)
        for size in range(len(deadlines), 1, -1):
            if self.local.pays(size) and now + self.local.planned(size) <= soonest:
                return size
        return 1

    def _start(self, numbers: tuple[int, ...], now: float) -> Infer:
        jobs = [self._jobs[number] for number in numbers]
        for number, job in zip(numbers, jobs, strict=True):
            self._drop_from_mailbox(number, job)
            job.local = _Leg.RUNNING
            job.stages["queue"] = now - job.frame.captured
        self._running[numbers] = now
        return Infer(numbers, tuple(job.frame for job in jobs))

    def _hedge(self, number: int, job: _Job, now: float) -> list[Action]:
        job.hedge_at = None
        view = self._local_view(job.frame, now)
        if job.local is not _Leg.UNUSED or view.waiting or view.free_at + view.planned > job.frame.deadline:
            return []
        return self._wait(number, job, now)

    # ---- ending ----

    def _settle_local(self, job: _Job, answer: Answer, now: float) -> list[Action]:
        if job.ended:
            return []
        job.stages["infer"] = answer.infer_seconds
        if answer.error:
            return [] if job.cloud is _Leg.RUNNING else self._finish(job, Outcome.ERROR, now)
        in_time = now <= job.frame.deadline
        used_cloud = job.cloud is not _Leg.UNUSED
        outcome = (Outcome.OK_HEDGE if used_cloud else Outcome.OK_LOCAL) if in_time else Outcome.EXPIRED
        return self._finish(job, outcome, now, answer)

    def _settle_cloud(self, number: int, job: _Job, answer: Answer, now: float) -> list[Action]:
        if job.ended:
            return []
        if answer.error:
            return self._fall_back(number, job, now)
        outcome = Outcome.OK_CLOUD if now <= job.frame.deadline else Outcome.CLOUD_LATE
        return self._finish(job, outcome, now, answer)

    def _fall_back(self, number: int, job: _Job, now: float) -> list[Action]:
        """The cloud failed this frame: the box may still make it, if its pixels are there."""
        if job.local in (_Leg.WAITING, _Leg.RUNNING):
            return []
        view = self._local_view(job.frame, now)
        if (
            job.slot_held
            and job.local is _Leg.UNUSED
            and view.ready
            and not view.waiting
            and (view.idle or view.free_at + view.planned <= job.frame.deadline)
        ):
            return self._wait(number, job, now)
        return self._finish(job, Outcome.ERROR, now, Answer(where="cloud" if job.encoded else "local"))

    def _expire(self, number: int, job: _Job, now: float) -> list[Action]:
        """The deadline passed. What already runs here ends by its own answer; what is in the cloud is late."""
        if job.local is _Leg.RUNNING:
            return []
        self._drop_from_mailbox(number, job)
        if job.local is _Leg.WAITING:
            job.local = _Leg.OVER
        outcome = Outcome.EXPIRED if job.cloud is _Leg.UNUSED else Outcome.CLOUD_LATE
        self._judge_cloud(job, now, ok=False)
        return [*self._finish(job, outcome, now), *self._clean(number, job)]

    def _finish(self, job: _Job, outcome: Outcome, now: float, answer: Answer | None = None) -> list[Action]:
        if job.ended:
            return []
        job.ended = True
        job.hedge_at = None
        answer = answer or Answer()
        frame = job.frame
        return [
            Finish(
                Finished(
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
            )
        ]

    def _clean(self, number: int, job: _Job) -> list[Action]:
        """Give the slot back and forget the job once nothing needs them."""
        actions = self._give_back(job)
        if job.over and number in self._jobs:
            self._forget(number)
        return actions

    def _give_back(self, job: _Job) -> list[Action]:
        if job.reads_slot or not job.slot_held:
            return []
        job.slot_held = False
        return [Release(job.frame.tap, job.frame.slot)]

    def _forget(self, number: int) -> None:
        job = self._jobs.pop(number)
        self._drop_from_mailbox(number, job)

    def _drop_from_mailbox(self, number: int, job: _Job) -> None:
        if self._mailbox.get(job.frame.tap) == number:
            del self._mailbox[job.frame.tap]

    def _learn_cloud(self, job: _Job, answer: Answer, now: float) -> None:
        if not job.encoded:
            self.budget.spend(-job.reserved_bytes * 8, now)  # nothing was sent
        elif not answer.error:
            job.stages["cloud"] = now - job.sent_at - job.stages["encode"]
            self.round_trip.observe(now - job.sent_at, now)
        self._judge_cloud(job, now, ok=not answer.error and now <= job.frame.deadline)
        if self.in_cloud == 0:
            self.breaker.idle()

    def _judge_cloud(self, job: _Job, now: float, *, ok: bool) -> None:
        """Tell the breaker about this call, once."""
        if job.cloud is _Leg.UNUSED or job.cloud_judged:
            return
        job.cloud_judged = True
        if not job.encoded:
            self.breaker.withdrawn()
        elif ok:
            self.breaker.succeeded(now)
        else:
            self.breaker.failed(now)
