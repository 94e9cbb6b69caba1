"""The box's own side of a lane: what waits for the engine, what runs on it, and when it will be free. No I/O.

Rules that hold here:

- a tap has at most one frame waiting: the newest (mailbox of depth 1);
- those that wait lie in order of deadline;
- a call takes all that wait, up to what it may hold, where that pays, and as long as none that would be in time alone
  is late by its company; nothing waits for company.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from agent.offload.cost import CostLine
from agent.pipeline.actions import Answer, Infer
from agent.pipeline.jobs import Job, Leg
from agent.types import Tap


class Call(msgspec.Struct, frozen=True):
    """One that runs: frames in it, of which size of the model, since when (monotonic seconds)."""

    size: str
    frames: int
    since: float


def _urgency(job: Job) -> tuple[float, int]:
    return job.frame.deadline, job.number


@dataclass
class LocalSide:
    """All times are monotonic seconds."""

    sizes: dict[str, CostLine]  # cheapest first
    width: int = 1  # calls that the engine runs at once
    ready: bool = False  # an engine answers
    queue: list[Job] = field(default_factory=list)  # by deadline
    running: dict[tuple[int, ...], Call] = field(default_factory=dict)  # by the numbers of its jobs
    _mailbox: dict[Tap, Job] = field(default_factory=dict)

    # ---- questions ----

    @property
    def quick(self) -> CostLine:
        """Of the cheapest size: what is counted on."""
        return next(iter(self.sizes.values()))

    @property
    def can_start(self) -> bool:
        return self.ready and len(self.running) < self.width

    @property
    def idle(self) -> bool:
        """Room for a call, and nothing waits."""
        return len(self.running) < self.width and not self.queue

    def waits(self, tap: Tap) -> Job | None:
        """The frame of a tap that waits."""
        return self._mailbox.get(tap)

    @property
    def usual(self) -> int:
        """Frames in a call while many wait."""
        return self.quick.most if self.quick.pays(self.quick.most) else 1

    def free_at(self, calls: int, now: float) -> float:
        """When the engine takes up a call that has so many full ones before it."""
        free = sorted(max(now, call.since + self.sizes[call.size].planned(call.frames)) for call in self._known())
        free = [now] * (self.width - len(free)) + free
        for _ in range(calls):
            heapq.heapreplace(free, free[0] + self.quick.planned(self.usual))  # sorted is a heap
        return free[0]

    def _known(self) -> list[Call]:
        """Calls of sizes that are loaded still."""
        return [call for call in self.running.values() if call.size in self.sizes]

    def ends_at(self, job: Job, now: float) -> float:
        """When it would be answered here, if it waited from now on: only those due before it count."""
        ahead = sum(
            other.frame.deadline <= job.frame.deadline for other in self.queue if other.frame.tap != job.frame.tap
        )
        return self.free_at(ahead // self.usual, now) + self.quick.planned(ahead % self.usual + 1)

    # ---- what happens ----

    def load(self, sizes: dict[str, CostLine], width: int) -> None:
        """Another release answers from now on."""
        self.sizes, self.width, self.ready = sizes, width, True

    def put(self, job: Job) -> None:
        """Wait, in the empty mailbox of its tap."""
        self._mailbox[job.frame.tap] = job
        insort(self.queue, job, key=_urgency)
        job.local = Leg.WAITING

    def drop(self, job: Job) -> None:
        """Wait no more."""
        if self._mailbox.get(job.frame.tap) is job:
            del self._mailbox[job.frame.tap]
            self.queue.remove(job)

    def start(self, jobs: Sequence[Job], size: str, now: float) -> Infer:
        for job in jobs:
            self.drop(job)
            job.local = Leg.RUNNING
            job.stages["queue"] = now - job.frame.captured
        numbers = tuple(job.number for job in jobs)
        self.running[numbers] = Call(size, len(jobs), now)
        return Infer(numbers, tuple(job.frame for job in jobs), size)

    def done(self, numbers: tuple[int, ...], answers: Sequence[Answer], now: float) -> None:
        """What counts for the next frames is how long it was away: others ask the engine too, and are waited for."""
        away = max(answer.infer_seconds for answer in answers)
        call = self.running.pop(numbers, None)
        if call is not None:
            away = max(away, now - call.since)
        line = self.quick if call is None else self.sizes.get(call.size)
        if line is not None and not any(answer.error for answer in answers):
            line.observe(len(numbers), away, now)

    def together(self, line: CostLine, now: float) -> int:
        """How many of those that wait, by deadline, share the next call."""
        deadlines = [job.frame.deadline for job in self.queue[: line.most]]
        soonest = next((deadline for deadline in deadlines if now + line.planned() <= deadline), math.inf)
        for size in range(len(deadlines), 1, -1):
            if line.pays(size) and now + line.planned(size) <= soonest:
                return size
        return 1
