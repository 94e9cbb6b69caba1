"""Where frames go by rules that look at nothing but a queue, a score, or what is under way."""

from __future__ import annotations

from dataclasses import dataclass

from bench.decision.rivals.books import NOWHERE, UP, Choice, Job, Sight
from protos.outcomes import Outcome


class _Unlearned:
    """Neither a second opinion nor anything learned."""

    def goes_up(self, _job: Job, _confidence: float, _sight: Sight) -> bool:
        return False

    def ended(self, _job: Job, _outcome: Outcome, _now: float) -> None:
        pass


@dataclass
class LocalOnly(_Unlearned):
    size: str

    def arrives(self, _job: Job, _sight: Sight) -> Choice:
        return Choice("box", self.size)


class CloudOnly(_Unlearned):
    def arrives(self, _job: Job, _sight: Sight) -> Choice:
        return UP


class GuardedCloud(_Unlearned):
    """To the cloud while what is under way lets the answer be in time; the rest is given up."""

    def arrives(self, job: Job, sight: Sight) -> Choice:
        in_time = sight.now + sight.wire.need(sight.wire.typical_bytes) <= job.offer.deadline
        return UP if in_time or not sight.in_cloud else NOWHERE


@dataclass
class Threshold:
    """Sedna's joint inference: to the cloud when more than `queue` frames wait, or the box's answer is below `least`.

    Its hard-example filter is a threshold on confidence, and its overload rule one on the queue; the box's answer is
    kept until the deadline, which Sedna does not do, so that a slow cloud costs nothing that was there.
    """

    size: str
    queue: int
    least: float

    def arrives(self, _job: Job, sight: Sight) -> Choice:
        return UP if sight.waiting > self.queue else Choice("box", self.size)

    def goes_up(self, _job: Job, confidence: float, _sight: Sight) -> bool:
        return confidence < self.least

    def ended(self, _job: Job, _outcome: Outcome, _now: float) -> None:
        pass
