"""What every baseline does alike, so that the modules beside it say only what is their own.

Rules that hold here:

- every frame ends once; at most `width` calls run at once;
- an answer of the box that waits for the cloud's is given at the deadline, if the cloud is still silent;
- a baseline that knows deadlines ends a frame at its own; one that does not, when its answer comes, late or not.

All times are seconds of virtual time.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from agent.offload.cost import CostLine
from agent.simulation.contender import CLOUD, Act, End, Offer, Reply, Send, Start
from bench.decision.rivals.wire import Wire
from protos.outcomes import Outcome


@dataclass(slots=True)
class Job:
    """A frame on its way. `held`: the size whose answer is kept while the cloud is asked for a better one."""

    offer: Offer
    size: str = ""
    waiting: bool = False
    running: bool = False
    in_cloud: bool = False
    held: str = ""
    confidence: float = 0.0  # of the box's answer
    ended: bool = False

    @property
    def over(self) -> bool:
        return self.ended and not (self.waiting or self.running or self.in_cloud)


class Sight(msgspec.Struct, frozen=True):
    """What a rule of routing sees of the box. `waiting` and `in_cloud`: frames; `costs`: by size, as learned."""

    now: float
    waiting: int
    in_cloud: int
    wire: Wire
    costs: dict[str, CostLine]


class Choice(msgspec.Struct, frozen=True):
    """Where a frame goes when it arrives: to the box with this size, to the cloud, or nowhere."""

    where: str  # box, cloud or nowhere
    size: str = ""


NOWHERE, UP = Choice("nowhere"), Choice("cloud")


class Waiting(Protocol):
    """In which order frames start, and which never do."""

    def put(self, job: Job, now: float, /) -> list[Job]:
        """Take it in; those that are given up for it, perhaps itself."""
        ...

    def due(self, now: float, /) -> list[Job]:
        """Those that are given up before a call starts now."""
        ...

    def take(self) -> list[Job]:
        """Those that share the next call; empty: none starts."""
        ...

    def over(self, job: Job, /) -> None:
        """A job that was taken was answered."""
        ...

    def drop(self, job: Job, /) -> None:
        """It ended while it waited."""
        ...

    def __len__(self) -> int: ...


class Routing(Protocol):
    """Where frames go, and what is learned of how they ended."""

    def arrives(self, job: Job, sight: Sight, /) -> Choice: ...

    def goes_up(self, job: Job, confidence: float, sight: Sight, /) -> bool:
        """Does a frame that the box answered with this confidence go to the cloud, too?"""
        ...

    def ended(self, job: Job, outcome: Outcome, now: float, /) -> None: ...


class Rival:
    """One baseline as a contender."""

    def __init__(
        self,
        waiting: Waiting,
        routing: Routing,
        costs: dict[str, CostLine],
        *,
        knows_deadlines: bool = True,
        width: int = 1,
    ) -> None:
        self._waiting, self._routing, self._costs = waiting, routing, costs
        self._knows_deadlines = knows_deadlines
        self._width = width
        self._wire = Wire()
        self._jobs: dict[int, Job] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._calls = 0
        self._in_cloud = 0

    # ---- events ----

    def arrive(self, offer: Offer, now: float) -> list[Act]:
        job = self._jobs[offer.number] = Job(offer)
        if self._knows_deadlines:
            heapq.heappush(self._deadlines, (offer.deadline, offer.number))
        choice = self._routing.arrives(job, self._sight(now))
        match choice.where:
            case "box":
                acts = self._wait(job, choice.size, now)
            case "cloud":
                acts = self._send_up(job)
            case _:
                acts = self._end(job, Outcome.SHED, now)
        return [*acts, *self._start(now)]

    def local_done(self, numbers: tuple[int, ...], replies: Sequence[Reply], now: float) -> list[Act]:
        self._calls -= 1
        acts: list[Act] = []
        self._costs[self._jobs[numbers[0]].size].observe(len(numbers), max(each.seconds for each in replies), now)
        for number, reply in zip(numbers, replies, strict=True):
            job = self._jobs[number]
            job.running = False
            self._waiting.over(job)
            acts += self._answered(job, reply, now)
        return [*acts, *self._start(now)]

    def encoded(self, number: int, nbytes: int, now: float) -> list[Act]:
        self._wire.sent(number, nbytes, now)
        return []

    def cloud_done(self, number: int, reply: Reply, now: float) -> list[Act]:
        job = self._jobs[number]
        job.in_cloud = False
        self._in_cloud -= 1
        self._wire.answered(number, now, failed=bool(reply.error))
        if job.ended:
            self._tidy(job)
            return []
        late = now > job.offer.deadline
        if not reply.error:
            return self._end(job, Outcome.CLOUD_LATE if late else Outcome.OK_CLOUD, now, CLOUD)
        if job.held:
            return self._end(job, Outcome.EXPIRED if late else Outcome.OK_LOCAL, now, job.held)
        return self._end(job, Outcome.ERROR, now)

    def tick(self, now: float) -> list[Act]:
        """End what is due."""
        acts: list[Act] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            job = self._jobs.get(heapq.heappop(self._deadlines)[1])
            if job is not None and not job.ended and not job.running:
                acts += self._expire(job, now)
        return [*acts, *self._start(now)]

    @property
    def wake_at(self) -> float | None:
        while self._deadlines and self._is_over(self._deadlines[0][1]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _is_over(self, number: int) -> bool:
        job = self._jobs.get(number)
        return job is None or job.ended

    # ---- how frames move ----

    def _wait(self, job: Job, size: str, now: float) -> list[Act]:
        job.size, job.waiting = size, True
        return self._give_up(self._waiting.put(job, now), Outcome.SUPERSEDED, now)

    def _give_up(self, jobs: Sequence[Job], outcome: Outcome, now: float) -> list[Act]:
        acts: list[Act] = []
        for job in jobs:
            job.waiting = False
            acts += self._end(job, outcome, now)
        return acts

    def _start(self, now: float) -> list[Act]:
        """Calls, as long as one is free and something waits."""
        acts: list[Act] = []
        while self._calls < self._width and len(self._waiting):
            acts += self._give_up(self._waiting.due(now), Outcome.SHED, now)
            taken = self._waiting.take()
            if not taken:
                break
            for job in taken:
                job.waiting, job.running = False, True
            self._calls += 1
            acts.append(Start(tuple(job.offer.number for job in taken), taken[0].size))
        return acts

    def _answered(self, job: Job, reply: Reply, now: float) -> list[Act]:
        if now > job.offer.deadline:
            return self._end(job, Outcome.EXPIRED, now, job.size)
        job.confidence = reply.confidence
        if self._routing.goes_up(job, job.confidence, self._sight(now)):
            job.held = job.size
            return self._send_up(job)
        return self._end(job, Outcome.OK_LOCAL, now, job.size)

    def _send_up(self, job: Job) -> list[Act]:
        job.in_cloud = True
        self._in_cloud += 1
        return [Send(job.offer.number)]

    def _expire(self, job: Job, now: float) -> list[Act]:
        if job.waiting:
            job.waiting = False
            self._waiting.drop(job)
        if job.held:
            return self._end(job, Outcome.OK_LOCAL, now, job.held)
        return self._end(job, Outcome.CLOUD_LATE if job.in_cloud else Outcome.EXPIRED, now)

    def _end(self, job: Job, outcome: Outcome, now: float, by: str | None = None) -> list[Act]:
        job.ended = True
        self._routing.ended(job, outcome, now)
        self._tidy(job)
        return [End(job.offer.number, outcome, by)]

    def _tidy(self, job: Job) -> None:
        if job.over:
            del self._jobs[job.offer.number]

    def _sight(self, now: float) -> Sight:
        return Sight(now, len(self._waiting), self._in_cloud, self._wire, self._costs)
