"""A deployment's frames: every one ends once, newest first, in the cloud only when that helps."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.offload.breaker import BreakerState
from agent.pipeline.lane import Answer, Finish, Infer, Release, SendUp
from protos.outcomes import Outcome
from tests.sim.lane import Box, frame, in_time, lane, shares, tap


def test_a_box_that_is_fast_enough_never_asks_the_cloud() -> None:
    box = Box(lane())
    assert shares(box.run(10))[Outcome.OK_LOCAL] == 1.0


def test_slowed_with_the_cloud_off_fewer_than_half_are_in_time() -> None:
    box = Box(lane(cloud=False), infer=lambda _: 0.31)
    box.run(5)
    finished = box.run(20)
    assert in_time(finished) < 0.5
    assert shares(finished)[Outcome.SHED] > 0


@pytest.mark.parametrize("slow", [0.15, 0.31, 0.61])
def test_slowed_with_the_cloud_on_nine_in_ten_are_in_time_and_the_cloud_did_it(slow: float) -> None:
    box = Box(lane(), infer=lambda _: slow)
    box.run(3)
    finished = box.run(20)
    assert in_time(finished) >= 0.9
    assert shares(finished)[Outcome.OK_CLOUD] >= 0.3


def test_an_engine_that_runs_two_at_once_answers_what_one_could_not() -> None:
    """Forty frames a second of 45 ms each: 1.8 of one, 0.9 of two."""

    def answered(width: int) -> float:
        box = Box(lane(cloud=False, width=width), cameras=4, infer=lambda _: 0.045)
        box.run(3)
        return in_time(box.run(20))

    assert answered(1) < 0.65
    assert answered(2) > 0.95


def test_a_swap_to_an_engine_of_one_at_a_time_waits_for_what_runs() -> None:
    box = Box(lane(cloud=False, width=3), cameras=4, infer=lambda _: 0.06)
    box.run(2)
    box.lane.here.width = 1
    box.run(2)
    box.settle()
    assert len(box.finished) == box.due


def test_an_engine_that_others_keep_busy_is_a_slow_one() -> None:
    beside = [0.31]
    box = Box(lane(), beside=lambda _: beside[0])
    box.run(3)
    finished = box.run(20)
    assert in_time(finished) >= 0.9
    assert shares(finished)[Outcome.OK_CLOUD] >= 0.3
    beside[0] = 0.0
    box.run(30)
    assert shares(box.run(20))[Outcome.OK_CLOUD] < 0.01


def test_of_a_release_that_tells_nothing_the_cloud_is_found_though_pictures_are_thought_too_large_for_it() -> None:
    """A careful prior, 43 kB, is thought late; the first real picture, 18 kB, says that others are not."""
    box = Box(lane(), infer=lambda _: 0.06, cloud=lambda _: 0.15)
    box.run(15)
    finished = box.run(10)
    assert in_time(finished) >= 0.97
    assert shares(finished)[Outcome.OK_CLOUD] >= 0.1


def test_a_frame_that_would_be_superseded_is_one_to_try_the_cloud_with() -> None:
    """Each that waits is planned in time, so that none is given up: only that another takes its place."""
    subject = lane(planned=0.06)
    for seq in (1, 2):
        assert not any(isinstance(a, SendUp) for a in subject.arrive(frame(seq, 100.0), 100.0))
    assert [type(action) for action in subject.arrive(frame(3, 100.02), 100.02)] == [SendUp]


def test_when_the_box_is_fast_again_the_cloud_is_left_within_thirty_seconds() -> None:
    slow = [0.31]
    box = Box(lane(), infer=lambda _: slow[0])
    box.run(20)
    slow[0] = 0.01
    box.run(30)
    assert shares(box.run(20))[Outcome.OK_CLOUD] < 0.01


@pytest.mark.parametrize("number", range(1, 12))
def test_one_call_that_is_held_up_early_does_not_keep_frames_in_the_cloud(number: int) -> None:
    calls = itertools.count(1)
    box = Box(lane(), infer=lambda _: 0.6 if next(calls) == number else 0.01)
    box.run(10)
    assert shares(box.run(10))[Outcome.OK_CLOUD] < 0.01


def test_a_cloud_that_is_gone_costs_little_and_is_found_again() -> None:
    up = [False]
    box = Box(lane(), infer=lambda _: 0.31, cloud=lambda _: 0.04 if up[0] else None)
    finished = box.run(20)
    assert shares(finished)[Outcome.ERROR] < 0.2
    up[0] = True
    box.run(40)
    assert in_time(box.run(10)) >= 0.9


def test_the_uplink_budget_holds() -> None:
    box = Box(lane(bits_per_second=400_000), infer=lambda _: 0.31)
    box.run(5)
    finished = box.run(30)
    sent = sum(done.uplink_bytes for done in finished) * 8 / 30
    assert sent <= 400_000 * 1.05


def test_a_newer_frame_of_the_same_camera_takes_the_place_of_one_that_waits() -> None:
    subject = lane(cloud=False)
    subject.arrive(frame(1, 100.0, camera=0), 100.0)
    subject.arrive(frame(2, 100.001, camera=1), 100.001)
    actions = subject.arrive(frame(3, 100.002, camera=1), 100.002)
    ended = [action.finished for action in actions if isinstance(action, Finish)]
    assert [(done.seq, done.outcome) for done in ended] == [(2, Outcome.SUPERSEDED)]
    assert Release(tap(1), 2) in actions


def test_frames_that_wait_start_by_deadline_not_by_arrival() -> None:
    subject = lane(cloud=False)
    [running] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, Infer)]
    subject.arrive(frame(2, 100.001, deadline=0.9, camera=1), 100.001)
    subject.arrive(frame(3, 100.002, deadline=0.2, camera=2), 100.002)
    actions = subject.local_done(running.jobs, [Answer(infer_seconds=0.01)], 100.01)
    assert [a.frames[0].seq for a in actions if isinstance(a, Infer)] == [3]


def test_the_slot_of_a_frame_that_goes_up_is_given_back_when_its_picture_is_encoded() -> None:
    subject = lane()
    subject.here.ready = False
    [sent] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, SendUp)]
    assert subject.encoded(sent.job, 9000, 100.01) == [Release(tap(), 1)]
    after = subject.cloud_done(sent.job, Answer(where="cloud-1"), 100.1)
    assert [type(action) for action in after] == [Finish], "and not a second time"


def test_the_slot_of_a_frame_that_goes_up_stays_while_the_box_may_still_run_it() -> None:
    subject = lane(planned=0.1)
    [running] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, Infer)]
    subject.arrive(frame(2, 100.0, camera=1), 100.0)
    [sent] = [a for a in subject.arrive(frame(3, 100.01, camera=2), 100.01) if isinstance(a, SendUp)]
    assert subject.encoded(sent.job, 9000, 100.02) == []
    assert subject.tick(100.015 + 0.25 - 1.6 * 0.15) == [Release(tap(2), 3)], "the box is still busy with others"
    assert running.jobs


def test_a_frame_in_the_cloud_ends_at_its_deadline_and_what_was_sent_counts() -> None:
    subject = lane()
    subject.here.ready = False
    [sent] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, SendUp)]
    subject.encoded(sent.job, 9000, 100.01)
    actions = subject.tick(100.25)
    [late] = [a.finished for a in actions if isinstance(a, Finish)]
    assert (late.outcome, late.uplink_bytes) == (Outcome.CLOUD_LATE, 9000)
    assert subject.cloud_done(sent.job, Answer(where="cloud-1"), 100.3) == []


def test_a_frame_that_ended_and_is_still_in_the_cloud_does_not_end_again_when_its_deployment_leaves() -> None:
    subject = lane()
    subject.here.ready = False
    [sent] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, SendUp)]
    subject.encoded(sent.job, 9000, 100.01)
    assert [type(action) for action in subject.tick(100.25)] == [Finish]
    assert subject.clear(100.26) == []


def test_a_slot_is_not_given_back_while_its_picture_is_being_encoded() -> None:
    subject = lane()
    subject.here.ready = False
    [sent] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, SendUp)]
    actions = subject.tick(100.25)
    [late] = [a.finished for a in actions if isinstance(a, Finish)]
    assert late.uplink_bytes == 0
    assert not any(isinstance(a, Release) for a in actions)
    assert subject.cloud_done(sent.job, Answer(error="encoded too late"), 100.3) == [Release(tap(), 1)]


def test_pictures_that_cannot_be_encoded_say_nothing_against_the_cloud() -> None:
    broken = [True]
    box = Box(lane(), infer=lambda _: 0.31, encode=lambda _: None if broken[0] else 0.004)
    before = box.lane.there.budget
    box.run(10)
    assert box.lane.there.breaker.state is BreakerState.CLOSED
    assert before.allows(before.bits_per_second * 1.9, box.now), "what was not sent is not spent"
    broken[0] = False
    assert in_time(box.run(2)) >= 0.9


def test_a_probe_that_could_not_be_encoded_leaves_room_for_the_next() -> None:
    subject = lane()
    subject.here.ready = False
    subject.there.breaker.state = BreakerState.HALF_OPEN
    [probe] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, SendUp)]
    assert not any(isinstance(a, SendUp) for a in subject.arrive(frame(2, 100.01), 100.01))
    subject.cloud_done(probe.job, Answer(error="the picture is gone"), 100.02)
    assert any(isinstance(a, SendUp) for a in subject.arrive(frame(3, 100.03), 100.03))


def test_a_frame_the_cloud_answered_says_what_encoding_and_the_wire_took() -> None:
    subject = lane()
    subject.here.ready = False
    [sent] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, SendUp)]
    subject.encoded(sent.job, 9000, 100.01)
    actions = subject.cloud_done(sent.job, Answer(where="cloud-1"), 100.06)
    [answered] = [a.finished for a in actions if isinstance(a, Finish)]
    assert answered.stages == pytest.approx({"decode": 0.0, "encode": 0.01, "cloud": 0.05})
    assert answered.uplink_bytes == 9000


@pytest.mark.parametrize(("encoded", "where"), [(True, "cloud"), (False, "local")])
def test_a_frame_that_went_up_in_vain_says_where_it_failed(encoded: bool, where: str) -> None:
    subject = lane()
    subject.here.ready = False
    [sent] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, SendUp)]
    if encoded:
        subject.encoded(sent.job, 9000, 100.01)
    actions = subject.cloud_done(sent.job, Answer(error="gone"), 100.05)
    [ended] = [a.finished for a in actions if isinstance(a, Finish)]
    assert (ended.outcome, ended.where) == (Outcome.ERROR, where)


def test_a_failed_inference_is_an_error_and_the_lane_goes_on() -> None:
    subject = lane(cloud=False)
    [running] = [a for a in subject.arrive(frame(1, 100.0), 100.0) if isinstance(a, Infer)]
    actions = subject.local_done(running.jobs, [Answer(error="the engine worker died")], 100.1)
    assert [a.finished.outcome for a in actions if isinstance(a, Finish)] == [Outcome.ERROR]
    assert any(isinstance(a, Infer) for a in subject.arrive(frame(2, 100.2), 100.2))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cameras=st.integers(1, 6),
    slow=st.floats(0.001, 0.8),
    trouble=st.floats(0.0, 1.0),
    bits=st.sampled_from([1e5, 1e6, 1e7]),
)
def test_every_frame_due_ends_in_exactly_one_outcome(
    seed: int, cameras: int, slow: float, trouble: float, bits: float
) -> None:
    rng = random.Random(seed)

    def cloud(_: float) -> float | None:
        return None if rng.random() < trouble else rng.expovariate(10)

    def encode(_: float) -> float | None:
        return None if rng.random() < trouble / 2 else rng.expovariate(100)

    box = Box(lane(bits_per_second=bits), cameras, infer=lambda _: rng.uniform(0.5, 1.5) * slow)
    box.cloud, box.encode = cloud, encode
    box.run(6)
    box.settle()
    ends = Counter((done.tap, done.seq) for done in box.finished)
    assert sum(ends.values()) == box.due
    assert set(ends.values()) <= {1}
    assert box.released == box.due
