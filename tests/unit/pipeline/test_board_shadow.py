"""A candidate beside what runs on a box: loaded, given frames, closed; and what answers is not touched."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agent.pipeline.board import CameraWish, ShadowWish
from agent.update.verify import VerifiedBytes
from protos.errors import Retryable
from protos.outcomes import Outcome
from tests.sim.board import CAMERA, HARBOUR, LARGE, SMALL, World, wish
from tests.sim.models import Sample
from tests.sim.verified import FP32, verified


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    plan(world, 1.0)
    await world.board.feed()
    yield world
    await world.board.close()
    world.captures.close()


def plan(world: World, share: float | None) -> None:
    shadow = ShadowWish(verified("2").digest, share) if share else None
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(shadow=shadow)])


async def compare(world: World, sample: Sample = SMALL) -> None:
    await world.board.shadow(HARBOUR, verified("2", sample), FP32, VerifiedBytes(sample.spec.model))


async def test_a_shadow_sees_frames_of_every_camera_and_the_release_that_answers_answers(world: World) -> None:
    first = await world.install("1")
    await compare(world)
    ended = await world.frames(5)
    assert [(done.outcome, done.release) for done in ended] == [(Outcome.OK_LOCAL, first)] * 5
    assert world.board.shadows[HARBOUR].tally.agreed == 5
    assert [len(engine.calls) for engine in world.engines] == [5, 5]
    assert [loaded.digest for loaded in world.board.askable] == [first], "callers cannot ask it"


async def test_a_share_takes_effect_without_loading_it_again(world: World) -> None:
    await world.install("1")
    await compare(world)
    plan(world, 0.5)
    await world.frames(8)
    assert world.board.shadows[HARBOUR].tally.agreed == 4
    assert len(world.engines) == 2


async def test_where_nothing_answers_there_is_nothing_to_compare_with_yet(world: World) -> None:
    with pytest.raises(Retryable, match="nothing answers here yet"):
        await compare(world)
    assert world.engines == []


async def test_a_release_that_looks_at_other_pictures_waits_and_says_why(world: World) -> None:
    await world.install("1")
    with pytest.raises(Retryable, match="another size or fit"):
        await compare(world, LARGE)
    await compare(world)
    assert world.board.shadow_trouble(HARBOUR) == ""
    await world.install("3", LARGE)
    assert "another size or fit" in world.board.shadow_trouble(HARBOUR)
    assert {done.outcome for done in await world.frames(2)} == {Outcome.OK_LOCAL}


async def test_a_swap_and_a_shadow_are_not_in_each_others_way(world: World) -> None:
    await world.install("1")
    await compare(world)
    third = await world.install("3")
    assert await world.board.confirm(HARBOUR, third, 0.05)
    assert [done.release for done in await world.frames(2)] == [third] * 2
    assert world.board.shadows[HARBOUR].tally.agreed == 2


async def test_its_end_closes_it_and_so_does_the_end_of_its_deployment(world: World) -> None:
    await world.install("1")
    await compare(world)
    await compare(world)
    await world.board.unshadow(HARBOUR)
    assert world.board.shadows == {}
    assert [engine.ready for engine in world.engines] == [True, False, False]
    await compare(world)
    await world.board.remove(HARBOUR)
    await world.board.unshadow(HARBOUR)
    assert [engine.ready for engine in world.engines] == [False] * 4


async def test_one_that_is_wanted_no_more_when_it_is_loaded_is_closed(world: World) -> None:
    await world.install("1")
    plan(world, None)
    await compare(world)
    assert world.board.shadows == {}
    assert not world.engines[1].ready
