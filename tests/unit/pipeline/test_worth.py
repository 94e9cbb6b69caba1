"""A lane whose release tells what its answers are worth: sizes, prices, second answers, and who is given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.offload.link import Link
from agent.offload.policy import Route
from agent.offload.prices import FULL
from agent.offload.terms import Terms
from agent.pipeline.lane import Action, Answer, Finish, Infer, Lane, Parts, Release, SendUp
from agent.types import Box as Found
from agent.types import Finished
from protos.ids import CameraName
from protos.outcomes import Outcome
from tests.sim.lane import MEASURED, Box, frame, measured, tap

PLENTY = 8e6  # bits a second
SEEN = (Found(0.1, 0.1, 0.5, 0.5, 0.4, "person"),)


def ended(actions: list[Action]) -> list[Finished]:
    return [action.finished for action in actions if isinstance(action, Finish)]


def started(actions: list[Action]) -> list[Infer]:
    return [action for action in actions if isinstance(action, Infer)]


def sent(actions: list[Action]) -> list[SendUp]:
    return [action for action in actions if isinstance(action, SendUp)]


def busy(subject: Lane, since: float = 100.0) -> Infer:
    """A call runs."""
    [running] = started(subject.arrive(frame(0, since, camera=99), since))
    return running


def dear(subject: Lane, price: float = 0.3, now: float = 100.0) -> None:
    """The way up was used lately, and a picture costs so much of a frame's value."""
    subject.there.link.sent(0, 18_000, now - 1.0)
    subject.there.link.answered(0, now - 0.95)
    budget = subject.there.budget
    spent = min(0.9, (price / (FULL * 0.144)) ** 2)  # of the minute's bits
    budget.reserve(max(0.0, budget.left(now) - (1.0 - spent) * budget.most), now)


def doubtful(subject: Lane, confidence: float = 0.1, now: float = 100.0) -> tuple[SendUp, list[Action]]:
    """The box has answered a frame, and the cloud is asked for a second answer."""
    dear(subject, now=now)
    [running] = started(subject.arrive(frame(1, now), now))
    done = Answer(SEEN, infer_seconds=0.03, confidence=confidence)
    actions = subject.local_done(running.jobs, [done], now + 0.03)
    [up] = sent(actions)
    return up, actions


# ---- sizes ----


def test_a_frame_that_has_the_engine_to_itself_is_run_in_the_largest_size() -> None:
    assert busy(measured(cloud=False)).size == "medium"


def test_a_frame_is_run_in_the_size_that_its_deadline_leaves_time_for() -> None:
    [call] = started(measured(cloud=False).arrive(frame(1, 100.0, deadline=0.04), 100.0))
    assert call.size == "small"
    subject = measured(cloud=False)
    subject.arrive(frame(1, 100.0, deadline=0.04), 100.0)
    assert subject.accounts[-1].why_size == "it would be late itself"


def test_no_size_is_taken_that_makes_what_waits_late() -> None:
    """Planned: 45 ms for medium, 18 ms for small; 30 ms have passed."""
    for deadline, size in ((0.095, "medium"), (0.09, "small")):
        subject = measured(cloud=False)
        running = busy(subject)
        subject.arrive(frame(1, 100.0, 0.088, camera=1), 100.0)
        subject.arrive(frame(2, 100.0, deadline, camera=2), 100.0)
        [call] = started(subject.local_done(running.jobs, [Answer(infer_seconds=0.03)], 100.03))
        assert (call.frames[0].seq, call.size) == (1, size)


def test_when_frames_come_faster_than_the_large_size_answers_the_small_one_takes_over() -> None:
    subject = measured(cloud=False)
    for camera in range(80):
        subject.here.arrived(tap(camera), 99.5)
    assert busy(subject).size == "small"
    assert subject.accounts[-1].why_size == "no time for what comes"


# ---- second answers ----


def test_a_cloud_that_runs_the_same_model_is_not_asked_again_and_no_doubt_sends_frames_there() -> None:
    """Else a fast box would have all its frames answered elsewhere, for nothing."""
    subject = measured()
    alike = subject.profile.sizes[-1].metric
    subject.weigh(replace(subject.profile, jpeg=tuple(replace(each, metric=alike) for each in subject.profile.jpeg)))
    dear(subject, price=0.0)
    [running] = started(subject.arrive(frame(1, 100.0), 100.0))
    actions = subject.local_done(running.jobs, [Answer(SEEN, infer_seconds=0.03, confidence=0.1)], 100.03)
    assert (len(ended(actions)), sent(actions)) == (1, [])
    assert not sent(subject.arrive(frame(2, 100.1), 100.1))


def test_a_release_that_is_unsure_of_everything_sends_no_more_up_than_one_that_is_sure() -> None:
    """Doubt is measured against how sure the lane usually is: against the evaluation's metric, all frames would go."""

    def unasked(sure: float) -> int:
        box = Box(measured(Terms(uplink_bits_per_second=3e6)), sure=lambda _: sure)
        box.run(30.0)
        return sum(account.chosen == Route.CLOUD for account in list(box.lane.accounts)[-200:])

    assert unasked(0.2) <= unasked(0.76) + 10


def test_a_doubtful_answer_is_asked_of_the_cloud_too_and_the_cloud_s_is_told() -> None:
    subject = measured()
    up, actions = doubtful(subject)
    assert not ended(actions)
    assert (up.quality, up.max_side) == (70, 640)
    subject.encoded(up.job, 18_000, 100.035)
    [told] = ended(subject.cloud_done(up.job, Answer(SEEN, where="cloud-1"), 100.1))
    assert (told.outcome, told.where) == (Outcome.OK_CLOUD, "cloud-1")


def test_an_answer_in_hand_is_told_just_in_time_when_the_cloud_is_silent() -> None:
    subject = measured()
    up, _ = doubtful(subject)
    subject.encoded(up.job, 18_000, 100.035)
    assert subject.wake_at == pytest.approx(100.242)
    assert not ended(subject.tick(100.2))
    [told] = ended(subject.tick(100.242))
    assert (told.outcome, told.boxes, told.where) == (Outcome.OK_HEDGE, SEEN, "local")
    assert subject.cloud_done(up.job, Answer(where="cloud-1"), 100.4) == []
    assert subject.in_cloud == 0


def test_an_answer_in_hand_is_told_at_once_when_the_cloud_fails() -> None:
    subject = measured()
    up, _ = doubtful(subject)
    subject.encoded(up.job, 18_000, 100.035)
    [told] = ended(subject.cloud_done(up.job, Answer(error="gone"), 100.05))
    assert (told.outcome, told.boxes) == (Outcome.OK_HEDGE, SEEN)


def test_the_slot_of_a_frame_with_an_answer_in_hand_is_given_back_when_its_picture_is_encoded() -> None:
    subject = measured()
    up, actions = doubtful(subject)
    assert not any(isinstance(action, Release) for action in actions)
    assert subject.encoded(up.job, 18_000, 100.035) == [Release(tap(), 1)]


def test_a_sure_answer_is_told_at_once() -> None:
    subject = measured()
    for _ in range(300):
        subject.cascade.learn(0.99, agreed=True)
    dear(subject)
    [running] = started(subject.arrive(frame(1, 100.0), 100.0))
    actions = subject.local_done(running.jobs, [Answer(SEEN, infer_seconds=0.03, confidence=0.99)], 100.03)
    assert [each.outcome for each in ended(actions)] == [Outcome.OK_LOCAL]


def test_what_the_cloud_says_too_late_still_teaches() -> None:
    hoped = []
    for boxes in (SEEN, ()):
        subject = measured()
        for now in range(100, 108):
            up, _ = doubtful(subject, now=float(now))
            subject.encoded(up.job, 18_000, now + 0.035)
            subject.tick(now + 0.245)
            subject.cloud_done(up.job, Answer(boxes, where="cloud-1"), now + 0.5)
            subject.meet_another_cloud()  # which may be faster
        hoped.append(subject.cascade.gain(0.1, 1.0))
    agreed, not_agreed = hoped
    assert agreed < not_agreed - 0.2


def test_a_release_that_tells_nothing_of_itself_asks_for_no_second_answer() -> None:
    subject = measured()
    subject.weigh(replace(MEASURED, measured=False))
    [running] = started(subject.arrive(frame(1, 100.0), 100.0))
    actions = subject.local_done(running.jobs, [Answer(SEEN, infer_seconds=0.03, confidence=0.01)], 100.03)
    assert [each.outcome for each in ended(actions)] == [Outcome.OK_LOCAL]


# ---- what may go up ----


def test_pictures_of_a_camera_that_stays_never_leave_the_box() -> None:
    terms = Terms(uplink_bits_per_second=PLENTY, stays=frozenset({CameraName("camera-0")}))
    subject = measured(terms)
    subject.here.ready = False
    assert [each.outcome for each in ended(subject.arrive(frame(1, 100.0), 100.0))] == [Outcome.SHED]
    assert sent(subject.arrive(frame(2, 100.0, camera=1), 100.0))


def test_a_picture_larger_than_what_is_left_of_the_minute_is_called_off_and_the_box_answers() -> None:
    subject = measured(Terms(uplink_bits_per_second=160_000 / 63))
    subject.here.quick.observe(1, 0.012, 99.9)  # so it is known, and runs no copy
    [up] = sent(subject.arrive(frame(1, 100.0), 100.0))
    assert subject.encoded(up.job, 40_000, 100.005) == []
    assert not subject.goes_up(up.job)
    [call] = started(subject.cloud_done(up.job, Answer(error="called off"), 100.005))
    [told] = ended(subject.local_done(call.jobs, [Answer(SEEN, infer_seconds=0.03, confidence=0.9)], 100.035))
    assert (told.outcome, told.uplink_bytes) == (Outcome.OK_HEDGE, 0)
    assert subject.there.budget.left(100.04) == pytest.approx(160_000, abs=1), "what was not sent is not spent"


def test_a_door_that_turns_a_frame_away_is_left_alone_for_as_long_as_it_says_and_is_no_failure() -> None:
    subject = measured()
    subject.here.ready = False
    for seq in range(20):
        now = 100.0 + seq
        [up] = sent(subject.arrive(frame(seq, now), now))
        subject.encoded(up.job, 18_000, now + 0.004)
        away = Answer(error="busy", turned_away=True, retry_after=0.5)
        subject.cloud_done(up.job, away, now + 0.03)
        assert not sent(subject.arrive(frame(seq + 100, now + 0.5), now + 0.5))


def test_beyond_four_frames_are_under_way_only_while_they_wait_for_a_far_node_and_never_more_than_eight() -> None:
    subject = measured()
    subject.here.ready = False

    def more(since: int, now: float) -> list[SendUp]:
        arrived = [subject.arrive(frame(1, now, 0.4, camera=camera), now) for camera in range(since, since + 10)]
        return [up for actions in arrived for up in sent(actions)]

    few = more(0, 100.0)
    assert len(few) == 4
    for up in few:
        subject.encoded(up.job, 1_000, 100.0)
    subject.there.link.rtt.mean = 0.18
    assert more(10, 100.0) == []
    assert len(more(20, 100.1)) == 1, "the wire is free, until this one is on it"


def test_a_dear_uplink_keeps_on_the_box_what_is_worth_little() -> None:
    for price, up in ((0.0, True), (0.3, False)):
        subject = measured()
        dear(subject, price)
        assert bool(sent(subject.arrive(frame(1, 100.0), 100.0))) is up
    subject = measured(parts=Parts(prices=False))
    dear(subject, 100.0)
    assert sent(subject.arrive(frame(1, 100.0), 100.0))


# ---- who is given up ----


def test_where_not_all_can_be_in_time_the_one_worth_least_is_given_up() -> None:
    terms = Terms(uplink_bits_per_second=0.0, camera_values={CameraName("camera-1"): 5.0, CameraName("camera-2"): 0.5})
    subject = measured(terms, cloud=False)
    busy(subject)
    actions = [
        action
        for seq, camera in ((1, 1), (2, 2), (3, 3))
        for action in subject.arrive(frame(seq, 100.0, deadline=0.095, camera=camera), 100.0)
    ]
    assert [(each.tap, each.outcome) for each in ended(actions)] == [(tap(2), Outcome.SHED)]


def test_one_that_cannot_be_in_time_here_goes_up_instead() -> None:
    subject = measured()
    busy(subject)
    actions = [
        action for seq in range(1, 9) for action in subject.arrive(frame(seq, 100.0, deadline=0.2, camera=seq), 100.0)
    ]
    assert sent(actions)
    assert not ended(actions)


def test_what_is_due_later_is_not_counted_as_ahead() -> None:
    """Ten that have a second wait; one that has 100 ms comes."""
    for parts, outcomes in ((Parts(), []), (Parts(earlier_only=False), [Outcome.SHED])):
        subject = measured(parts=parts, cloud=False)
        busy(subject)
        for camera in range(10):
            subject.arrive(frame(camera, 100.0, deadline=1.0, camera=camera), 100.0)
        actions = subject.arrive(frame(50, 100.0, deadline=0.1, camera=50), 100.0)
        assert [each.outcome for each in ended(actions)] == outcomes


def test_a_frame_that_can_no_longer_be_in_time_when_its_turn_comes_is_shed_and_not_run() -> None:
    subject = measured(cloud=False)
    running = busy(subject)
    subject.arrive(frame(1, 100.0, deadline=0.1, camera=1), 100.0)
    actions = subject.local_done(running.jobs, [Answer(infer_seconds=0.03)], 100.09)
    assert not started(actions)
    assert Outcome.SHED in [each.outcome for each in ended(actions)]


def test_of_two_frames_of_a_tap_the_one_that_makes_way_goes_up_where_that_is_worth_it() -> None:
    subject = measured()
    busy(subject)
    subject.arrive(frame(1, 100.0, camera=1), 100.0)
    actions = subject.arrive(frame(2, 100.01, camera=1), 100.01)
    assert len(sent(actions)) == 1
    assert not ended(actions)


# ---- what is told of it ----


def test_an_account_tells_what_each_way_was_worth_which_was_chosen_and_how_it_ended() -> None:
    subject = measured()
    up, _ = doubtful(subject)
    subject.encoded(up.job, 18_000, 100.035)
    subject.cloud_done(up.job, Answer(SEEN, where="cloud-1"), 100.1)
    account = subject.accounts[-1]
    assert (account.camera, account.seq, account.at) == ("camera-0", 1, 100.0)
    assert (account.chosen, account.size, account.outcome) == ("cascade", "medium", Outcome.OK_CLOUD)
    assert account.scores.keys() >= {"local", "cloud", "shed", "cascade"}
    assert account.scores["cascade"].score > 0.0
    assert account.features["waiting"] == 0.0
    assert account.features["slowness"] == pytest.approx(1.0, abs=0.1), "times what was measured warm"
    assert "load" not in account.features, "what is asked of the box is called that"
    assert 0.0 < account.propensity <= 1.0


def test_a_picture_that_only_looks_how_the_link_is_says_so_where_the_box_answers_and_where_it_cannot() -> None:
    subject = measured()
    dear(subject, price=0.3)
    subject.there.link = Link()  # unused so far: it is time to look
    assert len(sent(subject.arrive(frame(1, 100.0), 100.0))) == 1
    assert (subject.accounts[-1].chosen, subject.accounts[-1].probe) == ("hedge", True)
    away = measured()
    away.here.ready = False
    away.there.link.sent(0, 18_000, 90.0)
    away.there.link.answered(0, 94.0)  # too slow for any frame
    assert len(sent(away.arrive(frame(1, 100.0), 100.0))) == 1
    assert (away.accounts[-1].chosen, away.accounts[-1].probe) == ("cloud", True)


# ---- a limit on money ----


def test_looking_how_the_link_is_spends_no_more_than_the_limit_on_money() -> None:
    """A thousandth a day is a picture in twenty minutes."""
    terms = Terms(uplink_bits_per_second=PLENTY, money_per_day=0.001)
    box = Box(measured(terms), cameras=1, sure=lambda _: 1.0)
    box.run(120)
    assert 1 <= len(box.sent) <= 4, "what prices let up at once; looking each five seconds would be 24"
    spent = box.lane.there.money.within_day(box.now)
    assert spent <= 0.06 * 0.001, spent
    before = len(box.sent)
    box.now += 3 * 3600.0
    box.run(10)
    assert len(box.sent) > before, "the debt is worked off"
