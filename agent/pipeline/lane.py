"""One deployment's frames on this box, decided without I/O.

Events in (a frame arrived, an answer came, time passed), actions out (run it, send it up, give its slot back, it ended
so). The caller does what it is told and reports back. Rules that hold here:

- every frame handed in ends in exactly one Finish, whatever the world does;
- a frame goes where it is worth most, less what that costs (`agent.offload.policy`): to the box, up, or nowhere;
- what waits can all be in time as planned, what is due earlier counting as ahead. Where a frame comes that makes
  another late, the one of them is given up that costs least: sent up if that is worth it, else shed;
- none starts that can no longer be in time, but to see what a box can do that is thought too slow (`trial`): where it
  has nothing else to do, and now and then with a copy of a frame in the cloud;
- an answer of the box that is likely wrong is asked of the cloud too, where that is worth its price. It is in hand
  meanwhile, and told just before its deadline if the cloud is silent. What the cloud says then, even late, teaches;
- a frame in the cloud ends at its deadline, not when the cloud answers;
- a slot is given back once, as soon as nothing can read it any more: with a frame in the cloud when its picture is
  encoded, unless the box may still run it too.

The box's own rules (mailboxes, calls of several frames, sizes) are `local_side`'s, the cloud's are `cloud_side`'s.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence

from agent.offload import feasibility, policy
from agent.offload.breaker import Breaker
from agent.offload.calibration import Calibration
from agent.offload.cascade import Cascade
from agent.offload.cost import CostLine
from agent.offload.difficulty import Difficulty, eased
from agent.offload.explain import KEPT, Account, Score
from agent.offload.policy import ALL_PARTS, HELD_SECONDS, PROBE_SECONDS, Parts, Route, Way
from agent.offload.prices import run_here
from agent.offload.profile import PRIOR, Profile
from agent.offload.terms import Terms
from agent.pipeline import ending
from agent.pipeline.actions import Action, Answer, Finish, Infer, Release, SendUp
from agent.pipeline.agreement import agree
from agent.pipeline.cloud_side import CloudSide
from agent.pipeline.jobs import Job, Leg
from agent.pipeline.local_side import LocalSide
from agent.pipeline.shares import Shares
from agent.types import Frame, Tap
from protos.outcomes import IN_TIME, Outcome

__all__ = ["Action", "Answer", "Finish", "Infer", "Lane", "Parts", "Release", "SendUp"]

NOTHING = Score(0.0, 0.0, 0.0, 0.0)  # giving a frame up
HEDGE_WORTH = 0.2  # of what it would be alone: what a frame that waits is worth here while the cloud has it
FAIR = 0.01  # of a frame's value: of equal ones the tap gives one up that was answered most of late


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
        self.here = LocalSide(sizes, width, profile, parts, ready=ready)
        self.there = CloudSide(breaker, terms, profile, parts, allowed=cloud_allowed)
        self.accounts: deque[Account] = deque(maxlen=KEPT)
        self.calibration, self.cascade = Calibration(profile.confidence), Cascade()
        self._rng = rng or breaker.rng
        self._jobs: dict[int, Job] = {}
        self._next = 0
        self._shares = Shares()
        self._difficulty = Difficulty()
        self._in_time_at = float("-inf")  # the box last answered one so

    # ---- events ----

    def arrive(self, frame: Frame, now: float) -> list[Action]:
        self._next += 1
        account = Account(frame.tap.camera, frame.seq, now)
        job = Job(self._next, frame, account, self.terms.worth(frame.tap.camera))
        self._jobs[self._next] = job
        self.accounts.append(account)
        self.here.arrived(frame.tap, now)
        return [*self._route(job, now), *self._relieve(now), *self._dispatch(now)]

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
        """The picture of a frame that goes up is there. The cloud is asked now, where it `goes_up`."""
        job = self._jobs.get(number)
        if job is None or not self.there.encoded(job, nbytes, now):
            return []
        return ending.give_back(job)

    def goes_up(self, number: int) -> bool:
        """May its picture be sent, which was `encoded`? Where not, report `cloud_done` with an error."""
        job = self._jobs.get(number)
        return job is not None and not job.called_off

    def cloud_done(self, number: int, answer: Answer, now: float) -> list[Action]:
        """The cloud answered, or failed; late answers teach, but count as late."""
        job = self._jobs.get(number)
        if job is None:
            return []
        self.there.done(job, answer, now)
        self._learn(job, answer)
        return [*self._settle_cloud(job, answer, now), *self._clean(job), *self._dispatch(now)]

    def tick(self, now: float) -> list[Action]:
        """Time passed: end what is due, start hedges. Call at `wake_at` at the latest."""
        actions: list[Action] = []
        for job in list(self._jobs.values()):
            if job.ended:
                continue
            if job.held and job.heard is not None and job.frame.deadline - HELD_SECONDS <= now:
                actions += [*self._tell(job, job.heard, now), *self._clean(job)]
            elif job.frame.deadline <= now:
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
            self.there.forgotten(job, now)
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
        """What the release that answers is worth, as measured where it was packaged. What was learned before goes."""
        self.profile = profile
        self.here.weigh(profile)
        self.there.weigh(profile)
        self.calibration, self.cascade, self._difficulty = Calibration(profile.confidence), Cascade(), Difficulty()

    def leave(self, tap: Tap) -> None:
        """It feeds this lane no more: what was learned of it goes."""
        self._difficulty.forget(tap)
        self._shares.forget(tap)
        self.here.forget(tap)

    def meet_another_cloud(self) -> None:
        """Another node from now on: its breaker is closed, the way to it unknown."""
        self.there.meet_another(self._rng)

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
            if job.ended:
                continue
            if job.held:
                yield job.frame.deadline - HELD_SECONDS
            elif job.local is not Leg.RUNNING:
                yield job.frame.deadline
            if job.hedge_at is not None:
                yield job.hedge_at

    # ---- where a frame goes ----

    def _route(self, job: Job, now: float) -> list[Action]:
        """At its arrival: to wait for the box, or up. An older frame of its tap that waits makes way, or goes up."""
        if not self.here.ready:
            return self._elsewhere(job, now)
        metric, slope = self.here.metric(now)
        if self._wiser(metric):
            job.ease = self._difficulty.ease(job.frame.tap, now)
            metric = eased(metric, job.ease)
        end = self.here.ends_at(job, now)
        local = self._local(job, end, metric, now)
        way, cloud = self._up(job, end, slope * self.here.each, now)  # and what the box is freed of helps another frame
        job.account.scores.update(local=local, cloud=cloud, shed=NOTHING)
        job.account.features = self._features(job, end, now)
        older = self.here.waits(job.frame.tap)
        if older is not None and not older.in_cloud:
            return self._one_of_two(older, job, local, now)
        margin = cloud.score - local.score - policy.MARGIN * job.value
        lots = self._rng if self.profile.measured else None
        if end <= job.frame.deadline and way is not None and job.goes(margin, cloud.price - local.price, lots):
            return self._send_up(job, way, now, Route.CLOUD)
        probe = self.there.probe(job, now) if self.profile.measured or end > job.frame.deadline else None
        sent = self._send_up(job, probe, now, Route.HEDGE) if probe is not None else []
        return sent if job.local is Leg.WAITING else [*sent, *self._wait(job, now)]

    def _wiser(self, metric: float) -> bool:
        """Is the cloud right more often? A like model there finds hard what is hard here, and saves time only."""
        return max(point.metric for point in self.profile.jpeg) > metric + policy.MARGIN

    def _features(self, job: Job, end: float, now: float) -> dict[str, float]:
        """What the scores were made from: seconds, frames, frames a second, shares."""
        return {
            "slack": job.frame.deadline - now,
            "need": end - now,
            "value": job.value,
            "waiting": float(len(self.here.queue)),
            "running": float(len(self.here.running)),
            "rate": self.here.rate(now),
            "slowness": self.here.quick.slowness,
            "under_way": float(self.there.in_flight),
        }

    def _local(self, job: Job, end: float, metric: float, now: float) -> Score:
        price = self.there.prices.price(run_here(self.here.each, self.terms)) if self.parts.prices else 0.0
        return policy.here(job.value, metric, policy.chance(*self.here.likely(job, end, now)), price)

    def _up(self, job: Job, end: float, freed: float, now: float) -> tuple[Way | None, Score]:
        """The best way up, the box being able to answer it by `end`."""
        instead = 0.0
        if self.here.ready and self.parts.hedge:
            instead = self.here.metrics[self.here.quickest] * policy.chance(*self.here.likely(job, end, now))
        return self.there.instead(job, now, job.value, instead, freed)

    def _one_of_two(self, older: Job, job: Job, local: Score, now: float) -> list[Action]:
        """Two frames of one tap, of which one may wait: the other goes up, or the older is superseded."""
        end, metric = self.here.ends_at(older, now), self.here.metrics[self.here.quickest]
        first = self._local(older, end, metric, now)
        newer_way, newer = self._up(job, self.here.ends_at(job, now), 0.0, now)
        older_way, up = self._up(older, end, 0.0, now)
        best = max(newer.score + first.score if newer_way else 0.0, up.score + local.score if older_way else 0.0)
        if best <= local.score + policy.MARGIN * job.value:
            if (probe := self.there.probe(job, now)) is not None:
                return self._send_up(job, probe, now, Route.CLOUD)  # one of them is lost anyway
            lost = self.here.ends_at(job, now) > job.frame.deadline and end <= older.frame.deadline
            return self._shed(job, now) if lost else self._wait(job, now)
        if newer_way is not None and newer.score + first.score >= best:
            return self._send_up(job, newer_way, now, Route.CLOUD)
        assert older_way is not None  # `best` is its
        self._withdraw(older)
        return [*self._send_up(older, older_way, now, Route.CLOUD), *self._wait(job, now)]

    def _elsewhere(self, job: Job, now: float) -> list[Action]:
        """To the cloud, or nowhere: the box can't answer it."""
        way, cloud = self._up(job, float("inf"), 0.0, now)
        job.account.scores.update(cloud=cloud, shed=NOTHING)
        if way is None or cloud.score <= 0.0:
            way = self.there.probe(job, now)
        return self._shed(job, now) if way is None else self._send_up(job, way, now, Route.CLOUD)

    def _wait(self, job: Job, now: float) -> list[Action]:
        """Into the mailbox of its tap; an older frame there is superseded."""
        older = self.here.waits(job.frame.tap)
        actions = self._supersede(older, now) if older is not None else []
        self.here.put(job, older if self._shares.behind(job.frame.tap) else None)
        job.account.chosen = job.account.chosen or Route.LOCAL
        return actions

    def _supersede(self, job: Job, now: float) -> list[Action]:
        self._withdraw(job)
        job.local = Leg.OVER
        if job.in_cloud:
            return ending.give_back(job)  # it only waited as a hedge: the cloud may still answer it
        return [*self._end(job, Outcome.SUPERSEDED, now), *self._clean(job)]

    def _withdraw(self, job: Job) -> None:
        """It waits here no more."""
        self.here.drop(job)
        job.local = Leg.UNUSED

    def _send_up(self, job: Job, way: Way, now: float, route: Route) -> list[Action]:
        """Up; where the box has nothing to do and is thought slow, or was not asked for long, a copy runs here."""
        here = self.here
        job.account.chosen = route
        if here.ready and self.parts.hedge and not job.held:
            job.hedge_at = policy.hedge_at(now, job.frame.deadline, here.planned, here.longest)
        sent = self.there.send(job, way, now)
        if job.heard is None:
            here.spared()
        if job.local is Leg.UNUSED and self._unknown(now):
            job.trial, job.account.chosen = True, Route.HEDGE
            here.put(job)
        return [sent]

    def _unknown(self, now: float) -> bool:
        """Has the box nothing to do, and is it time to see what it can?"""
        here = self.here
        overdue = now - max(line.last_at for line in here.sizes.values()) >= PROBE_SECONDS
        return here.ready and here.idle and (overdue or here.quick.improving)

    # ---- what cannot all be in time ----

    def _relieve(self, now: float) -> list[Action]:
        """Give up frames until all that wait are in time."""
        actions: list[Action] = []
        while self.here.ready and (missed := self.here.missed(now)) is not None:
            among = self.here.queue[0 if self.parts.earlier_only else missed : missed + 1]
            losses = [self._loss(job, now) for job in among]
            actions += self._give_up(among[feasibility.cheapest(losses)], now)
        return actions

    def _loss(self, job: Job, now: float) -> float:
        """What giving it up costs: its worth here, less what it would be worth up there."""
        worth = job.value * self.here.metrics[self.here.quickest]
        if job.in_cloud:
            return HEDGE_WORTH * worth
        _, cloud = self.there.instead(job, now, job.value, 0.0, 0.0)
        return worth - max(0.0, cloud.score) - FAIR * job.value * self._shares.of(job.frame.tap)

    def _give_up(self, job: Job, now: float) -> list[Action]:
        """One that waits and cannot be in time, or makes another late: up, if that is worth it; else shed."""
        if job.in_cloud:
            self._withdraw(job)
            job.local = Leg.OVER
            return self._clean(job)
        way, cloud = self.there.instead(job, now, job.value, 0.0, 0.0)
        job.account.scores["cloud"] = cloud
        if way is not None and cloud.score > 0.0:
            self._withdraw(job)
            return self._send_up(job, way, now, Route.CLOUD)
        if self._may_try(job, now):
            job.trial, job.account.chosen = True, Route.LATE
            return []
        self._withdraw(job)
        return self._shed(job, now)

    def _may_try(self, job: Job, now: float) -> bool:
        """Is it run though it is not planned to be in time? Where it waits alone for an engine that has nothing to do,
        and either may be in time all the same, or no other was of late.
        """
        here = self.here
        if here.running or len(here.queue) > 1:
            return False
        likely = now + here.quick.expected() <= job.frame.deadline
        return likely or here.quick.improving or now - self._in_time_at >= PROBE_SECONDS

    def _shed(self, job: Job, now: float) -> list[Action]:
        job.account.chosen = Route.SHED
        return [*self._end(job, Outcome.SHED, now), *self._clean(job)]

    # ---- running ----

    def _dispatch(self, now: float) -> list[Action]:
        """Start what is most urgent, as the engine is free. What can't be in time any more does not start."""
        actions: list[Action] = []
        while self.here.can_start and self.here.queue:
            head = self.here.queue[0]
            if not head.trial and now + self.here.planned > head.frame.deadline:
                actions += self._give_up(head, now)
            else:
                actions.append(self.here.start(self.here.next_call(now), now))
        return actions

    def _hedge(self, job: Job, now: float) -> list[Action]:
        """The cloud is silent: the last moment in which the box may still make it."""
        job.hedge_at = None
        if job.local is not Leg.UNUSED or self.here.waits(job.frame.tap) is not None:
            return []
        return self._wait(job, now) if self.here.ends_at(job, now) <= job.frame.deadline else []

    # ---- answers ----

    def _settle_local(self, job: Job, answer: Answer, now: float) -> list[Action]:
        if job.ended:
            return []
        ending.heard(job, answer)
        if answer.error:
            return [] if job.in_cloud else self._end(job, Outcome.ERROR, now)
        job.heard = answer
        job.confidence = self.calibration.confidence(answer.boxes) if answer.confidence is None else answer.confidence
        usual = self.here.metrics.get(job.account.size, job.confidence)
        self._difficulty.heard(job.frame.tap, job.account.size, usual, job.confidence, job.frame.captured)
        job.account.features["confidence"] = job.confidence
        if now <= job.frame.deadline:
            self._in_time_at = now
        if now < job.frame.deadline - HELD_SECONDS and self.profile.measured:
            if job.in_cloud:
                job.held, job.hedge_at = True, None
                return []
            if up := self._ask_again(job, answer, now):
                return up
        return self._tell(job, answer, now)

    def _ask_again(self, job: Job, answer: Answer, now: float) -> list[Action]:
        """Up with a doubtful answer; nothing where that is not worth it."""
        if not self.parts.cascade or not self._wiser(self.here.metrics.get(job.account.size, 0.0)):
            return []
        value = self.terms.worth(job.frame.tap.camera, {box.label for box in answer.boxes})
        trusted = 1.0 - self.cascade.gain(job.confidence, 1.0)  # to be right
        way, score = self.there.better(job, now, value, trusted)
        job.account.scores["cascade"] = score
        if way is None or not job.goes(score.score, score.price, self._rng, value):
            return []
        job.held = True
        return self._send_up(job, way, now, Route.CASCADE)

    def _tell(self, job: Job, answer: Answer, now: float) -> list[Action]:
        return self._end(job, ending.answered_here(job, now), now, answer)

    def _settle_cloud(self, job: Job, answer: Answer, now: float) -> list[Action]:
        if job.ended:
            return []
        if not answer.error and not answer.turned_away:
            return self._end(job, ending.answered_there(job, now), now, answer)
        if job.held and job.heard is not None:
            return self._tell(job, job.heard, now)
        return self._fall_back(job, now)

    def _fall_back(self, job: Job, now: float) -> list[Action]:
        """The cloud failed this frame: the box may still make it, if its pixels are there."""
        here = self.here
        if job.local in (Leg.WAITING, Leg.RUNNING):
            return []
        could = job.slot_held and job.local is Leg.UNUSED and here.ready and here.waits(job.frame.tap) is None
        if could and (here.idle or here.ends_at(job, now) <= job.frame.deadline):
            return self._wait(job, now)
        return self._end(job, Outcome.ERROR, now, Answer(where="cloud" if job.encoded else "local"))

    def _learn(self, job: Job, answer: Answer) -> None:
        """Both have answered it: whether they agree."""
        if job.heard is None or answer.error or answer.turned_away:
            return
        agreed = agree(job.heard.boxes, answer.boxes)
        self.cascade.learn(job.confidence, agreed=agreed)
        if job.heard.confidence is None:
            self.calibration.learn(job.heard.boxes, right=agreed)

    # ---- ending ----

    def _expire(self, job: Job, now: float) -> list[Action]:
        """The deadline passed. What already runs here ends by its own answer; what is in the cloud is late."""
        if job.local is Leg.RUNNING:
            return []
        self.here.drop(job)
        if job.local is Leg.WAITING:
            job.local = Leg.OVER
        return [*self._end(job, ending.unanswered(job), now), *self._clean(job)]

    def _end(self, job: Job, outcome: Outcome, now: float, answer: Answer | None = None) -> list[Action]:
        self._shares.ended(job.frame.tap, in_time=outcome in IN_TIME)
        if job.local is Leg.WAITING:
            self.here.drop(job)  # the cloud was first
            job.local = Leg.OVER
        return ending.finish(job, outcome, now, answer)

    def _clean(self, job: Job) -> list[Action]:
        """Give the slot back and forget the job once nothing needs them."""
        actions = ending.give_back(job)
        if job.over:
            self._forget(job)
        return actions

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.number, None)
        self.here.drop(job)
