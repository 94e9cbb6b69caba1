"""A whole board that cannot keep up asks its cameras for fewer frames, says so, and asks for all of them again."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agent.cameras.pacer import Pacer
from agent.offload.terms import Terms
from agent.pipeline.board import CameraWish
from agent.types import Tap
from protos.ids import CameraName, DeploymentName
from protos.outcomes import IN_TIME
from tests.sim.board import CAMERA, HARBOUR, TAP, World, wish
from tests.sim.clock import FakeClock, settle

QUAY = CameraWish(CAMERA, "synthetic://harbour", 10.0)
SLOW = 0.2  # seconds of a frame, where its deadline is 0.25


class Paced:
    """A board and a camera that gives what it is asked for."""

    def __init__(self, world: World, clock: FakeClock) -> None:
        self.world, self.clock = world, clock
        self.pacer = Pacer(QUAY.rate)

    async def live(self, seconds: float) -> None:
        for _ in range(round(seconds * QUAY.rate)):
            self.pacer.rate = min(QUAY.rate, self.rate)
            if self.pacer.due(self.clock.monotonic()):
                self.world.captures.announce(TAP, self.clock.monotonic())
            await settle()
            await self.clock.advance(1 / QUAY.rate)
            self.world.board.pace(self.clock.monotonic())
            self.world.board.look(self.clock.monotonic())
            await settle()

    @property
    def rate(self) -> float:
        return self.world.captures.paces.get(TAP, math.inf)

    @property
    def rung(self) -> tuple[str, str]:
        told = self.world.board.standings(self.clock.monotonic())[HARBOUR]
        return told.rung, told.rung_why


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def paced(clock: FakeClock) -> AsyncIterator[Paced]:
    world = World(clock)
    world.board.plan([QUAY], [wish(terms=Terms(floor_rate=2.0))])
    await world.board.feed()
    await world.install("1")
    yield Paced(world, clock)
    await world.board.close()
    world.captures.close()


async def test_a_board_that_cannot_keep_up_lowers_a_camera_says_so_and_raises_it_again(paced: Paced) -> None:
    await paced.live(4)
    assert (paced.rate, paced.rung[0]) == (math.inf, "cpu")
    paced.world.board.slow_down(SLOW)
    await paced.live(40)
    assert 2.0 <= paced.rate <= 5.2
    assert paced.rung == (
        "lower_rate",
        "More frames came than are answered in time, so one camera gives fewer or smaller ones: "
        f"quay {paced.rate:.3g} of 10 a second.",
    )
    before = len(paced.world.finished)
    await paced.live(10)
    ended = paced.world.finished[before:]
    assert len(ended) == pytest.approx(10 * paced.rate, abs=8)
    assert sum(done.outcome in IN_TIME for done in ended) >= 0.9 * len(ended)
    paced.world.board.slow_down(0.0)
    await paced.live(75)
    assert (paced.rate, paced.rung[0]) == (math.inf, "cpu")


async def test_a_camera_is_asked_for_by_each_of_its_deployments_as_that_one_needs(paced: Paced) -> None:
    """The capture workers give what the fastest takes."""
    board, other = paced.world.board, DeploymentName("other")
    board.plan([QUAY], [wish(terms=Terms(floor_rate=2.0)), replace(wish(), name=other)])
    await paced.world.install("2", deployment=other)
    paced.world.engines[0].slow_down(SLOW)
    await paced.live(20)
    assert paced.world.captures.paces[TAP] < 10.0
    assert paced.world.captures.paces[Tap(CAMERA, other)] == math.inf


async def test_only_cameras_that_run_are_asked(paced: Paced) -> None:
    stray = replace(wish(), cameras=(CAMERA, CameraName("nowhere")))
    paced.world.board.plan([QUAY], [stray])
    await paced.live(4)
    assert paced.world.captures.paces == {TAP: math.inf}
