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
from agent.offload.policy import ALL_PARTS, Parts
from agent.offload.profile import JpegPoint, Profile, SizeProfile
from agent.offload.terms import Terms
from agent.pipeline.lane import Action, Answer, Finish, Infer, Lane, Release, SendUp
from agent.types import Finished, Frame, Geometry, Tap
from protos.ids import CameraName, DeploymentName
from protos.outcomes import IN_TIME, Outcome

GEOMETRY = Geometry(640, 360, 0.5, 0.5, 0, 70)
JPEG_BYTES = 18_000


SECONDS = {"small": 0.012, "medium": 0.030}  # of a frame, by size of the model
MEASURED = Profile(
    sizes=(SizeProfile("small", 0.6), SizeProfile("medium", 0.76)),
    cloud=0.92,
    jpeg=(JpegPoint(quality=70, max_side=640, bytes=JPEG_BYTES, metric=0.92),),
    confidence=((0.0, 0.0), (1.0, 1.0)),
    measured=True,
)


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


def measured(terms: Terms | None = None, parts: Parts = ALL_PARTS, *, cloud: bool = True, width: int = 1) -> Lane:
    """One whose release comes in two sizes, and tells what they are worth."""
    rng = random.Random(7)
    sizes = {name: CostLine(((1, seconds),)) for name, seconds in SECONDS.items()}
    terms = terms or Terms(uplink_bits_per_second=8e6)
    return Lane(
        sizes, Breaker(rng=rng), terms, MEASURED, rng, parts=parts, ready=True, width=width, cloud_allowed=cloud
    )


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
    sure: Callable[[float], float] = lambda _: 0.9  # how sure of itself the box's next answer is
    picture: Callable[[float], int] = lambda _: JPEG_BYTES  # bytes of the next one
    cloud: Callable[[float], float | None] = lambda _: 0.036
    encode: Callable[[float], float | None] = lambda _: 0.004
    now: float = 100.0
    finished: list[Finished] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)  # frames in each
    due: int = 0
    released: int = 0
    begun: list[tuple[float, int, str]] = field(default_factory=list)  # when, which job, in which size
    sent: list[tuple[float, int]] = field(default_factory=list)  # when, bits that went up
    given_back: Counter[tuple[Tap, int]] = field(default_factory=Counter)
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

    def leave(self) -> None:
        """The deployment leaves the box now, whatever is under way."""
        self._act(self.lane.clear(self.now))

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
                case Infer(jobs, _, size):
                    self._infer(jobs, size)
                case SendUp(job, sent):
                    self._send_up(job, sent)
                case Finish(done):
                    self.finished.append(done)
                case Release(tap, slot):
                    self.released += 1
                    self.given_back[tap, slot] += 1

    def _infer(self, jobs: tuple[int, ...], size: str) -> None:
        self.calls.append(len(jobs))
        self.begun += [(self.now, job, size) for job in jobs]
        seconds = (self.infer(self.now) if not size else SECONDS[size]) * len(jobs) + self.call_seconds
        answer = Answer(infer_seconds=seconds, confidence=self.sure(self.now))
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
        if self.now >= sent.deadline:
            return self.lane.cloud_done(job, Answer(error="encoded too late"), self.now)
        actions = self.lane.encoded(job, nbytes := self.picture(self.now), self.now)
        if not self.lane.goes_up(job):
            return [*actions, *self.lane.cloud_done(job, Answer(error="it is too large"), self.now)]
        self.sent.append((self.now, nbytes * 8))
        seconds = self.cloud(self.now)
        remaining = sent.deadline - self.now
        if seconds is None:
            answer, after = Answer(error="the cloud node is gone"), 0.002
        elif seconds > remaining:
            answer, after = Answer(error="no answer in time"), remaining
        else:
            answer, after = Answer(where="cloud-1"), seconds
        self._at(self.now + after, lambda: self.lane.cloud_done(job, answer, self.now))
        return actions


def shares(finished: list[Finished]) -> dict[Outcome, float]:
    """Share of each outcome, and of all in time under `IN_TIME`'s members."""
    counts = Counter(done.outcome for done in finished)
    return {outcome: counts[outcome] / max(1, len(finished)) for outcome in Outcome}


def in_time(finished: list[Finished]) -> float:
    return sum(done.outcome in IN_TIME for done in finished) / max(1, len(finished))
