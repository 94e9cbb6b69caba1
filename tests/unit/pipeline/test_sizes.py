"""A release of several sizes on a box: each frame in the largest that there is time for, and all are one release."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agent.errors import Unfit
from agent.offload.profile import PRIOR, SizeProfile
from agent.pipeline.board import CameraWish
from agent.pipeline.worth import profile
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.judged import Judged, JudgedVariant
from protos.manifest import Variant
from protos.outcomes import Outcome
from tests.sim.board import CAMERA, HARBOUR, TAP, World, wish
from tests.sim.clock import FakeClock, settle
from tests.sim.engine import FakeEngine
from tests.sim.models import detector
from tests.sim.verified import FP32, verified

FULL, SMALL = detector(), detector(rounds=1)  # of the same input and classes
SECONDS = {FULL.spec.model: 0.090, SMALL.spec.model: 0.030}
CALM, BUSY = 0.1, 0.034  # seconds between frames
LIGHT = Variant("small", "fp32", "model-small.onnx", size="small")
TOLD = Judged("mAP50", 512, 20716, (JudgedVariant("fp32", 0.92, 0.81), JudgedVariant("small", 0.8, 0.62)))


class Sized(World):
    """Engines take as long as the size that they are started with."""

    def engine(self, name: str) -> FakeEngine:
        seconds = SECONDS[(SMALL if name.endswith(" small") else FULL).spec.model]
        self.engines.append(FakeEngine([FULL, SMALL], self.clock, seconds=seconds))
        return self.engines[-1]

    @property
    def named(self) -> dict[str, FakeEngine]:
        """Of what was loaded last."""
        return dict(zip(("full", "small"), self.engines[-2:], strict=True))

    async def load(self, version: str, judged: Judged | None = TOLD) -> VerifiedRelease:
        made = verified(version, FULL)
        release = replace(made, manifest=replace(made.manifest, variants=(FP32, LIGHT), judged=judged))
        await self.board.warm(HARBOUR, release, FP32, VerifiedBytes(FULL.spec.model))
        await self.board.warm(HARBOUR, release, LIGHT, VerifiedBytes(SMALL.spec.model))
        return release

    async def answers(self, version: str) -> VerifiedRelease:
        release = await self.load(version)
        await self.board.swap(HARBOUR, release.digest)
        return release

    def chosen(self) -> list[str]:
        """Sizes of the frames, as they are explained."""
        return [account.size for account in self.board.lanes()[HARBOUR].accounts]


@pytest.fixture
async def world(clock: FakeClock) -> AsyncIterator[Sized]:
    world = Sized(clock)
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish()])
    await world.board.feed()
    yield world
    await world.board.close()
    world.captures.close()


async def come(world: Sized, clock: FakeClock, count: int, interval: float) -> list[str]:
    """So many frames, so many seconds apart; the sizes of those that were answered."""
    before = len(world.board.lanes()[HARBOUR].accounts)
    for _ in range(count):
        world.captures.announce(TAP, clock.monotonic())
        await settle()
        await clock.advance(interval)
    await clock.advance(1.0)
    return [size for size in world.chosen()[before:] if size]


async def test_frames_run_in_the_full_size_at_rest_and_in_the_small_one_under_load(
    world: Sized, clock: FakeClock
) -> None:
    await world.answers("1")
    assert set(await come(world, clock, 5, CALM)) == {"full"}
    assert (len(world.named["full"].calls), world.named["small"].calls) == (5, [])
    loaded = await come(world, clock, 40, BUSY)
    assert loaded.count("small") > len(loaded) / 2
    assert len(world.named["small"].calls) == loaded.count("small")
    assert (await come(world, clock, 10, CALM))[-5:] == ["full"] * 5


async def test_a_camera_that_has_become_many_times_slower_is_answered_in_the_full_size_again(
    world: Sized, clock: FakeClock
) -> None:
    await world.answers("1")
    await come(world, clock, 30, BUSY)
    assert (await come(world, clock, 10, 20 * BUSY))[-5:] == ["full"] * 5


async def test_a_frame_is_explained_by_the_size_it_ran_in_and_why_in_no_larger(world: Sized, clock: FakeClock) -> None:
    await world.answers("1")
    await come(world, clock, 30, BUSY)
    made = [world.board.accounts[HARBOUR].of(CAMERA, seq) for seq in range(1, 31)]
    assert {each.why_size for each in made if each and each.size == "small"} == {"no time for what comes"}
    standing = world.board.standings(clock.monotonic() - 1.0)[HARBOUR]
    assert standing.routes.small > 0


async def test_while_the_worker_of_one_size_is_away_the_other_answers_and_is_told(
    world: Sized, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.answers("1")
    full = world.board.lanes()[HARBOUR].here.sizes["full"]
    known = full.expected(), full.last_at
    monkeypatch.setattr(FakeEngine, "ready", property(lambda engine: engine is world.named["small"]))
    assert set(await come(world, clock, 5, CALM)) == {"small"}
    assert world.named["full"].calls == []
    assert {each.why_size for each in world.board.lanes()[HARBOUR].accounts} == {"its worker is not there"}
    assert {done.outcome for done in world.finished} == {Outcome.OK_LOCAL}
    assert (full.expected(), full.last_at) == known, "what the small size takes says nothing of the full one"


async def test_a_release_is_swapped_rolled_back_and_closed_with_all_its_sizes(world: Sized, clock: FakeClock) -> None:
    await world.answers("1")
    first = world.named
    second = await world.answers("2")
    await come(world, clock, 3, CALM)
    assert (first["full"].calls, len(world.named["full"].calls)) == ([], 3)
    fallen = world.named
    await world.board.abandon(HARBOUR, second.digest)
    await come(world, clock, 3, CALM)
    assert len(first["full"].calls) == 3
    assert not any(engine.ready for engine in fallen.values())
    assert all(engine.attached == {TAP} for engine in first.values())
    await world.board.remove(HARBOUR)
    assert not any(engine.ready for engine in first.values())


async def test_a_size_that_is_too_slow_for_the_budget_is_left_out_and_the_other_answers(
    world: Sized, clock: FakeClock
) -> None:
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [replace(wish(), latency_budget=0.05)])
    release = await world.load("1")
    left_out = await world.board.judge(HARBOUR, release.digest)
    assert set(left_out) == {"full"}
    assert "latency-budget" in left_out["full"]
    assert not world.named["full"].ready
    await world.board.swap(HARBOUR, release.digest)
    assert set(await come(world, clock, 3, CALM)) == {"small"}
    assert world.board.answering[HARBOUR].engine is world.named["small"]


async def test_a_release_none_of_whose_sizes_is_fit_must_not_answer(world: Sized) -> None:
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [replace(wish(), latency_budget=0.001)])
    release = await world.load("1")
    with pytest.raises(Unfit, match="90 ms"):
        await world.board.judge(HARBOUR, release.digest)


async def test_a_worker_of_any_size_that_keeps_falling_takes_its_release_back(world: Sized, clock: FakeClock) -> None:
    await world.answers("1")
    second = await world.answers("2")
    for _ in range(3):
        world.named["small"].crash()
    watching = asyncio.create_task(world.board.confirm(HARBOUR, second.digest, 1.0))
    await clock.advance(1.5)
    assert await watching is False


async def test_a_short_model_keeps_the_full_one_from_no_core(world: Sized) -> None:
    release = await world.load("1")
    world.named["full"].width, world.named["small"].width = 2, 1
    await world.board.swap(HARBOUR, release.digest)
    assert world.board.lanes()[HARBOUR].here.width == 2


async def test_callers_other_than_cameras_ask_the_full_size(world: Sized) -> None:
    await world.answers("1")
    assert [loaded.engine for loaded in world.board.askable] == [world.named["full"]]


async def test_a_full_size_that_is_warmed_again_begins_its_release_anew(world: Sized) -> None:
    await world.load("1")
    before = world.named
    await world.load("1")
    assert not any(engine.ready for engine in before.values())
    assert all(engine.ready for engine in world.named.values())


def test_each_size_is_worth_what_its_variant_was_measured_to_be() -> None:
    found = profile(TOLD, "fp32", {"small": "small", "full": "fp32"})
    assert found.sizes == (SizeProfile("small", 0.62), SizeProfile("full", 0.81))
    assert (found.measured, found.cloud) == (True, 0.81)


@pytest.mark.parametrize("told", [None, Judged("mAP50", 1, 1, (JudgedVariant("fp32", 0.9, 0.8),))])
def test_sizes_that_nobody_measured_are_thought_better_the_more_they_cost(told: Judged | None) -> None:
    found = profile(told, "fp32", {"tiny": "t", "small": "s", "full": "fp32"})
    assert not found.measured
    assert [size.name for size in found.sizes] == ["tiny", "small", "full"]
    assert sorted(size.metric for size in found.sizes) == [size.metric for size in found.sizes]
    assert found.sizes[-1].metric == PRIOR.sizes[0].metric


def test_a_full_size_that_nobody_measured_is_thought_the_best_even_where_it_costs_least() -> None:
    found = profile(None, "fp32", {"full": "fp32", "tiny": "t", "small": "s"})
    assert [size.name for size in found.sizes] == ["full", "tiny", "small"]
    assert found.metric("full") > found.metric("small") > found.metric("tiny")
