"""In which order frames start on the box. Each class is one habit of the field; `due` gives frames up before a call."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from agent.offload.cost import CostLine
from bench.decision.rivals.books import Job


@dataclass
class Fifo:
    """In order of arrival. `bound`: frames that may wait; beyond it the oldest is given up. None: without end."""

    bound: int | None = None
    _jobs: deque[Job] = field(default_factory=deque)

    def put(self, job: Job, _now: float) -> list[Job]:
        self._jobs.append(job)
        full = self.bound is not None and len(self._jobs) > self.bound
        return [self._jobs.popleft()] if full else []

    def due(self, _now: float) -> list[Job]:
        return []

    def take(self) -> list[Job]:
        return [self._jobs.popleft()] if self._jobs else []

    def over(self, _job: Job) -> None:
        pass

    def drop(self, job: Job) -> None:
        self._jobs.remove(job)

    def __len__(self) -> int:
        return len(self._jobs)


@dataclass
class Newest:
    """The newest frame of each camera, cameras in the order in which they began to wait.

    `admission`: the cost lines of the sizes, by which a frame that would be late is given up before it starts.
    """

    admission: dict[str, CostLine] | None = None
    _jobs: dict[int, Job] = field(default_factory=dict)

    def put(self, job: Job, _now: float) -> list[Job]:
        older = self._jobs.get(job.offer.camera)
        self._jobs[job.offer.camera] = job  # at its camera's place in the line
        return [] if older is None else [older]

    def due(self, now: float) -> list[Job]:
        if self.admission is None:
            return []
        late = [job for job in self._jobs.values() if now + self.admission[job.size].planned() > job.offer.deadline]
        for job in late:
            del self._jobs[job.offer.camera]
        return late

    def take(self) -> list[Job]:
        return [self._jobs.pop(next(iter(self._jobs)))] if self._jobs else []

    def over(self, _job: Job) -> None:
        pass

    def drop(self, job: Job) -> None:
        del self._jobs[job.offer.camera]

    def __len__(self) -> int:
        return len(self._jobs)


PER_CAMERA = 2  # frames that wait in a camera's own queue; Frigate's frame_queue


@dataclass
class Frigate:
    """A queue of two a camera that skips new frames while it is full, and one frame of each at the detector's queue.

    After Frigate's `video.py` and `object_detection`: a camera's process hands its frame to one queue of all cameras,
    which is served in order, and waits for the answer before it takes its next.
    """

    _own: dict[int, deque[Job]] = field(default_factory=dict)
    _line: deque[Job] = field(default_factory=deque)
    _asked: set[int] = field(default_factory=set)

    def put(self, job: Job, _now: float) -> list[Job]:
        own = self._own.setdefault(job.offer.camera, deque())
        if job.offer.camera not in self._asked:
            self._ask(job)
        elif len(own) < PER_CAMERA:
            own.append(job)
        else:
            return [job]
        return []

    def due(self, _now: float) -> list[Job]:
        return []

    def take(self) -> list[Job]:
        return [self._line.popleft()] if self._line else []

    def over(self, job: Job) -> None:
        self._asked.discard(job.offer.camera)
        own = self._own[job.offer.camera]
        if own:
            self._ask(own.popleft())

    def drop(self, _job: Job) -> None:
        raise AssertionError("this one knows no deadlines")

    def _ask(self, job: Job) -> None:
        self._asked.add(job.offer.camera)
        self._line.append(job)

    def __len__(self) -> int:
        return len(self._line)


@dataclass
class Corked:
    """BentoML's dispatcher: all that wait share a call, the oldest is given up when it would exceed the latency budget.

    After `CorkDispatcher.controller`: with n waiting, the oldest for w0 seconds, it is cancelled as long as
    w0 + a·n + b ≥ the budget; a and b are fitted to the last calls, which the cost line of the size does here. A call
    takes the newest, as many as it may hold. The wait for company that batching servers allow themselves is left out:
    where a call holds one frame there is none.
    """

    budget: float  # seconds
    cost: CostLine
    _jobs: deque[Job] = field(default_factory=deque)

    def put(self, job: Job, _now: float) -> list[Job]:
        self._jobs.append(job)
        return []

    def due(self, now: float) -> list[Job]:
        given_up: list[Job] = []
        while len(self._jobs) > 1 and self._first_answered(now) >= self.budget:
            given_up.append(self._jobs.popleft())
        if len(self._jobs) == 1 and now - self._jobs[0].offer.captured >= self.budget:
            given_up.append(self._jobs.popleft())
        return given_up

    def _first_answered(self, now: float) -> float:
        """Seconds from its capture, if all that wait were run now."""
        waited = now - self._jobs[0].offer.captured
        return waited + self.cost.per_frame * len(self._jobs) + self.cost.per_call

    def take(self) -> list[Job]:
        return [self._jobs.pop() for _ in range(min(len(self._jobs), self.cost.most))]

    def over(self, _job: Job) -> None:
        pass

    def drop(self, job: Job) -> None:
        self._jobs.remove(job)

    def __len__(self) -> int:
        return len(self._jobs)
