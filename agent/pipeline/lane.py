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

import random
from collections import deque
from collections.abc import Iterator, Sequence

from agent.offload import policy
from agent.offload.breaker import Breaker
from agent.offload.budget import UplinkBudget
from agent.offload.cost import CostLine
from agent.offload.explain import KEPT, Account
from agent.offload.policy import ALL_PARTS, LocalView, Parts, Route
from agent.offload.profile import PRIOR, Profile
from agent.offload.terms import Terms
from agent.pipeline import ending
from agent.pipeline.actions import Action, Answer, Finish, Infer, Release, SendUp
from agent.pipeline.cloud_side import CloudSide
from agent.pipeline.jobs import Job, Leg
from agent.pipeline.local_side import LocalSide
from agent.types import Frame
from protos.outcomes import Outcome

__all__ = ["Action", "Answer", "Finish", "Infer", "Lane", "Parts", "Release", "SendUp"]


class Lane:
    """See the module's rules. All times are monotonic seconds."""

    def __init__(
        self,
        sizes: dict[str, CostLine],
        breaker: Breaker,
        terms: Terms,
        profile: Profile = PRIOR,
        rng: random.Random | None = None,
        *,
        parts: Parts = ALL_PARTS,
        ready: bool = False,
        width: int = 1,
        cloud_allowed: bool = False,
    ) -> None:
        """`sizes`: what a call costs by size of the model, cheapest first; one entry "" for a release of one size."""
        self.terms, self.profile, self.parts = terms, profile, parts
        self.here = LocalSide(sizes, width, ready)
        self.there = CloudSide(breaker, UplinkBudget(terms.uplink_bits_per_second), cloud_allowed)
        self.accounts: deque[Account] = deque(maxlen=KEPT)
        self._rng = rng or breaker.rng
        self._jobs: dict[int, Job] = {}
        self._next = 0

    # ---- events ----

    def arrive(self, frame: Frame, now: float) -> list[Action]:
        self._next += 1
        account = Account(frame.tap.camera, frame.seq, now)
        job = self._jobs[self._next] = Job(self._next, frame, account)
        self.accounts.append(account)
        return [*self._route(job, now), *self._dispatch(now)]

    def local_done(self, numbers: tuple[int, ...], answers: Sequence[Answer], now: float) -> list[Action]:
        """The engine answered a call, frame by frame; `error` of an answer when it failed."""
        self.here.done(numbers, answers, now)
        actions: list[Action] = []
        for number, answer in zip(numbers, answers, strict=True):
            job = self._jobs.get(number)
            if job is not None:
                job.local = Leg.OVER
                actions += [*self._settle_local(job, answer, now), *self._clean(job)]
        return [*actions, *self._dispatch(now)]

    def encoded(self, number: int, nbytes: int, now: float) -> list[Action]:
        """The picture of a frame that goes up is there: the cloud is asked now."""
        job = self._jobs.get(number)
        if job is None:
            return []
        self.there.encoded(job, nbytes, now)
        return ending.give_back(job)

    def cloud_done(self, number: int, answer: Answer, now: float) -> list[Action]:
        """The cloud answered, or failed; late answers teach, but count as late."""
        job = self._jobs.get(number)
        if job is None:
            return []
        self.there.done(job, answer, now)
        return [*self._settle_cloud(job, answer, now), *self._clean(job), *self._dispatch(now)]

    def tick(self, now: float) -> list[Action]:
        """Time passed: end what is due, start hedges. Call at `wake_at` at the latest."""
        actions: list[Action] = []
        for job in list(self._jobs.values()):
            if not job.ended and job.frame.deadline <= now:
                actions += self._expire(job, now)
            elif job.hedge_at is not None and job.hedge_at <= now:
                actions += [*self._hedge(job, now), *ending.give_back(job)]
        return [*actions, *self._dispatch(now)]

    def clear(self, now: float) -> list[Action]:
        """The deployment leaves this box: everything that waits is shed."""
        actions: list[Action] = []
        for job in list(self._jobs.values()):
            actions += ending.finish(job, Outcome.SHED, now)
            if job.slot_held:
                actions.append(Release(job.frame.tap, job.frame.slot))
            self.there.forgotten(job)
            self._forget(job)
        return actions

    # ---- what changes ----

    def load(self, sizes: dict[str, CostLine], width: int) -> None:
        """A release answers from now on; what its calls cost was measured warm."""
        self.here.load(sizes, width)

    def agree(self, terms: Terms) -> None:
        """What an operator set, whole."""
        self.terms = terms
        self.there.agree(terms)

    def weigh(self, profile: Profile) -> None:
        """What the release that answers is worth, as measured where it was packaged."""
        self.profile = profile

    def meet_another_cloud(self) -> None:
        """Another node from now on: its breaker is closed, its round trip unknown."""
        self.there.meet_another()

    # ---- questions ----

    @property
    def wake_at(self) -> float | None:
        """When `tick` has something to do; None when nothing is under way."""
        return min(self._moments(), default=None)

    @property
    def calm(self) -> bool:
        """Nothing runs here, and nothing waits."""
        return not self.here.running and not self.here.queue

    @property
    def waiting(self) -> int:
        return len(self.here.queue)

    @property
    def in_cloud(self) -> int:
        return self.there.in_flight

    @property
    def local(self) -> CostLine:
        """Of the cheapest size: what is counted on."""
        return self.here.quick

    def _moments(self) -> Iterator[float]:
        for job in self._jobs.values():
            if not job.ended and job.local is not Leg.RUNNING:
                yield job.frame.deadline
            if job.hedge_at is not None and not job.ended:
                yield job.hedge_at

    # ---- routing ----

    def _route(self, job: Job, now: float) -> list[Action]:
        route = policy.decide(job.frame.deadline, self._local_view(job, now), self.there.view(now), now)
        job.account.chosen = route
        match route:
            case Route.LOCAL | Route.LATE:
                return self._wait(job, now)
            case Route.CLOUD:
                return self._send_up(job, now)
            case Route.HEDGE:
                return [*self._send_up(job, now), *self._wait(job, now)]
            case Route.SHED:
                return [*ending.finish(job, Outcome.SHED, now), *self._clean(job)]

    def _local_view(self, job: Job, now: float) -> LocalView:
        here = self.here
        planned = here.quick.planned()
        return LocalView(
            ready=here.ready,
            free_at=here.ends_at(job, now) - planned,
            planned=planned,
            idle=here.idle,
            waiting=here.waits(job.frame.tap) is not None,
            measured_at=here.quick.last_at,
            improving=here.quick.improving,
        )

    def _wait(self, job: Job, now: float) -> list[Action]:
        """Into the mailbox of its tap; an older frame there is superseded."""
        older = self.here.waits(job.frame.tap)
        actions = self._supersede(older, now) if older is not None else []
        self.here.put(job)
        return actions

    def _supersede(self, job: Job, now: float) -> list[Action]:
        self.here.drop(job)
        job.local = Leg.OVER
        if job.in_cloud:
            return ending.give_back(job)  # it only waited as a hedge: the cloud may still answer it
        return [*ending.finish(job, Outcome.SUPERSEDED, now), *self._clean(job)]

    def _send_up(self, job: Job, now: float) -> list[Action]:
        here = self.here
        job.hedge_at = policy.hedge_at(job.frame.deadline, here.quick.planned()) if here.ready else None
        return [self.there.send(job, now)]

    # ---- running ----

    def _dispatch(self, now: float) -> list[Action]:
        """Start the frames with the earliest deadlines, as the engine is free."""
        actions: list[Action] = []
        while self.here.can_start and self.here.queue:
            head = self.here.queue[0]
            if self._goes_up_late(head, now):
                self.here.drop(head)
                head.local = Leg.UNUSED
                actions += self._send_up(head, now)
            else:
                size, line = next(iter(self.here.sizes.items()))
                actions.append(self.here.start(self.here.queue[: self.here.together(line, now)], size, now))
        return actions

    def _goes_up_late(self, job: Job, now: float) -> bool:
        """Would it be late here, and not in the cloud?"""
        if job.cloud is not Leg.UNUSED or now + self.here.quick.planned() <= job.frame.deadline:
            return False
        cloud = self.there.view(now)
        return cloud.usable and now + cloud.typical <= job.frame.deadline

    def _hedge(self, job: Job, now: float) -> list[Action]:
        job.hedge_at = None
        if job.local is not Leg.UNUSED or self.here.waits(job.frame.tap) is not None:
            return []
        return self._wait(job, now) if self.here.ends_at(job, now) <= job.frame.deadline else []

    # ---- ending ----

    def _settle_local(self, job: Job, answer: Answer, now: float) -> list[Action]:
        if job.ended:
            return []
        job.stages["infer"] = answer.infer_seconds
        if answer.error:
            return [] if job.in_cloud else ending.finish(job, Outcome.ERROR, now)
        return ending.finish(job, ending.answered_here(job, now), now, answer)

    def _settle_cloud(self, job: Job, answer: Answer, now: float) -> list[Action]:
        if job.ended:
            return []
        if answer.error:
            return self._fall_back(job, now)
        return ending.finish(job, ending.answered_there(job, now), now, answer)

    def _fall_back(self, job: Job, now: float) -> list[Action]:
        """The cloud failed this frame: the box may still make it, if its pixels are there."""
        here = self.here
        if job.local in (Leg.WAITING, Leg.RUNNING):
            return []
        if (
            job.slot_held
            and job.local is Leg.UNUSED
            and here.ready
            and here.waits(job.frame.tap) is None
            and (here.idle or here.ends_at(job, now) <= job.frame.deadline)
        ):
            return self._wait(job, now)
        return ending.finish(job, Outcome.ERROR, now, Answer(where="cloud" if job.encoded else "local"))

    def _expire(self, job: Job, now: float) -> list[Action]:
        """The deadline passed. What already runs here ends by its own answer; what is in the cloud is late."""
        if job.local is Leg.RUNNING:
            return []
        self.here.drop(job)
        if job.local is Leg.WAITING:
            job.local = Leg.OVER
        self.there.judge(job, now, ok=False)
        return [*ending.finish(job, ending.unanswered(job), now), *self._clean(job)]

    def _clean(self, job: Job) -> list[Action]:
        """Give the slot back and forget the job once nothing needs them."""
        actions = ending.give_back(job)
        if job.over:
            self._forget(job)
        return actions

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.number, None)
        self.here.drop(job)
