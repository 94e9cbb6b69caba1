"""A candidate in the shadow of the release that answers: it sees some frames, and no frame notices."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from agent.pipeline import run
from agent.pipeline.shadow import Shadow
from agent.workers.memory import SharedSlots
from protos.outcomes import Outcome
from tests.sim.engine import FakeEngine
from tests.sim.line import LARGE, SMALL, Line, tap
from tests.sim.models import Sample
from tests.sim.waiting import until


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    await line.close()


async def shadowed(line: Line, share: float = 1.0, sample: Sample = SMALL) -> tuple[FakeEngine, FakeEngine, Shadow]:
    """What answers, its shadow's engine, and the shadow."""
    active = await line.release()
    await line.slots.attach(active)
    engine = FakeEngine([SMALL, LARGE], line.clock)
    await engine.start(sample.spec)
    await line.slots.attach(engine)
    shadow = line.runner.shadow = Shadow(engine, sample.spec.input, share)
    return active, engine, shadow


async def one(line: Line, camera: int) -> Outcome:
    """A frame of this camera alone; how it ended, once its slot is free."""
    before = line.slots.released[tap(camera)]
    line.due(camera)
    await until(lambda: line.slots.released[tap(camera)] > before)
    return line.finished[tap(camera)].outcome


@pytest.mark.parametrize(("share", "seen"), [(1.0, 20), (0.5, 10), (0.1, 2)])
async def test_it_sees_its_share_of_the_frames_and_what_it_says_is_compared(
    line: Line, share: float, seen: int
) -> None:
    active, engine, shadow = await shadowed(line, share)
    assert {await one(line, number % 8) for number in range(20)} == {Outcome.OK_LOCAL}
    assert (len(active.calls), len(engine.calls)) == (20, seen)
    assert (shadow.tally.agreed, shadow.tally.differed, shadow.tally.failed) == (seen, 0, 0)
    assert shadow.tally.active_seconds == pytest.approx(0.005 * seen)
    assert sum(line.slots.released.values()) == 20, "each slot once"


async def test_what_it_says_is_seen_by_nobody(line: Line) -> None:
    """It sees nothing at all, as its picture is dark; the boxes of the release that answers stay."""
    _, engine, shadow = await shadowed(line)
    await one(line, 7)
    boxes = line.finished[tap(7)].boxes
    with contextlib.closing(SharedSlots.create(1, line.slots.input.nbytes)) as dark:
        await engine.attach(tap(7), dark.fd, 1, line.slots.input)
        await one(line, 7)
    assert line.finished[tap(7)].boxes == boxes != ()
    assert (shadow.tally.agreed, shadow.tally.differed) == (1, 1)


async def test_while_frames_wait_or_run_it_sees_none(line: Line) -> None:
    """Eight cameras at once: one call of one frame, one of seven; only when these are done is there time for it."""
    _, engine, shadow = await shadowed(line)
    looked: list[bool] = []
    detect = engine.detect_slots

    async def watched(*words: object) -> object:
        looked.append(line.runner.lane.calm)
        return await detect(*words)  # type: ignore[arg-type]  # as they came

    engine.detect_slots = watched  # type: ignore[method-assign, assignment]  # to see when it is asked
    for camera in range(8):
        line.due(camera)
    await until(lambda: len(line.finished) == 8 and sum(line.slots.released.values()) == 8)
    assert looked == [True]
    assert shadow.tally.answered == 1


async def test_one_that_hangs_keeps_no_frame_waiting_and_its_slot_for_a_moment(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LONGEST_LOOK", 0.1)
    _, engine, shadow = await shadowed(line)
    engine.slow_down(30.0)
    line.due(0)
    await until(lambda: engine.busy)
    assert line.finished[tap(0)].outcome is Outcome.OK_LOCAL, "the frame has ended long since"
    assert line.slots.released[tap(0)] == 0
    for camera in range(1, 8):
        assert await one(line, camera) is Outcome.OK_LOCAL
    await until(lambda: line.slots.released[tap(0)] == 1)
    assert shadow.tally.failed >= 1
    assert len(engine.calls) <= 2, "one at a time"


async def test_one_that_dies_costs_no_frame(line: Line) -> None:
    _, engine, shadow = await shadowed(line)
    engine.slow_down(30.0)
    line.due(0)
    await until(lambda: engine.busy)
    engine.crash()
    engine.slow_down(0.0)
    await until(lambda: line.slots.released[tap(0)] == 1)
    assert await one(line, 1) is Outcome.OK_LOCAL
    assert (shadow.tally.failed, shadow.tally.agreed) == (1, 1)
    assert {done.outcome for done in line.finished.values()} == {Outcome.OK_LOCAL}


async def test_frames_fitted_for_another_size_are_not_shown_to_it(line: Line) -> None:
    _, engine, _ = await shadowed(line, sample=LARGE)
    assert await one(line, 0) is Outcome.OK_LOCAL
    assert engine.calls == []


async def test_another_release_that_answers_is_another_comparison(line: Line) -> None:
    _, _, shadow = await shadowed(line)
    await one(line, 0)
    assert shadow.tally.agreed == 1
    again = await line.release()
    assert shadow.tally.answered == 0
    await line.slots.attach(again)
    await one(line, 0)
    assert shadow.tally.agreed == 1


async def test_when_the_line_ends_every_slot_is_given_back(line: Line) -> None:
    _, engine, _ = await shadowed(line)
    engine.slow_down(30.0)
    line.due(0)
    await until(lambda: engine.busy)
    await line.runner.close()
    assert line.slots.released[tap(0)] == 1
