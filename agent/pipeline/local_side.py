"""The box's own side of a lane: what waits for the engine, what runs on it, and when it will be free. No I/O.

Rules that hold here:

- a tap has at most one frame waiting: the newest (mailbox of depth 1);
- those that wait lie in order of deadline. A frame may be put in the place of the one that it supersedes: else, under
  overload, a tap would lose every turn whose frames come just after another's;
- a call takes all that wait, up to what it may hold, where that pays, and as long as none that would be in time alone
  is late by its company; nothing waits for company;
- a larger size of the model is taken only where what waits and what comes is in time with the cheapest after it. What
  waits must start before the next frame of its tap comes, too: that would take its place;
- several calls run at once where the engine can; how much longer each takes then is measured here.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.offload import feasibility, variants
from agent.offload.cost import CostLine
from agent.offload.interference import Interference
from agent.offload.policy import Parts
from agent.offload.profile import Profile
from agent.offload.variants import Size
from agent.pipeline.actions import Answer, Infer
from agent.pipeline.jobs import Job, Leg
from agent.types import Tap
from protos.ids import CameraName

FIRST_INTERVAL = 1.0  # seconds between frames of a tap, until it had two
OVERDUE = 1.5  # times that: then it is thought to pause
PAUSE = 3.0  # times that: so long is none between frames
LEAST_INTERVAL = 0.001  # seconds
INTERVAL_GAIN = 0.25  # of one arrival, in what is expected until a tap's next
STAY_GAIN = 0.05  # of one arrival, in how many are thought to need the box


class Call(msgspec.Struct, frozen=True):
    """One that runs, since and (as planned) until monotonic seconds."""

    size: str
    line: CostLine
    since: float
    until: float
    beside: int  # others ran when it began


class Choice(msgspec.Struct, frozen=True):
    """The next call."""

    size: str
    frames: int
    why: str  # it is in no larger size


class Stream(msgspec.Struct):
    """Frames of one tap: monotonic seconds of the last, and seconds until the next as of late."""

    last: float
    interval: float = FIRST_INTERVAL
    known: bool = False
    paused: bool = False  # the last time between frames was no interval of it


def _urgency(job: Job) -> tuple[float, int]:
    return min(job.due, job.frame.deadline), job.turn or job.number


def _turn(job: Job) -> tuple[float, int]:
    return 0.0, job.turn or job.number


class LocalSide:
    """All times are monotonic seconds."""

    def __init__(self, sizes: dict[str, CostLine], width: int, profile: Profile, parts: Parts, *, ready: bool) -> None:
        self.width = width  # calls that the engine runs at once
        self.ready = ready  # an engine answers
        self.smaller: Mapping[CameraName, int] = {}  # steps below the largest size that a camera's frames take at most
        self.coming = 1.0  # times the arrivals of late, that a larger size reckons with; a tuner's
        self.queue: list[Job] = []  # in the order in which they start
        self.running: dict[tuple[int, ...], Call] = {}  # by the numbers of its jobs
        self._order: Callable[[Job], tuple[float, int]] = _urgency if parts.edf else _turn
        self._earlier_only = parts.earlier_only
        self._mailbox: dict[Tap, Job] = {}
        self._streams: dict[Tap, Stream] = {}
        self._rate = 0.0
        self._rate_at = -math.inf
        self._stay = 1.0  # share of the frames that come which are not sent up unanswered, as of late
        self._profile = profile
        self._interference = Interference()
        self._take(sizes)

    # ---- questions ----

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

    @property
    def planned(self) -> float:
        """Seconds of a frame alone in the cheapest size, beside what runs now."""
        return self.quick.planned() * self._slowed(len(self.running))

    @property
    def longest(self) -> float:
        """Seconds for which a call of a frame may keep the engine."""
        return max(line.planned() for line in self.sizes.values())

    @property
    def each(self) -> float:
        """Seconds of the engine that a frame is expected to take in the cheapest size while many wait."""
        return self.quick.expected(self.usual) / self.usual * self._slowed(self.width - 1)

    def rate(self, now: float) -> float:
        """Frames a second that come now: of each tap whose next frame is not overdue, by its time between frames."""
        if now != self._rate_at:
            self._rate_at = now
            self._rate = sum(
                1.0 / stream.interval
                for stream in self._streams.values()
                if now - stream.last <= OVERDUE * stream.interval
            )
        return self._rate

    def stands(self) -> list[Size]:
        """The sizes as they stand now, cheapest first."""
        slowed = self._slowed(self.width - 1)
        larger = [Size(name, self.metrics[name], line.expected() * slowed) for name, line in reversed(self._larger)]
        return [Size(self.quickest, self.metrics[self.quickest], self.each), *larger]

    def metric(self, now: float) -> tuple[float, float]:
        """What a frame is answered with when all share the engine, and what a second more would add to it."""
        if not self._larger:
            return self.metrics[self.quickest], 0.0
        return variants.shared(self.stands(), self.rate(now), self.width)

    def ends_at(self, job: Job, now: float) -> float:
        """When it would be answered here, as planned, if it waited from now on."""
        own = self._order(job)
        others = [other for other in self.queue if other.frame.tap is not job.frame.tap and other is not job]
        ahead = sum(self._order(other) <= own for other in others) if self._earlier_only else len(others)
        return self._ends(self._free(now), ahead + 1)[ahead]

    def likely(self, job: Job, end: float, now: float) -> tuple[float, float]:
        """Seconds that it has, and that it is expected to need, when it is planned to be answered at `end`."""
        return job.frame.deadline - now, (end - now) * self.quick.expected() / self.quick.planned()

    def missed(self, now: float) -> int | None:
        """The first of those that wait which is not answered in time as planned."""
        due = [math.inf if job.trial else job.frame.deadline for job in self.queue]
        return feasibility.first_miss(due, self._ends(self._free(now), len(due)))

    def next_call(self, now: float) -> Choice:
        """In the largest size for which there is time, if anything waits."""
        why = ""
        for steps, (name, line) in enumerate(self._larger):
            frames = self.together(line, now)
            if self.smaller and steps < self._steps(frames):
                why = "overload made its camera's frames smaller"
                continue
            slowed = self._slowed(len(self.running))
            why = self._too_long(line.planned(frames) * slowed, line.expected(frames) * slowed, frames, now)
            if not why:
                return Choice(name, frames, "")
        return Choice(self.quickest, self.together(self.quick, now), why)

    def _steps(self, frames: int) -> int:
        """Below the largest size, of a call of so many of those that wait."""
        return max(self.smaller.get(job.frame.tap.camera, 0) for job in self.queue[:frames])

    def together(self, line: CostLine, now: float) -> int:
        """How many of those that wait, in their order, share the next call."""
        if len(self.queue) == 1:
            return 1
        alone = now + line.planned()
        deadlines = [job.frame.deadline for job in self.queue[: line.most]]
        for size in range(len(deadlines), 1, -1):
            soonest = min((deadline for deadline in deadlines[:size] if alone <= deadline), default=math.inf)
            if line.pays(size) and now + line.planned(size) <= soonest:
                return size
        return 1

    def _too_long(self, planned: float, expected: float, frames: int, now: float) -> str:
        """Why a call of a larger size is no good now, in a few words; "" where it is."""
        if now + planned > self.queue[0].frame.deadline:
            return "it would be late itself"
        rest = self.queue[frames:]
        if not variants.fits_to_come(expected, self.each, len(rest), self._coming(now), self.width):
            return "no time for what comes"
        free = self._free(now)
        free[0] = now + planned
        if feasibility.first_miss([self._due(job) for job in rest], self._ends(sorted(free), len(rest))) is not None:
            return "what waits would be late"
        return ""

    def _coming(self, now: float) -> float:
        """Frames a second that a larger size must leave time for."""
        return self.coming * self._stay * self.rate(now)

    def _due(self, job: Job) -> float:
        """Its deadline, or when the next of its tap is expected: that takes its place."""
        stream = self._streams.get(job.frame.tap)
        if stream is None or not stream.known:
            return job.frame.deadline
        return min(job.frame.deadline, stream.last + stream.interval)

    def _free(self, now: float) -> list[float]:
        """When the engine can take up a further call, sorted, one for each that it runs at once."""
        if not self.running:
            return [now] * self.width
        busy = sorted(max(now, call.until) for call in self.running.values())
        return [now] * (self.width - len(busy)) + busy

    def _ends(self, free: list[float], count: int) -> list[float]:
        slowed = self._slowed(self.width - 1)
        calls = [self.quick.planned(n) * slowed for n in range(1, self.usual + 1)]
        ends = feasibility.ends(free, calls, count)
        return ends if self._earlier_only else [ends[-1]] * count if ends else ends

    def _slowed(self, beside: int) -> float:
        return self._interference.factor(beside)

    # ---- what happens ----

    def load(self, sizes: dict[str, CostLine], width: int) -> None:
        """Another release answers from now on."""
        self.width, self.ready, self._interference = width, True, Interference()
        self._take(sizes)

    def weigh(self, profile: Profile) -> None:
        self._profile = profile
        self._take(self.sizes)

    def _take(self, sizes: dict[str, CostLine]) -> None:
        """Those sizes, of which only what is better than any cheaper one is ever run."""
        self.sizes = sizes
        self.quickest, self.quick = next(iter(sizes.items()))
        self.metrics = {name: self._profile.metric(name) for name in sizes}
        best, larger = self.metrics[self.quickest], []
        for name, line in sizes.items():
            if self.metrics[name] > best:
                best = self.metrics[name]
                larger.append((name, line))
        self._larger = larger[::-1]

    def arrived(self, tap: Tap, now: float) -> None:
        """A frame came; what a tap pauses for is not its time between frames, but where it does so again and again."""
        self._rate_at = -math.inf
        self._stay += STAY_GAIN * (1.0 - self._stay)
        stream = self._streams.get(tap)
        if stream is None:
            self._streams[tap] = Stream(now)
            return
        passed, stream.last = max(LEAST_INTERVAL, now - stream.last), now
        paused, stream.paused = stream.paused, passed > PAUSE * stream.interval
        if paused or not stream.paused:
            gain = INTERVAL_GAIN if stream.known else 1.0
            stream.interval, stream.known = stream.interval + gain * (passed - stream.interval), True

    def spared(self) -> None:
        """A frame that came is sent up unanswered."""
        self._stay -= STAY_GAIN

    def forget(self, tap: Tap) -> None:
        """No frame of it will come."""
        self._streams.pop(tap, None)

    def put(self, job: Job, older: Job | None = None) -> None:
        """Wait, in the empty mailbox of its tap; in the place of `older` among those that wait, if given."""
        if older is not None:
            job.due, job.turn = _urgency(older)
        self._mailbox[job.frame.tap] = job
        insort(self.queue, job, key=self._order)
        job.local = Leg.WAITING

    def drop(self, job: Job) -> None:
        """Wait no more."""
        if self._mailbox.get(job.frame.tap) is job:
            del self._mailbox[job.frame.tap]
            self.queue.remove(job)

    def start(self, choice: Choice, now: float) -> Infer:
        jobs = self.queue[: choice.frames]
        for job in jobs:
            self.drop(job)
            job.local = Leg.RUNNING
            job.stages["queue"] = now - job.frame.captured
            job.account.size, job.account.why_size = choice.size, choice.why
        numbers, beside = tuple(job.number for job in jobs), len(self.running)
        line = self.sizes[choice.size]
        seconds = line.planned(len(jobs)) * self._slowed(beside)
        self.running[numbers] = Call(choice.size, line, now, now + seconds, beside)
        return Infer(numbers, tuple(job.frame for job in jobs), choice.size)

    def done(self, numbers: tuple[int, ...], answers: Sequence[Answer], now: float) -> None:
        """What counts for the next frames is how long it was away: others ask the engine too, and are waited for."""
        call = self.running.pop(numbers, None)
        if call is None or self.sizes.get(call.size) is not call.line:
            return  # of another release
        if any(answer.error or answer.size is not None for answer in answers):
            return  # no answer, or one in another size: neither says what a call of this one takes
        away = max(now - call.since, *(answer.infer_seconds for answer in answers))
        beside = max(call.beside, len(self.running))
        alone = away / self._slowed(beside)
        self._interference.learn(beside, away / call.line.expected(len(numbers)))
        call.line.observe(len(numbers), alone, now)
