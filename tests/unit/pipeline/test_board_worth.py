"""A lane decides by what the manifest of the release that answers tells, from the swap on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agent.offload.profile import PRIOR
from agent.pipeline.board import CameraWish
from agent.types import View
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.ids import digest_of
from protos.judged import Judged, JudgedJpeg, JudgedVariant
from protos.manifest import Variant
from tests.sim.board import CAMERA, HARBOUR, SMALL, TAP, World, wish
from tests.sim.clock import FakeClock, settle
from tests.sim.verified import FP32, verified
from tests.unit.pipeline.test_board import Cloud

CURVE = ((0.1, 0.0), (0.9, 0.97))
INT8 = Variant("int8", "int8", "model-int8.onnx")
TOLD = Judged(
    "mAP50",
    512,
    20716,
    (JudgedVariant("fp32", 0.92, 0.81, CURVE), JudgedVariant("int8", 0.91, 0.70, CURVE)),
    (JudgedJpeg(42, 48, 3000, 0.9, 0.80),),
)


def judged(version: str) -> VerifiedRelease:
    made = verified(version)
    return replace(made, manifest=replace(made.manifest, variants=(FP32, INT8), judged=TOLD))


async def swapped(world: World, release: VerifiedRelease, variant: Variant = FP32) -> None:
    await world.board.warm(HARBOUR, release, variant, VerifiedBytes(SMALL.spec.model))
    await world.board.swap(HARBOUR, release.digest)


@pytest.fixture
async def world(clock: FakeClock) -> AsyncIterator[World]:
    world = World(clock)
    world.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish(offload=True)])
    yield world
    await world.board.close()
    world.captures.close()


async def test_a_lane_weighs_what_the_manifest_tells_of_the_variant_that_runs(world: World) -> None:
    await swapped(world, judged("1"), INT8)
    profile = world.board.lanes()[HARBOUR].profile
    assert (profile.measured, profile.sizes[0].metric, profile.cloud) == (True, 0.70, 0.81)


async def test_a_release_from_before_evaluations_is_run_with_careful_priors(world: World) -> None:
    await swapped(world, judged("1"))
    await world.install("2")
    assert world.board.lanes()[HARBOUR].profile is PRIOR


async def test_the_release_before_is_weighed_again_when_it_answers_again(world: World) -> None:
    await swapped(world, judged("1"))
    await world.install("2")
    await world.board.abandon(HARBOUR, digest_of(b"2"))
    assert world.board.lanes()[HARBOUR].profile.measured


async def test_a_picture_goes_up_in_the_quality_and_size_that_the_manifest_tells(
    world: World, clock: FakeClock
) -> None:
    await swapped(world, judged("1"))
    world.board.offer_cloud(Cloud())
    world.board.lanes()[HARBOUR].here.ready = False  # the box would be too slow
    world.captures.announce(TAP, clock.monotonic())
    await settle()
    assert world.captures.views == [View(48, 42)]


async def test_a_picture_of_a_release_that_tells_nothing_goes_up_as_the_deployment_asks(
    world: World, clock: FakeClock
) -> None:
    await world.install("1")
    world.board.offer_cloud(Cloud())
    world.board.lanes()[HARBOUR].here.ready = False
    world.captures.announce(TAP, clock.monotonic())
    await settle()
    assert world.captures.views == [View(64, 80)]
