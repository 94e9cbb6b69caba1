"""A box in virtual time: cameras at a rate, one engine, a cloud with a delay, driving the real Lane event by event.

The simulator keeps the only clock and a heap of events; nothing sleeps, and a seed decides all jitter.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.offload.breaker import Breaker
from agent.offload.cost import CostLine, Point
from agent.offload.terms import Terms
from agent.pipeline.lane import Action, Answer, Finish, Infer, Lane, Release, SendUp
from agent.types import Finished, Frame, Geometry, Tap
from protos.ids import CameraName, DeploymentName
from protos.outcomes import IN_TIME, Outcome

GEOMETRY = Geometry(640, 360, 0.5, 0.5, 0, 70)
JPEG_BYTES = 18_000


def tap(camera: int = 0) -> Tap:
    return Tap(CameraName(f"camera-{camera}"), DeploymentName("harbour"))


def frame(seq: int, captured: float, deadline: float = 0.25, camera: int = 0) -> Frame:
    return Frame(tap(camera), seq, seq % 6, captured, int(captured * 1e9), captured + deadline, GEOMETRY)


def lane(
    *,
    bits_per_second: float = 8e6,
    cloud: bool = True,
    planned: float = 0.01,
    width: int = 1,
    profile: Sequence[Point] = (),
) -> Lane:
    sizes = {"": CostLine(profile or ((1, planned),))}
    terms = Terms(uplink_bits_per_second=bits_per_second)
    rng = random.Random(7)
    return Lane(sizes, Breaker(rng=rng), terms, rng=rng, ready=True, cloud_allowed=cloud, width=width)


@dataclass
class Box:
    """`infer`, `encode` and `cloud` give the seconds of the next call; the latter two give None for one that fails."""

    lane: Lane
    cameras: int = 2
    rate: float = 10.0
    deadline: float = 0.25
    infer: Callable[[float], float] = lambda _: 0.01  # of each frame in a call
    call_seconds: float = 0.0  # of a call beside its frames
    beside: Callable[[float], float] = lambda _: 0.0  # seconds for which others keep the engine from the next frame
    cloud: Callable[[float], float | None] = lambda _: 0.036
    encode: Callable[[float], float | None] = lambda _: 0.004
    now: float = 100.0
    finished: list[Finished] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)  # frames in each
    due: int = 0
    released: int = 0
    _events: list[tuple[float, int, Callable[[], list[Action]]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _seq: int = 0

    def run(self, seconds: float) -> list[Finished]:
        """Let `seconds` pass with frames due on every camera; what finished meanwhile."""
        before, end = len(self.finished), self.now + seconds
        for camera in range(self.cameras):
            for tick in range(round(seconds * self.rate)):
                self._at(self.now + (tick + camera / self.cameras) / self.rate, self._arrival(camera))
        self._drain(end)
        return self.finished[before:]

    def settle(self) -> None:
        """Let everything under way end."""
        self._drain(self.now + 10.0)

    def _arrival(self, camera: int) -> Callable[[], list[Action]]:
        def arrive() -> list[Action]:
            self._seq += 1
            self.due += 1
            made = frame(self._seq, self.now, self.deadline, camera)
            return self.lane.arrive(made, self.now)

        return arrive

    def _drain(self, end: float) -> None:
        while True:
            wake = self.lane.wake_at
            if self._events and (wake is None or self._events[0][0] <= wake):
                at, _, event = self._events[0]
                if at > end:
                    break
                heapq.heappop(self._events)
                self.now = max(self.now, at)
                self._act(event())
            elif wake is not None and wake <= end:
                self.now = max(self.now, wake)
                self._act(self.lane.tick(self.now))
            else:
                break
        self.now = end

    def _at(self, when: float, event: Callable[[], list[Action]]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Infer(jobs, _):
                    self._infer(jobs)
                case SendUp(job, sent):
                    self._send_up(job, sent)
                case Finish(done):
                    self.finished.append(done)
                case Release(_, _):
                    self.released += 1

    def _infer(self, jobs: tuple[int, ...]) -> None:
        self.calls.append(len(jobs))
        answer = Answer(infer_seconds=len(jobs) * self.infer(self.now) + self.call_seconds)
        after = self.beside(self.now) + answer.infer_seconds
        self._at(self.now + after, lambda: self.lane.local_done(jobs, [answer] * len(jobs), self.now))

    def _send_up(self, job: int, sent: Frame) -> None:
        seconds = self.encode(self.now)
        if seconds is None:
            failed = Answer(error="the picture was lost with its capture worker")
            self._at(self.now + 0.002, lambda: self.lane.cloud_done(job, failed, self.now))
        else:
            self._at(self.now + seconds, lambda: self._encoded(job, sent))

    def _encoded(self, job: int, sent: Frame) -> list[Action]:
        seconds = self.cloud(self.now)
        remaining = sent.deadline - self.now
        if remaining <= 0:
            return self.lane.cloud_done(job, Answer(error="encoded too late"), self.now)
        if seconds is None:
            answer, after = Answer(error="the cloud node is gone"), 0.002
        elif seconds > remaining:
            answer, after = Answer(error="no answer in time"), remaining
        else:
            answer, after = Answer(where="cloud-1"), seconds
        self._at(self.now + after, lambda: self.lane.cloud_done(job, answer, self.now))
        return self.lane.encoded(job, JPEG_BYTES, self.now)


def shares(finished: list[Finished]) -> dict[Outcome, float]:
    """Share of each outcome, and of all in time under `IN_TIME`'s members."""
    counts = Counter(done.outcome for done in finished)
    return {outcome: counts[outcome] / max(1, len(finished)) for outcome in Outcome}


def in_time(finished: list[Finished]) -> float:
    return sum(done.outcome in IN_TIME for done in finished) / max(1, len(finished))
