"""Frames of several cameras in one call: each gets what it would have got alone, and none pays for another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from protos.outcomes import Outcome
from tests.sim.line import LARGE, PLAIN, SMALL, Line, Slots, tap
from tests.sim.waiting import until


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    await line.close()


async def test_each_frame_of_a_shared_call_has_the_boxes_that_it_has_alone(line: Line) -> None:
    engine = await line.release()
    await line.slots.attach(engine)
    for camera in range(8):
        line.due(camera)
    await until(lambda: len(line.finished) == 8)
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
    await until(lambda: len(line.finished) == 8)
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
    await until(lambda: engine.busy)
    for camera in range(1, 8):
        line.due(camera)
    engine.slow_down(0.0)
    engine.crash()
    await until(lambda: len(line.finished) == 8)
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
    await until(lambda: len(line.finished) == 3)
    releases = [line.finished[tap(camera)].release for camera in range(3)]
    assert releases == [SMALL.spec.digest, SMALL.spec.digest, LARGE.spec.digest]
    assert (small.calls, large.calls) == ([1, 1], [1])
    others.close()
