"""What runs on a box: releases warmed, swapped, confirmed and given up while frames keep coming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace

import pytest
from msgspec import structs

from agent.cameras.captured import Captured
from agent.errors import Unfit
from agent.offload.terms import Terms
from agent.pipeline.board import CameraWish
from agent.pipeline.lane import Action, SendUp
from agent.pipeline.run import LOOK_SECONDS
from agent.pipeline.zones import standing
from agent.ports import CloudAnswer, CloudModel, Warmed
from agent.types import Box, Finished, Frame, Geometry, ModelInput, Zone
from agent.update.verify import VerifiedBytes
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import CameraName, Digest
from protos.outcomes import IN_TIME, Outcome
from protos.regions import Region
from tests.sim.board import BROKEN, CAMERA, HARBOUR, LARGE, SMALL, TAP, World, wish
from tests.sim.clock import FakeClock, settle
from tests.sim.engine import FakeEngine
from tests.sim.verified import FP32, verified


class Cloud:
    """A cloud node that answers one box, or fails as told."""

    node_id = "cloud-1"

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked: list[CloudModel] = []
        self.silent: asyncio.Event | None = None  # until it is set

    async def detect_jpeg(
        self, model: CloudModel, jpeg: bytes, min_score: float, timeout: float, partition: str = "live"
    ) -> CloudAnswer:
        self.asked.append(model)
        if self.silent is not None:
            await self.silent.wait()
        if self.failure:
            raise self.failure
        return CloudAnswer((Box(0.1, 0.1, 0.2, 0.2, 0.9, "boat"),))

    async def close(self) -> None: ...


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish()])
    await world.board.feed()
    yield world
    await world.board.close()
    world.captures.close()


async def test_no_frame_is_due_before_a_release_answers(world: World) -> None:
    assert world.captures.taps == {}
    await world.install("1")
    assert world.captures.taps == {TAP: ModelInput(32, 64)}


async def test_frames_are_answered_by_the_release_that_was_swapped_in(world: World) -> None:
    digest = await world.install("1")
    ended = await world.frames(3)
    assert [(done.outcome, done.release) for done in ended] == [(Outcome.OK_LOCAL, digest)] * 3


async def test_variants_are_warmed_one_after_the_other_while_the_release_before_answers(world: World) -> None:
    first = await world.install("1")
    second = verified("2")
    assert (
        await world.board.warm(HARBOUR, second, FP32, VerifiedBytes(SMALL.spec.model))
        == world.engines[-1].profile[0][1]
    )
    await world.board.abandon(HARBOUR, second.digest)
    await world.board.warm(HARBOUR, second, FP32, VerifiedBytes(SMALL.spec.model))
    seen = await world.frames(2)
    await world.board.swap(HARBOUR, second.digest)
    seen += await world.frames(2)
    assert [done.release for done in seen] == [first] * 2 + [second.digest] * 2
    with pytest.raises(LongshoreError, match="clos"):
        await world.engines[1].detect_slot(TAP, 0, Geometry(64, 32, 1.0, 1.0, 0, 0), 0.1)


async def test_an_engine_is_told_the_precision_of_the_variant_that_the_box_decided_on(world: World) -> None:
    await world.board.warm(HARBOUR, verified("1"), replace(FP32, precision="fp16"), VerifiedBytes(SMALL.spec.model))
    assert [each.precision for each in world.engines[-1].started] == ["fp16"]


async def test_a_swap_under_load_loses_no_frame_and_closes_the_old_engine(world: World) -> None:
    first = await world.install("1")
    seen = await world.frames(2)
    second = verified("2")
    await world.board.warm(HARBOUR, second, FP32, VerifiedBytes(SMALL.spec.model))
    seen += await world.frames(2)
    await world.board.swap(HARBOUR, second.digest)
    seen += await world.frames(2)
    assert [done.release for done in seen] == [first] * 4 + [second.digest] * 2
    assert {done.outcome for done in seen} == {Outcome.OK_LOCAL}
    assert await world.board.confirm(HARBOUR, second.digest, 0.0)
    with pytest.raises(LongshoreError, match="clos"):
        await world.engines[0].detect_slot(TAP, 0, Geometry(64, 32, 1.0, 1.0, 0, 0), 0.1)


async def test_a_release_with_another_input_size_renews_the_slots_without_an_error(world: World) -> None:
    await world.install("1")
    await world.frames(1)
    await world.install("2", LARGE)
    assert world.captures.taps == {TAP: ModelInput(64, 64)}
    assert {done.outcome for done in await world.frames(2)} == {Outcome.OK_LOCAL}


async def test_a_worker_that_fell_once_is_forgiven(world: World) -> None:
    await world.install("1")
    second = await world.install("2")
    world.engines[1].crash()
    assert await world.board.confirm(HARBOUR, second, 0.3)


async def test_a_release_whose_worker_keeps_falling_is_not_confirmed_and_the_old_one_answers(world: World) -> None:
    first = await world.install("1")
    second = await world.install("2")
    for _ in range(3):
        world.engines[1].crash()
    assert not await world.board.confirm(HARBOUR, second, 1.0)
    await world.board.abandon(HARBOUR, second)
    assert [done.release for done in await world.frames(1)] == [first]


# ---- confirming, on a clock that moves only when told ----


@pytest.fixture
async def still(clock: FakeClock) -> AsyncIterator[World]:
    world = World(clock)
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish()])
    yield world
    await world.board.close()
    world.captures.close()


async def verdict(world: World, clock: FakeClock, digest: Digest, seconds: float) -> bool | None:
    """Of a confirmation that may take 10 s, after `seconds`."""
    confirming = asyncio.create_task(world.board.confirm(HARBOUR, digest, 10.0))
    await clock.advance(seconds)
    if confirming.done():
        return confirming.result()
    confirming.cancel()
    return None


async def test_a_release_that_hangs_on_its_first_frame_is_not_confirmed(still: World, clock: FakeClock) -> None:
    digest = await still.install("1")
    still.board.slow_down(1e6)
    still.captures.announce(TAP, clock.monotonic())
    assert await verdict(still, clock, digest, 11.0) is None
    assert await verdict(still, clock, digest, 75.0) is False
    still.board.slow_down(0.0)


async def test_a_frame_that_hangs_until_its_worker_is_killed_fails_the_release(still: World, clock: FakeClock) -> None:
    digest = await still.install("1")
    still.board.slow_down(1e6)
    still.captures.announce(TAP, clock.monotonic())
    confirming = asyncio.create_task(still.board.confirm(HARBOUR, digest, 10.0))
    await clock.advance(10.5)
    still.engines[0].crash()  # the engine's patience is over
    await clock.advance(0.5)
    assert confirming.result() is False


async def test_frames_that_a_killed_worker_took_with_it_do_not_speak_against_the_release(
    still: World, clock: FakeClock
) -> None:
    digest = await still.install("1")
    confirming = asyncio.create_task(still.board.confirm(HARBOUR, digest, 10.0))
    for interrupted in (True, True, True, False):
        still.board.slow_down(1.0 if interrupted else 0.0)
        still.captures.announce(TAP, clock.monotonic())
        await clock.advance(0.5)
        if interrupted and still.engines[0].restarts < 2:
            still.engines[0].crash()
        await clock.advance(2.0)
    await clock.advance(10.0)
    assert still.engines[0].restarts == 2
    assert confirming.result() is True


async def test_a_frame_still_under_way_at_the_end_of_the_window_is_waited_for(still: World, clock: FakeClock) -> None:
    digest = await still.install("1")
    still.board.slow_down(12.0)
    still.captures.announce(TAP, clock.monotonic())
    assert await verdict(still, clock, digest, 13.0) is True


async def test_a_release_that_is_asked_for_no_frame_is_confirmed(still: World, clock: FakeClock) -> None:
    digest = await still.install("1")
    assert await verdict(still, clock, digest, 10.5) is True


async def test_a_release_whose_frames_all_go_to_a_cloud_that_fails_is_confirmed(still: World, clock: FakeClock) -> None:
    still.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(offload=True)])
    digest = await still.install("1")
    cloud = Cloud(Retryable("gone"))
    still.board.offer_cloud(cloud)
    still.board.lanes()[HARBOUR].here.ready = False  # the box would be too slow
    still.captures.announce(TAP, clock.monotonic())
    assert await verdict(still, clock, digest, 10.5) is True
    assert len(cloud.asked) == 1
    assert [done.outcome for done in still.finished] == [Outcome.ERROR]


async def test_what_the_release_before_still_had_under_way_does_not_count(still: World, clock: FakeClock) -> None:
    await still.install("1")
    still.engines[0].slow_down(1e6)
    still.captures.announce(TAP, clock.monotonic())
    await settle()
    digest = await still.install("2")
    still.engines[0].crash()
    assert await verdict(still, clock, digest, 10.5) is True
    assert [done.outcome for done in still.finished] == [Outcome.ERROR]


# ---- rules of a trial ----


async def bright(world: World, count: int) -> list[Finished]:
    """Frames of bright pictures."""
    world.captures.paint(TAP, 255)
    return await world.frames(count)


async def test_a_release_that_answers_what_is_no_number_goes_and_the_one_before_answers(world: World) -> None:
    first = await world.install("1")
    second = await world.install("2", BROKEN)
    ended = [*await world.frames(3), *await bright(world, 3)]
    assert [done.outcome for done in ended] == [Outcome.OK_LOCAL] * 3 + [Outcome.ERROR] * 3
    (problem,) = world.board.problems()
    assert problem.code == "not-a-number"
    assert "harbour 2 answered 3 frames with NaN" in problem.message
    assert world.board.not_a_number == {HARBOUR: 3}
    with pytest.raises(Unfit, match="not-a-number: 3 of 6 frames"):
        await world.board.confirm(HARBOUR, second, 0.3)
    await world.board.abandon(HARBOUR, second)
    assert [done.release for done in await world.frames(1)] == [first]
    assert world.board.problems() == []


async def test_a_confirmed_release_that_answers_what_is_no_number_is_told_for_a_while(
    still: World, clock: FakeClock
) -> None:
    digest = await still.install("1", BROKEN)
    assert await verdict(still, clock, digest, 10.5) is True
    still.captures.paint(TAP, 255)
    still.captures.announce(TAP, clock.monotonic())
    await clock.advance(1.0)
    assert [problem.code for problem in still.board.problems()] == ["not-a-number"]
    await clock.advance(601.0)
    assert still.board.problems() == []
    assert still.board.not_a_number == {HARBOUR: 1}


async def test_a_candidate_that_knows_no_number_is_told_before_it_answers(world: World) -> None:
    await world.install("1")
    second = verified("2", BROKEN)
    await world.board.warm(HARBOUR, second, FP32, VerifiedBytes(BROKEN.spec.model))
    await world.board.judge(HARBOUR, second.digest)
    world.engines[1].warmed = Warmed(0.001, 0.001, in_numbers=False)
    with pytest.raises(Unfit, match="not-a-number"):
        await world.board.judge(HARBOUR, second.digest)


async def test_a_candidate_beyond_its_latency_budget_is_told_before_it_answers(world: World) -> None:
    camera = CameraWish(CAMERA, "synthetic://harbour", 10.0)
    await world.board.warm(HARBOUR, verified("1"), FP32, VerifiedBytes(SMALL.spec.model))
    for budget, unfit in ((0.0, False), (0.001, False), (0.0009, True)):
        world.board.plan([camera], [replace(wish(), latency_budget=budget)])
        with pytest.raises(Unfit, match="latency-budget") if unfit else nullcontext():
            await world.board.judge(HARBOUR, verified("1").digest)


async def test_a_release_whose_frames_take_longer_than_its_budget_is_not_confirmed(
    still: World, clock: FakeClock
) -> None:
    still.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [replace(wish(), latency_budget=0.02)])
    await still.install("1")
    digest = await still.install("2")
    still.board.slow_down(0.1)  # which is asked for, and no fault of the release
    for seconds in (0.001, 0.03):
        still.engines[1].takes(seconds)
        confirming = asyncio.create_task(still.board.confirm(HARBOUR, digest, 10.0))
        for _ in range(4):
            still.captures.announce(TAP, clock.monotonic())
            await clock.advance(1.0)
        await clock.advance(7.0)
        assert confirming.done()
        if seconds < 0.02:
            assert confirming.result() is True
    assert isinstance(confirming.exception(), Unfit)


async def test_a_candidate_that_does_not_load_leaves_what_answers_untouched(world: World) -> None:
    first = await world.install("1")
    with pytest.raises(Rejected):
        await world.board.warm(HARBOUR, verified("2"), FP32, VerifiedBytes(b"no model"))
    assert [done.release for done in await world.frames(1)] == [first]


async def test_a_slow_box_sends_frames_up_and_counts_them_so(world: World) -> None:
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(offload=True)])
    await world.install("1")
    cloud = Cloud()
    world.board.offer_cloud(cloud)
    world.board.slow_down(0.4)
    await world.frames(1)
    ended = await world.frames(2)
    assert {(done.outcome, done.where) for done in ended} == {(Outcome.OK_CLOUD, "cloud-1")}
    assert cloud.asked[0].name == "harbour"


def labels(ended: list[Finished]) -> list[set[str]]:
    return [{box.label for box in done.boxes} for done in ended]


async def test_classes_are_asked_for_from_the_next_frame_on_by_the_same_engine(world: World) -> None:
    camera = CameraWish(CAMERA, "synthetic://harbour", 10.0)
    world.board.plan([camera], [wish(min_score=0.0)])  # the pictures are black
    await world.install("1")
    (everything,) = labels(await world.frames(1))
    assert len(everything) > 1
    wanted = min(everything)
    world.board.plan([camera], [wish(classes=frozenset({wanted}), min_score=0.0)])
    assert labels(await world.frames(1)) == [{wanted}]
    world.board.plan([camera], [wish(classes=frozenset({"submarine"}), min_score=0.0)])
    assert labels(await world.frames(1)) == [set()]
    world.board.plan([camera], [wish(min_score=0.0)])
    assert labels(await world.frames(1)) == [everything]
    assert len(world.engines) == 1


@pytest.mark.parametrize(("wanted", "found"), [({"boat"}, {"boat"}), ({"truck"}, set())])
async def test_what_a_cloud_node_finds_is_chosen_by_class_too(
    still: World, clock: FakeClock, wanted: set[str], found: set[str]
) -> None:
    chosen = wish(offload=True, classes=frozenset(wanted))
    still.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [chosen])
    await still.install("1")
    still.board.offer_cloud(Cloud())
    still.board.lanes()[HARBOUR].here.ready = False  # the box would be too slow
    still.captures.announce(TAP, clock.monotonic())
    await settle()
    assert [done.outcome for done in still.finished] == [Outcome.OK_CLOUD]
    assert labels(still.finished) == [found]


async def test_a_board_says_on_which_rung_each_deployment_stands(still: World, clock: FakeClock) -> None:
    still.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(offload=True)])
    await still.install("1")
    assert still.board.look(clock.monotonic())
    assert not still.board.look(clock.monotonic()), "as before"
    told = still.board.standings(clock.monotonic())[HARBOUR]
    assert (told.rung, told.rung_why) == ("cpu", "It runs on cpu, as was asked for.")
    await still.engines[-1].close()
    still.board.offer_cloud(Cloud())
    assert still.board.look(clock.monotonic())
    assert still.board.standings(clock.monotonic())[HARBOUR].rung == "cloud"


async def kept_and_decided_to_go_up(still: World, clock: FakeClock, stays: CameraName) -> tuple[int, bool]:
    """How often the cloud was asked, and whether it answered, where the lane goes by the terms of before: as when it
    errs, or they change while a picture is encoded.
    """
    still.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(offload=True)])
    await still.install("1")
    cloud = Cloud()
    still.board.offer_cloud(cloud)
    lane = still.board.lanes()[HARBOUR]
    lane.here.ready = False  # the box would be too slow
    lane.agree = lambda terms: None  # type: ignore[method-assign]  # it does not listen
    kept = wish(offload=True, terms=Terms(stays=frozenset({stays})))
    still.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [kept])
    still.captures.announce(TAP, clock.monotonic())
    await settle()
    clock.tick(1)
    await settle()
    assert (len(still.captures.views), still.captures.outstanding) == (1, 0)
    return len(cloud.asked), still.finished[-1].outcome is Outcome.OK_CLOUD


async def test_a_camera_that_stays_is_never_sent_up_whatever_was_decided(still: World, clock: FakeClock) -> None:
    assert await kept_and_decided_to_go_up(still, clock, CAMERA) == (0, False)


async def test_a_camera_beside_one_that_stays_is_sent_up(still: World, clock: FakeClock) -> None:
    assert await kept_and_decided_to_go_up(still, clock, CameraName("berth")) == (1, True)


async def sent_up(still: World, clock: FakeClock, region: Region) -> Finished:
    """A frame of which the lane decided to send that part up."""
    still.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(offload=True)])
    await still.install("1")
    still.board.offer_cloud(Cloud())
    lane = still.board.lanes()[HARBOUR]
    lane.here.ready = False  # the box would be too slow
    decide = lane.arrive

    def arrive(frame: Frame, now: float) -> list[Action]:
        return [
            structs.replace(each, region=region) if isinstance(each, SendUp) else each for each in decide(frame, now)
        ]

    lane.arrive = arrive  # type: ignore[method-assign]  # another decision
    still.captures.announce(TAP, clock.monotonic())
    await settle()
    clock.tick(1)
    await settle()
    (done,) = still.finished
    return done


async def test_boxes_that_a_cloud_node_finds_in_a_region_are_told_where_they_are_in_the_picture(
    still: World, clock: FakeClock
) -> None:
    """Of what was cut, which is a little more than what was asked for: whole cells of pixels."""
    done = await sent_up(still, clock, Region(0.5, 0.0, 1.0, 0.5))
    (view,), (found,) = still.captures.views, done.boxes
    assert (done.outcome, view.region) == (Outcome.OK_CLOUD, Region(0.5, 0.0, 1.0, 0.5))
    assert (found.x0, found.y0, found.x1, found.y1) == pytest.approx((0.55, 0.05, 0.6, 0.1))


async def test_a_region_of_nothing_is_no_reason_to_lose_a_slot(still: World, clock: FakeClock) -> None:
    done = await sent_up(still, clock, Region(0.5, 0.5, 0.5, 0.5))
    assert done.outcome not in IN_TIME
    assert (still.captures.views, still.captures.outstanding) == ([], 0)


async def test_a_frame_in_the_cloud_holds_no_slot(still: World, clock: FakeClock) -> None:
    still.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(offload=True)])
    await still.install("1")
    cloud = Cloud()
    cloud.silent = asyncio.Event()
    still.board.offer_cloud(cloud)
    still.board.lanes()[HARBOUR].here.ready = False  # the box would be too slow
    still.captures.announce(TAP, clock.monotonic())
    await settle()
    assert (len(cloud.asked), still.captures.outstanding, still.finished) == (1, 0, [])
    cloud.silent.set()
    await settle()
    assert [done.outcome for done in still.finished] == [Outcome.OK_CLOUD]


async def test_a_cloud_that_fails_is_an_end_of_the_frame_not_of_the_box(world: World) -> None:
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(offload=True)])
    await world.install("1")
    world.board.offer_cloud(Cloud(Retryable("gone")))
    world.board.slow_down(0.4)
    ended = await world.frames(4)
    assert len(ended) == 4
    world.board.slow_down(0.0)


async def test_a_bug_costs_its_frame_and_not_the_lane(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.install("1")
    with monkeypatch.context() as broken:
        broken.setattr(FakeEngine, "detect_slots", failing)
        assert [frame.outcome for frame in await world.frames(1)] == [Outcome.ERROR]
    assert [frame.outcome for frame in await world.frames(2)] == [Outcome.OK_LOCAL] * 2


async def failing(*_: object) -> None:
    raise ValueError("a bug")


async def test_a_deployment_that_leaves_takes_its_taps_and_engines_along(world: World) -> None:
    await world.install("1")
    await world.board.remove(HARBOUR)
    assert world.captures.taps == {}
    assert world.board.askable == []


async def test_a_camera_that_leaves_takes_its_memory_from_the_engines(world: World) -> None:
    await world.install("1")
    (engine,) = world.engines
    assert engine.attached == {TAP}
    world.board.plan([], [wish()])
    await world.board.feed()  # a last frame may still wait: its memory stays until the next look
    await world.board.feed()
    assert engine.attached == set()


async def test_a_frame_of_a_deployment_that_has_left_is_shed(world: World) -> None:
    await world.install("1")
    under_way: list[Captured] = []
    world.captures.deliver = under_way.append
    world.captures.announce(TAP, world.clock.monotonic())
    await world.board.remove(HARBOUR)
    world.board.arrive(under_way[0])
    assert [(done.tap, done.seq, done.outcome) for done in world.finished] == [(TAP, 1, Outcome.SHED)]
    assert world.captures.outstanding == 0


async def test_a_frame_in_which_nothing_moved_is_answered_with_what_the_one_before_was(world: World) -> None:
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(min_score=0.0)])
    await world.install("1")
    (looked_at,) = await world.frames(1)
    world.board.still(world.captures.pass_over(TAP, looked_at.captured + 1.5))
    ended = world.finished[-1]
    assert (ended.seq, ended.outcome, ended.boxes, ended.release) == (2, Outcome.STALE_TRACK, looked_at.boxes, None)
    assert ended.age == pytest.approx(1.5)
    assert looked_at.boxes


async def test_after_a_swap_nothing_of_the_release_before_is_told_and_the_camera_is_looked_at(world: World) -> None:
    await world.install("1")
    await world.frames(1)
    world.board.still(world.captures.pass_over(TAP, world.clock.monotonic()))
    assert world.captures.looked == []
    await world.install("2")
    assert [camera for camera, _ in world.captures.looked] == [CAMERA]
    world.board.still(world.captures.pass_over(TAP, world.clock.monotonic()))
    assert (world.finished[-1].outcome, world.finished[-1].boxes) == (Outcome.SHED, ())


async def test_other_settings_are_another_question_and_the_same_ones_none(world: World) -> None:
    camera = CameraWish(CAMERA, "synthetic://harbour", 10.0)
    await world.install("1")
    await world.frames(1)
    world.board.still(world.captures.pass_over(TAP, world.clock.monotonic()))
    world.board.plan([camera], [wish()])
    assert world.captures.looked == []
    world.board.plan([camera], [wish(min_score=0.5)])
    assert [camera for camera, _ in world.captures.looked] == [CAMERA]


async def test_a_look_that_failed_is_made_up_for_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.install("1")
    await world.frames(1)
    world.board.still(world.captures.pass_over(TAP, world.clock.monotonic()))
    with monkeypatch.context() as broken:
        broken.setattr(FakeEngine, "detect_slots", failing)
        await world.frames(3)
    (asked,) = world.captures.looked  # and not once for each frame
    assert asked[1] == pytest.approx(world.clock.monotonic() + LOOK_SECONDS, abs=LOOK_SECONDS / 2)


async def test_a_frame_passed_over_for_a_deployment_that_has_left_is_shed(world: World) -> None:
    await world.install("1")
    frame = world.captures.pass_over(TAP, world.clock.monotonic())
    await world.board.remove(HARBOUR)
    world.board.still(frame)
    assert [(done.tap, done.seq, done.outcome) for done in world.finished] == [(TAP, 1, Outcome.SHED)]


async def test_what_stands_in_a_mask_is_not_told_wherever_it_was_found(world: World) -> None:
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(min_score=0.0)])
    await world.install("1")
    everything = (await world.frames(1))[0].boxes
    hidden = everything[0]
    x, y = (hidden.x0 + hidden.x1) / 2, hidden.y1
    around = ((x - 0.01, y - 0.01), (x + 0.01, y - 0.01), (x + 0.01, y + 0.01), (x - 0.01, y + 0.01))
    masked = CameraWish(CAMERA, "synthetic://harbour", 10.0, masks=(Zone("hatch", around),))
    world.board.plan([masked], [wish(min_score=0.0)])
    told = (await world.frames(1))[0].boxes
    assert told == tuple(box for box in everything if not standing(box, masked.masks))
    assert hidden not in told


async def test_a_tap_without_memory_is_fed_as_soon_as_there_is_some(still: World, clock: FakeClock) -> None:
    still.captures.short_of_memory = True
    await still.install("1")
    assert still.engines[0].attached == set()
    still.captures.short_of_memory = False
    await clock.advance(5.0)
    assert still.engines[0].attached == {TAP}


def test_a_cameras_credentials_are_not_in_its_wish() -> None:
    assert "s3cr3t" not in repr(CameraWish(CAMERA, "rtsp://admin:s3cr3t@host/", 10.0))


async def test_a_release_that_another_provider_runs_than_was_asked_for_is_a_problem_of_the_box() -> None:
    world = World()
    await world.install("1")
    assert world.board.problems() == []
    world.engines[-1].warmed = Warmed(declined="OpenVINO in bf16 is off")
    assert [(each.code, each.message) for each in world.board.problems()] == [
        ("provider", "harbour: OpenVINO in bf16 is off")
    ]
    await world.board.close()


async def test_an_int8_variant_is_run_by_the_runtime_that_it_passed_its_gate_with() -> None:
    for provider, int8 in (("openvino-bf16", "cpu"), ("cpu", "cpu"), ("cuda", "cuda")):
        world = World(provider=provider)
        for variant, expected in ((FP32, provider), (replace(FP32, precision="int8"), int8)):
            await world.board.warm(HARBOUR, verified("1"), variant, VerifiedBytes(SMALL.spec.model))
            assert world.engines[-1].started[-1].provider == expected
        await world.board.close()
