"""Frames of several cameras in one call: each gets what it would have got alone, and none pays for another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from agent.offload.breaker import Breaker
from agent.offload.budget import UplinkBudget
from agent.offload.cost import CostLine
from agent.pipeline.lane import Lane
from agent.pipeline.run import ActiveRelease, LaneRunner, LaneSettings
from agent.ports import CloudModel
from agent.types import Finished, Frame, Geometry, ModelInput, Tap
from agent.workers.memory import SharedSlots
from protos.ids import CameraName, DeploymentName
from protos.outcomes import Outcome
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.models import Sample, detector

SMALL, LARGE = detector(), detector(64, 64)
PLAIN = Geometry(64, 32, 1.0, 1.0, 0, 0)


def tap(camera: int) -> Tap:
    return Tap(CameraName(f"camera-{camera}"), DeploymentName("harbour"))


class Slots:
    """agent.pipeline.run.Pixels of cameras with one slot each; the more to the right, the brighter."""

    def __init__(self, cameras: int, sample: Sample) -> None:
        assert sample.spec.input
        self.input: ModelInput = sample.spec.input
        self.memory = [SharedSlots.create(1, self.input.nbytes) for _ in range(cameras)]
        for camera, memory in enumerate(self.memory):
            memory.view(0)[:] = bytes([255 * (camera + 1) // cameras]) * self.input.nbytes

    async def attach(self, engine: FakeEngine) -> None:
        for camera, memory in enumerate(self.memory):
            await engine.attach(tap(camera), memory.fd, 1, self.input)

    def release(self, tap: Tap, slot: int) -> None: ...

    async def encode(self, tap: Tap, slot: int, max_side: int, quality: int) -> bytes:
        raise AssertionError("nothing goes up here")


class Line:
    """A deployment's lane whose engine takes up to eight frames a call, 5 ms each call."""

    def __init__(self, cameras: int = 8) -> None:
        self.clock = RealClock()
        self.finished: dict[Tap, Finished] = {}
        self.slots = Slots(cameras, SMALL)
        lane = Lane(CostLine(((1, 0.005),)), Breaker(), UplinkBudget(0.0))
        settings = LaneSettings(5.0, 0.1, 80, offload=False)
        self.runner = LaneRunner(lane, settings, self.clock, self.slots, self._ended)

    def _ended(self, done: Finished) -> None:
        self.finished[done.tap] = done

    async def release(self, sample: Sample = SMALL) -> FakeEngine:
        engine = FakeEngine([SMALL, LARGE], self.clock, call_seconds=0.005, most=8)
        await engine.start(sample.spec)
        spec = sample.spec
        self.runner.use(ActiveRelease(spec.digest, engine, CloudModel("harbour", "1", spec.labels), spec.input))
        return engine

    def due(self, camera: int, wanted: ModelInput | None = None) -> None:
        now = self.clock.monotonic()
        self.runner.arrive(Frame(tap(camera), 1, 0, now, 0, now + 5.0, PLAIN, input=wanted or SMALL.spec.input))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - what is waited for is the code under test
                await asyncio.sleep(0.001)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    await line.runner.close()
    for memory in line.slots.memory:
        memory.close()


async def test_each_frame_of_a_shared_call_has_the_boxes_that_it_has_alone(line: Line) -> None:
    engine = await line.release()
    await line.slots.attach(engine)
    for camera in range(8):
        line.due(camera)
    await line.until(lambda: len(line.finished) == 8)
    assert engine.calls == [1, 7]
    shared = [line.finished[tap(camera)].boxes for camera in range(8)]
    alone = [(await engine.detect_slot(tap(camera), 0, PLAIN, 0.1)).boxes for camera in range(8)]
    assert shared == alone
    assert len({boxes[0].score for boxes in shared}) == 8


async def test_a_frame_that_is_refused_costs_none_of_those_beside_it(line: Line) -> None:
    engine = await line.release()
    await line.slots.attach(engine)
    await engine.detach(tap(3))
    for camera in range(8):
        line.due(camera)
    await line.until(lambda: len(line.finished) == 8)
    outcomes = {camera: line.finished[tap(camera)].outcome for camera in range(8)}
    assert outcomes == {camera: Outcome.ERROR if camera == 3 else Outcome.OK_LOCAL for camera in range(8)}
    assert line.runner.active
    health = line.runner.active.health
    assert (health.asked, health.ended, health.answered) == (8, 8, 7)


async def test_a_worker_that_dies_costs_the_frames_of_its_call_and_the_next_are_answered(line: Line) -> None:
    engine = await line.release()
    await line.slots.attach(engine)
    engine.slow_down(10.0)
    line.due(0)
    await line.until(lambda: engine.busy)
    for camera in range(1, 8):
        line.due(camera)
    engine.slow_down(0.0)
    engine.crash()
    await line.until(lambda: len(line.finished) == 8)
    assert engine.calls == [1, 7]
    assert [line.finished[tap(camera)].outcome for camera in (0, 1, 7)] == [
        Outcome.ERROR,
        Outcome.OK_LOCAL,
        Outcome.OK_LOCAL,
    ]


async def test_frames_that_a_swap_has_parted_are_each_asked_of_the_release_they_were_fitted_to(line: Line) -> None:
    small = await line.release(SMALL)
    await line.slots.attach(small)
    line.due(0)
    line.due(1)
    large = await line.release(LARGE)
    others = Slots(3, LARGE)
    await others.attach(large)
    line.due(2, LARGE.spec.input)
    await line.until(lambda: len(line.finished) == 3)
    releases = [line.finished[tap(camera)].release for camera in range(3)]
    assert releases == [SMALL.spec.digest, SMALL.spec.digest, LARGE.spec.digest]
    assert (small.calls, large.calls) == ([1, 1], [1])
    for memory in others.memory:
        memory.close()
