"""The cloud's side of a lane: what is under way to it, what it may be asked, and what is learned from it. No I/O.

Rules that hold here:

- a frame that goes up is paid for from the uplink budget when that is decided, by the size that is expected of its
  picture, and settled when the picture is there;
- the breaker hears of each call once; a picture that could not be encoded is no failure of the cloud;
- a few frames are under way at once, no more: a socket's queue is a hidden first-in-first-out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.offload.breaker import Breaker
from agent.offload.budget import UplinkBudget
from agent.offload.estimate import Estimate
from agent.offload.policy import CloudView
from agent.offload.terms import Terms
from agent.pipeline.actions import Answer, SendUp
from agent.pipeline.jobs import Job, Leg

MOST_IN_FLIGHT = 8  # frames under way to the cloud at once, per lane
FIRST_JPEG_BYTES = 20_000  # until a picture was encoded: 640×360 at quality 80
FIRST_SECONDS = 0.08


@dataclass
class CloudSide:
    """All times are monotonic seconds."""

    breaker: Breaker
    budget: UplinkBudget
    allowed: bool = False  # by the deployment, and a cloud node is known
    in_flight: int = 0
    round_trip: Estimate = field(default_factory=lambda: Estimate(FIRST_SECONDS))
    _jpeg_bytes: float = FIRST_JPEG_BYTES

    def view(self, now: float) -> CloudView:
        usable = (
            self.allowed
            and self.in_flight < MOST_IN_FLIGHT
            and self.budget.allows(self._jpeg_bytes * 8, now)
            and self.breaker.allows(now)
        )
        return CloudView(usable, self.round_trip.typical_after(now))

    # ---- what happens ----

    def agree(self, terms: Terms) -> None:
        self.budget.bits_per_second = terms.uplink_bits_per_second

    def send(self, job: Job, now: float) -> SendUp:
        job.cloud, job.sent_at, job.reserved = Leg.RUNNING, now, self._jpeg_bytes * 8
        self.in_flight += 1
        self.breaker.reserved()
        self.budget.spend(job.reserved, now)
        return SendUp(job.number, job.frame)

    def encoded(self, job: Job, nbytes: int, now: float) -> None:
        """The picture of a frame that goes up is there: the cloud is asked now."""
        job.encoded, job.uplink_bytes = True, nbytes
        job.stages["encode"] = now - job.sent_at
        if not job.cloud_judged:
            self.breaker.called(now)
        self.budget.spend(nbytes * 8 - job.reserved, now)
        self._jpeg_bytes += 0.2 * (nbytes - self._jpeg_bytes)

    def done(self, job: Job, answer: Answer, now: float) -> None:
        """It answered, or failed; late answers teach, too."""
        job.cloud = Leg.OVER
        self.in_flight -= 1
        if not job.encoded:
            self.budget.spend(-job.reserved, now)  # nothing was sent
        elif not answer.error:
            job.stages["cloud"] = now - job.sent_at - job.stages["encode"]
            self.round_trip.observe(now - job.sent_at, now)
        self.judge(job, now, ok=not answer.error and now <= job.frame.deadline)
        if self.in_flight == 0:
            self.breaker.idle()

    def judge(self, job: Job, now: float, *, ok: bool) -> None:
        """Tell the breaker about this call, once."""
        if job.cloud is Leg.UNUSED or job.cloud_judged:
            return
        job.cloud_judged = True
        if not job.encoded:
            self.breaker.withdrawn()
        elif ok:
            self.breaker.succeeded(now)
        else:
            self.breaker.failed(now)

    def forgotten(self, job: Job) -> None:
        """The lane was cleared while it was under way."""
        self.in_flight -= job.in_cloud

    def meet_another(self) -> None:
        """Another node from now on: its breaker is closed, its round trip unknown."""
        self.breaker = Breaker()
        self.round_trip = Estimate(FIRST_SECONDS)
