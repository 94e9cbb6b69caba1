"""The cloud's side of a lane: what is under way to it, what going up is worth, and what is learned from it. No I/O.

Rules that hold here:

- the bits of a picture are booked when it is decided that it goes up, by the size that is expected of it, and corrected
  when it is there. One that turns out not to fit is called off: it must not be sent;
- the breaker hears of each call once; a picture that could not be encoded is no failure of the cloud, and neither is
  being turned away at its door, which is an answer;
- a few frames are under way at once, no more: a socket's queue is a hidden first-in-first-out. A few more, where all of
  those are carried already and wait for the node;
- a picture sent to see how the link is, whatever that is worth, waits while a budget that it is paid from is overspent
  so far that the picture alone would cost more than its answer is worth: no limit is passed by looking. Of bits there
  is a hard end;
- of a release that tells nothing of itself, the cloud's answers are thought no better than the box's: frames go up only
  for the time, encoded as the deployment has it.
"""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec

from agent.offload import policy
from agent.offload.breaker import Breaker, BreakerState
from agent.offload.budget import Booking, SlidingBudget
from agent.offload.difficulty import eased
from agent.offload.explain import Score
from agent.offload.ledger import Ledger
from agent.offload.link import Link
from agent.offload.policy import Parts, Way
from agent.offload.prices import Cost, Prices, sent_up
from agent.offload.profile import JpegPoint, Profile
from agent.offload.terms import Terms
from agent.pipeline.actions import Answer, SendUp
from agent.pipeline.jobs import Job, Leg

FEW_IN_FLIGHT = 4  # frames under way to the cloud at once, per lane, while a picture is on the wire
MOST_IN_FLIGHT = 8  # and while all wait for a node that takes
FAR_SECONDS = 0.2  # or more, beside the transfer: with a nearer one, eight make twice as many late
FIRST_ENCODE_SECONDS = 0.005
FIRST_SERVICE_SECONDS = 0.03  # that the node is busy with a frame, until it said so
GAIN = 0.2  # of one picture, in what is expected of the next; of a release's first ones, more
BIAS_GAIN = 0.05  # of one answer
MOST_BIAS = 3.0
TRY_SECONDS = 1.0  # between tries of a way that is thought too slow
LEAST_PAUSE = 0.1  # seconds that a door is left alone that turned a frame away


class CloudSide:
    """All times are monotonic seconds."""

    def __init__(self, breaker: Breaker, terms: Terms, profile: Profile, parts: Parts, *, allowed: bool) -> None:
        self.breaker, self.terms, self.profile, self.parts = breaker, terms, profile, parts
        self.allowed = allowed  # by the deployment, and a cloud node is known
        self.in_flight = 0
        self.link = Link()
        self.budget = SlidingBudget(terms.uplink_bits_per_second)
        self.prices = Prices(terms, self.budget)
        self.money = Ledger()
        self._encode = FIRST_ENCODE_SECONDS
        self._service = FIRST_SERVICE_SECONDS
        self._larger, self._pictures = 1.0, 0  # times the bytes of the profile, by so many pictures
        self._shut_until = float("-inf")
        self._bias = 0.0  # in the log odds of an answer in time
        self._heard_at = float("-inf")  # an answer or a failure came last
        self._ways: list[Way] = []
        self._ways_at = float("-inf")  # when these were worked out

    # ---- questions ----

    @property
    def helps(self) -> bool:
        """It may be asked, and answers."""
        return self.allowed and self.breaker.state is BreakerState.CLOSED

    def barred(self, job: Job, now: float) -> str:
        """Why this frame cannot go up now, in a few words; "" where it can."""
        if not self.allowed:
            return "no cloud"
        if not self.terms.may_leave(job.frame.tap.camera):
            return "its pictures stay on the box"
        if job.cloud is not Leg.UNUSED or not job.slot_held:
            return "it was sent before"
        if self._full(now):
            return "enough are under way"
        if now < self._shut_until:
            return "the cloud turns frames away"
        return "" if self.breaker.allows(now) else "the breaker is open"

    def _full(self, now: float) -> bool:
        """Beyond a few, only where the wire is thought free: then they wait for a far node, and not for each other."""
        if self.in_flight < FEW_IN_FLIGHT:
            return False
        far = self.link.rtt.mean + self.link.service.mean >= FAR_SECONDS
        carried = self.in_flight == self.link.in_flight and self.link.ahead(now) <= 0.0
        return self.in_flight >= MOST_IN_FLIGHT or not (far and carried)

    def ways(self, now: float) -> list[Way]:
        """Those that the budget has room for."""
        if now != self._ways_at:
            self.prices.elapse(now)
            found = [self._way(point, now) for point in self.profile.jpeg]
            room = self.budget.left(now) if self.parts.hard_bucket else float("inf")
            self._ways, self._ways_at = [way for way in found if way.bits <= room], now
        return self._ways

    def _way(self, point: JpegPoint, now: float) -> Way:
        nbytes = point.bytes * self._larger
        cost = sent_up(nbytes, self._service, self.terms)
        metric = point.metric if self.profile.measured else max(size.metric for size in self.profile.sizes)
        price = self.prices.price(cost) if self.parts.prices else 0.0
        return Way(point, metric, cost.bits, self._encode + self.link.need(nbytes, now), price)

    def instead(self, job: Job, now: float, value: float, otherwise: float, freed: float) -> tuple[Way | None, Score]:
        """The best way up for a frame that has no answer yet. `otherwise`, `freed`: see `policy.there`."""
        if why_not := self.barred(job, now):
            return None, Score(0.0, 0.0, 0.0, 0.0, why_not)
        slack, best, score = job.frame.deadline - now, None, Score(0.0, 0.0, 0.0, 0.0, "the uplink budget is spent")
        for way in self.ways(now):
            on_time = policy.chance(slack, way.need, self._bias)
            found = policy.there(value, eased(way.metric, job.ease), on_time, otherwise, freed, way.price)
            if best is None or found.score > score.score:
                best, score = way, found
        return (best if not score.why_not else None), score

    def better(self, job: Job, now: float, value: float, trusted: float) -> tuple[Way | None, Score]:
        """The best way up for one that the box has answered. `trusted`: P that the box is right."""
        if why_not := self.barred(job, now):
            return None, Score(0.0, 0.0, 0.0, 0.0, why_not)
        slack = job.frame.deadline - policy.HELD_SECONDS - now
        best, score = None, Score(0.0, 0.0, 0.0, 0.0, "the uplink budget is spent")
        for way in self.ways(now):
            gain = max(0.0, way.metric - trusted)
            on_time = 1.0 if self._tries(now) else policy.chance(slack, way.need, self._bias)
            found = policy.second(value, gain, on_time, way.price)
            if best is None or found.score > score.score:
                best, score = way, found
        return (best if not score.why_not else None), score

    def _tries(self, now: float) -> bool:
        """A way that was too slow is tried with a frame that the box has answered: it may have become faster."""
        return self.in_flight == 0 and now - self._heard_at >= TRY_SECONDS

    def probe(self, job: Job, now: float) -> Way | None:
        """The smallest way up, when it is time to look how the link is, whatever it is thought to take."""
        if self.barred(job, now) or not self.link.probe_due(now):
            return None
        way = min(self.ways(now), key=lambda way: way.bits, default=None)
        return None if way is None or self._overspent(way, job.value) else msgspec.structs.replace(way, probe=True)

    def _overspent(self, way: Way, value: float) -> bool:
        """Would it cost more than its answer is worth, of the budgets other than bits?"""
        cost = replace(sent_up(way.bits / 8, self._service, self.terms), bits=0.0)
        return self.parts.prices and self.prices.price(cost) > value * way.metric

    # ---- what happens ----

    def agree(self, terms: Terms) -> None:
        self.terms = terms
        self.budget.bits_per_second = terms.uplink_bits_per_second
        self.prices.agree(terms)
        self._ways_at = float("-inf")

    def weigh(self, profile: Profile) -> None:
        self.profile, self._ways_at = profile, float("-inf")
        self._larger, self._pictures = 1.0, 0

    def send(self, job: Job, way: Way, now: float) -> SendUp:
        job.cloud, job.sent_at, job.way = Leg.RUNNING, now, way
        job.account.sent, job.account.probe = way.metric, way.probe
        job.on_time = policy.chance(job.frame.deadline - now, way.need, self._bias)
        self.in_flight += 1
        self.breaker.reserved()
        job.booking = self.budget.reserve(way.bits, now) or Booking(0)
        self._pay(sent_up(way.bits / 8, self._service, self.terms), now)
        point = way.point if self.profile.measured else JpegPoint(0, 0, way.point.bytes, 0.0)
        hard = job.heard is not None
        return SendUp(job.number, job.frame, quality=point.quality, max_side=point.max_side, hard=hard)

    def encoded(self, job: Job, nbytes: int, now: float) -> bool:
        """The picture of a frame that goes up is there. False: it must not be sent."""
        expected = job.way.bits / 8
        self._encode += GAIN * (now - job.sent_at - self._encode)
        self._pictures += 1
        self._larger *= 1.0 + max(GAIN, 1.0 / self._pictures) * (nbytes / expected - 1.0)
        if self.parts.hard_bucket and not self.budget.correct(job.booking, nbytes * 8, now):
            job.called_off = True
            return False
        self._pay(sent_up(nbytes - expected, 0.0, self.terms), now)
        job.encoded, job.uplink_bytes = True, nbytes
        job.stages["encode"] = now - job.sent_at
        self.link.sent(job.number, nbytes, now)
        if not job.cloud_judged:
            self.breaker.called(now)
        return True

    def done(self, job: Job, answer: Answer, now: float) -> None:
        """It answered, or failed; late answers teach, too."""
        job.cloud = Leg.OVER
        self.in_flight -= 1
        self._heard_at, self._ways_at = now, float("-inf")
        if not job.encoded:
            self._not_sent(job, now)
        elif answer.error and not answer.turned_away:
            self.link.lost(job.number, now)
            self.budget.ended(job.booking, now)
        else:
            self._answered(job, answer, now)
        if job.encoded:
            in_time = not answer.error and now <= job.frame.deadline
            self._bias += BIAS_GAIN * (in_time - job.on_time)
            self._bias = min(MOST_BIAS, max(-MOST_BIAS, self._bias))
        self.judge(job, now, ok=answer.turned_away or not answer.error)
        if self.in_flight == 0:
            self.breaker.idle()

    def _answered(self, job: Job, answer: Answer, now: float) -> None:
        job.stages["cloud"] = now - job.sent_at - job.stages["encode"]
        self.link.answered(job.number, now, answer.service_seconds)
        self.budget.ended(job.booking, now)
        if answer.turned_away:
            self._shut_until = now + max(LEAST_PAUSE, answer.retry_after)
        elif answer.service_seconds:
            self._pay(Cost(money=(answer.service_seconds - self._service) * self.terms.money_per_cloud_second), now)
            self._service += GAIN * (answer.service_seconds - self._service)

    def _not_sent(self, job: Job, now: float) -> None:
        """Nothing was sent, so nothing was spent."""
        self.budget.withdrawn(job.booking)
        paid = sent_up(job.way.bits / 8, self._service, self.terms)
        self._pay(Cost(-paid.bits, -paid.money, -paid.joules, -paid.grams), now)

    def _pay(self, cost: Cost, now: float) -> None:
        self.prices.spent(cost, now)
        self.money.paid(cost.money, now)
        self._ways_at = float("-inf")

    def judge(self, job: Job, now: float, *, ok: bool) -> None:
        """Tell the breaker about this call, once."""
        if job.cloud is Leg.UNUSED or job.cloud_judged:
            return
        job.cloud_judged = True
        if not job.encoded or (not ok and job.on_time <= policy.LIKELY):
            self.breaker.withdrawn()  # never sent, or by a way that was thought too slow
        elif ok:
            self.breaker.succeeded(now, job.sent_at)
        else:
            self.breaker.failed(now, job.sent_at)

    def forgotten(self, job: Job, now: float) -> None:
        """The lane was cleared while it was under way."""
        if not job.in_cloud:
            return
        self.in_flight -= 1
        if job.encoded:
            self.link.lost(job.number, now)
            self.budget.ended(job.booking, now)
        else:
            self.budget.withdrawn(job.booking)

    def meet_another(self, rng: random.Random) -> None:
        """Another node from now on: its breaker is closed, and the way to it unknown."""
        self.breaker, self.link, self._shut_until = Breaker(rng=rng), Link(), float("-inf")
        self._ways_at = float("-inf")
