"""Frames of several cameras in one call of the model: where it pays, and no frame the worse for it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.offload.cost import Point
from agent.pipeline.lane import Action, Answer, Finish, Infer, Lane
from protos.outcomes import Outcome
from tests.sim.lane import Box, frame, in_time, lane

SIZES = (1, 2, 4, 8)
ANSWER = Answer(infer_seconds=0.02)


def profile(frame_seconds: float, call_seconds: float = 0.0, most: int = 8) -> list[Point]:
    return [(n, n * frame_seconds + call_seconds) for n in SIZES if n <= most]


PAYS = profile(0.001, 0.020)  # 48 frames a second one by one, 286 in eights
PAYS_NOT = profile(0.010)


def seqs(actions: list[Action]) -> list[list[int]]:
    return [[each.seq for each in action.frames] for action in actions if isinstance(action, Infer)]


def crowded(subject: Lane, cameras: int, deadline: float = 0.25) -> Infer:
    """A call that runs, and a frame of each further camera that waits."""
    [running] = [a for a in subject.arrive(frame(0, 100.0), 100.0) if isinstance(a, Infer)]
    for camera in range(1, cameras + 1):
        subject.arrive(frame(camera, 100.0, deadline, camera), 100.0)
    return running


def test_an_engine_whose_batches_pay_answers_what_it_could_not_one_by_one() -> None:
    """Eight cameras, eighty frames a second."""

    def answered(most: int) -> tuple[float, int]:
        subject = lane(cloud=False, profile=profile(0.001, 0.020, most))
        box = Box(subject, cameras=8, infer=lambda _: 0.001, call_seconds=0.020)
        box.run(3)
        return in_time(box.run(20)), max(box.calls)

    assert answered(1)[0] < 0.65
    share, largest = answered(8)
    assert share > 0.99
    assert 1 < largest <= 8


def test_where_a_batch_does_not_pay_every_frame_has_a_call_of_its_own() -> None:
    box = Box(lane(cloud=False, profile=PAYS_NOT), cameras=16, infer=lambda _: 0.010)
    box.run(10)
    assert set(box.calls) == {1}


def test_a_frame_that_finds_the_engine_free_does_not_wait_for_company() -> None:
    assert seqs(lane(cloud=False, profile=PAYS).arrive(frame(1, 100.0), 100.0)) == [[1]]


def test_all_that_waited_share_the_next_call_up_to_the_most_it_holds() -> None:
    subject = lane(cloud=False, profile=PAYS)
    running = crowded(subject, 10)
    actions = subject.local_done(running.jobs, [ANSWER], 100.02)
    assert seqs(actions) == [[1, 2, 3, 4, 5, 6, 7, 8]]
    [second] = [action for action in actions if isinstance(action, Infer)]
    actions = subject.local_done(second.jobs, [ANSWER] * 8, 100.05)
    assert [a.finished.outcome for a in actions if isinstance(a, Finish)] == [Outcome.OK_LOCAL] * 8
    assert seqs(actions) == [[9, 10]]


def test_no_frame_is_late_by_company_that_would_be_in_time_alone() -> None:
    """Alone planned at 31.5 ms, two at 33, eight at 42: the one in a hurry has 37, and may take three others along."""
    subject = lane(cloud=False, profile=PAYS)
    running = crowded(subject, 7)
    subject.arrive(frame(99, 100.0, deadline=0.065, camera=9), 100.0)
    after = subject.local_done(running.jobs, [Answer(infer_seconds=0.021)], 100.028)
    [shared] = seqs(after)
    assert shared[0] == 99
    assert 2 <= len(shared) < 8


def test_a_frame_that_is_late_in_any_case_is_shed_and_keeps_no_company_away() -> None:
    subject = lane(cloud=False, profile=PAYS)
    running = crowded(subject, 7)
    subject.arrive(frame(99, 100.0, deadline=0.1, camera=9), 100.0)
    after = subject.local_done(running.jobs, [Answer(infer_seconds=0.021)], 100.09)
    assert seqs(after) == [[1, 2, 3, 4, 5, 6, 7]]
    shed = [a.finished.seq for a in after if isinstance(a, Finish) and a.finished.outcome is Outcome.SHED]
    assert shed == [99]


def test_a_frame_is_taken_that_a_batch_answers_in_time_and_a_row_of_calls_would_not() -> None:
    """Planned at 31.5 ms alone, and at 42 with the seven that wait before it."""
    for most, taken in ((8, True), (1, False)):
        subject = lane(cloud=False, profile=profile(0.001, 0.020, most))
        crowded(subject, 7, deadline=0.19)
        ends = [a.finished for a in subject.arrive(frame(99, 100.0, 0.2, camera=9), 100.0) if isinstance(a, Finish)]
        assert [end.outcome for end in ends] == ([] if taken else [Outcome.SHED])


def test_a_call_that_fails_ends_its_frames_and_no_others() -> None:
    subject = lane(cloud=False, profile=PAYS)
    running = crowded(subject, 8)
    [shared] = [a for a in subject.local_done(running.jobs, [ANSWER], 100.02) if isinstance(a, Infer)]
    broken = Answer(error="the engine worker died")
    actions = subject.local_done(shared.jobs, [broken, *[ANSWER] * 7], 100.05)
    ends = Counter(a.finished.outcome for a in actions if isinstance(a, Finish))
    assert ends == {Outcome.ERROR: 1, Outcome.OK_LOCAL: 7}
    assert seqs(subject.arrive(frame(20, 100.1), 100.1)) == [[20]]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cameras=st.integers(1, 20),
    frame_seconds=st.floats(0.0001, 0.05),
    call_seconds=st.floats(0.0, 0.3),
    most=st.sampled_from(SIZES),
)
def test_every_frame_due_ends_in_exactly_one_outcome(
    seed: int, cameras: int, frame_seconds: float, call_seconds: float, most: int
) -> None:
    rng = random.Random(seed)
    subject = lane(bits_per_second=1e6, profile=profile(frame_seconds, call_seconds, most))
    box = Box(subject, cameras, infer=lambda _: rng.uniform(0.5, 1.5) * frame_seconds, call_seconds=call_seconds)
    box.cloud = lambda _: None if rng.random() < 0.3 else rng.expovariate(10)
    box.run(4)
    box.settle()
    ends = Counter((done.tap, done.seq) for done in box.finished)
    assert sum(ends.values()) == box.due
    assert set(ends.values()) <= {1}
    assert box.released == box.due
    assert max(box.calls, default=1) <= most


@pytest.mark.parametrize("cameras", [1, 3])
def test_what_is_seen_of_a_few_cameras_is_as_fresh_as_without_batches(cameras: int) -> None:
    def ages(most: int) -> list[float]:
        subject = lane(cloud=False, profile=profile(0.001, 0.008, most))
        box = Box(subject, cameras, infer=lambda _: 0.001, call_seconds=0.008)
        return sorted(done.finished - done.captured for done in box.run(10))

    assert ages(8) == pytest.approx(ages(1))
