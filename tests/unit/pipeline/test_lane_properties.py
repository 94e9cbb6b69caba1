"""What holds of a lane whatever the world does: drawn at random, in virtual time."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.offload.policy import Parts
from agent.offload.terms import Terms
from agent.pipeline.jobs import Job
from agent.pipeline.lane import Action, Answer, Infer, Lane
from agent.types import Finished
from tests.sim.lane import Box, frame, measured

WINDOW = 60.0  # seconds
MEGABIT = 1e6


@dataclass
class Watched(Box):
    """Notes the frames that start though they are not expected to be in time; trials apart."""

    too_late: list[int] = field(default_factory=list)

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Infer):
                for job in (self.jobs[number] for number in action.jobs):
                    self._judge(job, action.size)
        super()._act(actions)

    @property
    def jobs(self) -> dict[int, Job]:
        return self.lane._jobs

    def _judge(self, job: Job, size: str) -> None:
        line = self.lane.here.sizes[size]
        least = min(line.expected(), line.planned())  # after slow calls the latter may be the shorter for a while
        if not job.trial and self.now + least > job.frame.deadline:
            self.too_late.append(job.number)


def world(lane: Lane, seed: int, cameras: int, trouble: float, deadline: float = 0.25) -> Watched:
    rng = random.Random(seed)
    box = Watched(lane, cameras, deadline=deadline)
    box.sure = lambda _: rng.random()
    box.picture = lambda _: round(18_000 * rng.uniform(0.3, 2.5))
    box.cloud = lambda _: None if rng.random() < trouble else rng.expovariate(12)
    box.encode = lambda _: None if rng.random() < trouble / 2 else rng.expovariate(200)
    box.beside = lambda _: rng.expovariate(5) if rng.random() < trouble / 10 else 0.0
    return box


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cameras=st.integers(1, 20),
    trouble=st.floats(0.0, 1.0),
    deadline=st.floats(0.02, 0.5),
    width=st.sampled_from([1, 2, 3]),
    leaves=st.booleans(),
)
@example(seed=6, cameras=9, trouble=0.5, deadline=0.02, width=1, leaves=False)  # planned is the shorter for a while
def test_none_starts_late_each_ends_once_and_each_slot_is_given_back_once(
    seed: int, cameras: int, trouble: float, deadline: float, width: int, leaves: bool
) -> None:
    box = world(measured(width=width), seed, cameras, trouble, deadline)
    box.run(4)
    if leaves:
        box.leave()
    box.settle()
    ends = Counter((done.tap, done.seq) for done in box.finished)
    assert (sum(ends.values()), set(ends.values())) == (box.due, {1})
    assert box.released == box.due
    assert not box.too_late
    assert not box.lane.waiting
    assert not box.lane.in_cloud
    assert box.lane.wake_at is None


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), budget=st.floats(0.05, 0.6), prices=st.booleans())
def test_no_minute_carries_more_than_its_budget_and_a_twentieth(seed: int, budget: float, prices: bool) -> None:
    box = world(measured(Terms(uplink_bits_per_second=budget * MEGABIT), Parts(prices=prices)), seed, 4, 0.05)
    box.run(75)
    box.settle()
    window: deque[tuple[float, int]] = deque()
    carried = 0
    for at, bits in box.sent:
        window.append((at, bits))
        carried += bits
        while window[0][0] <= at - WINDOW:
            carried -= window.popleft()[1]
        assert carried <= budget * MEGABIT * WINDOW * 1.05


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), cameras=st.integers(1, 14), trouble=st.floats(0.0, 0.5))
def test_where_all_have_equal_deadlines_their_order_is_that_of_arrival(seed: int, cameras: int, trouble: float) -> None:
    def ends(parts: Parts) -> list[Finished]:
        box = world(measured(parts=parts), seed, cameras, trouble)
        box.run(4)
        box.settle()
        return box.finished

    assert ends(Parts(edf=True)) == ends(Parts(edf=False))


def test_with_deadlines_apart_their_order_matters() -> None:
    for edf, first in ((True, 3), (False, 2)):
        subject = measured(parts=Parts(edf=edf), cloud=False)
        [running] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, Infer)]
        subject.arrive(frame(2, 100.001, deadline=0.9, camera=1), 100.001)
        subject.arrive(frame(3, 100.002, deadline=0.2, camera=2), 100.002)
        actions = subject.local_done(running.jobs, [Answer(infer_seconds=0.03)], 100.03)
        assert [a.frames[0].seq for a in actions if isinstance(a, Infer)] == [first]
