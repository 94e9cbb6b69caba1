"""Real cameras into real lanes: what was due by the clock is what ended, whatever happens to camera and deployment."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from agent.cameras.capture import Captured, Captures
from agent.cameras.captured import PassedOver
from agent.cameras.stats import CameraStats
from agent.config import AgentConfig
from agent.pipeline.board import Board, CameraWish, DeploymentWish
from agent.pipeline.run import LaneSettings
from agent.types import CameraState, Finished, Tap, Zone
from agent.update.verify import VerifiedBytes
from protos.ids import CameraName, DeploymentName, ModelName, Version
from protos.outcomes import Outcome
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.models import Sample, detector
from tests.sim.verified import verified

HARBOUR, QUAY = DeploymentName("harbour"), CameraName("quay")
TAP = Tap(QUAY, HARBOUR)
RATE = 60.0
TOO_LARGE = "synthetic://harbour?seed=1&width=2560&height=1440"  # to be drawn sixty times a second
SMALL = "synthetic://harbour?seed=1&width=160&height=96"
EVERYWHERE = (Zone("everywhere", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))),)  # so that nothing moves
SAMPLES = [detector(), detector(64, 64)]


class Box:
    def __init__(self) -> None:
        self.finished: list[Finished] = []
        self.superseded: Counter[Tap] = Counter()
        self.state = CameraState.STARTING
        self.changed = asyncio.Event()
        self.paused_at = 0.0
        clock = RealClock()
        self.captures = Captures(
            clock, self._arrive, self._superseded, self._health, 4, random.Random(1), on_still=self._still
        )
        self.board = Board(
            AgentConfig(), clock, self.captures, lambda _: FakeEngine(SAMPLES, clock, 0.03), self._finished
        )

    async def run(self, source: str, look_every: float = 0.0, masks: tuple[Zone, ...] = ()) -> None:
        settings = LaneSettings(0.25, 0.1, 80, offload=False)
        made = verified("1", SAMPLES[0])
        wish = DeploymentWish(HARBOUR, ModelName("harbour"), Version("1"), made.digest, (QUAY,), settings, 0.0)
        self.board.plan([CameraWish(QUAY, source, RATE, masks=masks, look_every=look_every)], [wish])
        await self.install("1", SAMPLES[0])

    async def install(self, version: str, sample: Sample) -> None:
        made = verified(version, sample)
        await self.board.warm(HARBOUR, made, made.manifest.variants[0], VerifiedBytes(sample.spec.model))
        await self.board.swap(HARBOUR, made.digest)

    async def frames(self, count: int) -> None:
        """Until so many more have ended."""
        wanted = len(self.finished) + count
        await self.until(lambda: len(self.finished) >= wanted)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def rest(self) -> None:
        """No frame is due any more, and all that were have ended."""
        await self.captures.pause(True)
        await self.until(lambda: self.state is CameraState.PAUSED)
        self.paused_at = RealClock().monotonic()
        lane = self.board.lanes()[HARBOUR]
        await self.until(lambda: lane.wake_at is None and not lane.waiting)

    @property
    def passed_over(self) -> int:
        return sum(done.outcome is Outcome.STALE_TRACK for done in self.finished)

    @property
    def due(self) -> range:
        """By the clock: the camera's grid from the first frame to the last, and those that a busy box missed before.

        It may have missed others since the last, up to the pause.
        """
        first, last = (each(self.finished, key=lambda done: done.captured) for each in (min, max))
        count = round((last.captured - first.captured) * RATE) + first.seq
        return range(count, count + int((self.paused_at - last.captured) * RATE) + 1)

    @property
    def ended(self) -> int:
        return len(self.finished) + self.superseded[TAP]

    def _arrive(self, captured: Captured) -> None:
        self.board.arrive(captured)
        self.changed.set()

    def _still(self, frame: PassedOver) -> None:
        self.board.still(frame)
        self.changed.set()

    def _superseded(self, tap: Tap, count: int) -> None:
        self.superseded[tap] += count
        self.changed.set()

    def _health(self, _: CameraName, stats: CameraStats) -> None:
        self.state = stats.state
        self.changed.set()

    def _finished(self, done: Finished) -> None:
        self.finished.append(done)
        self.changed.set()


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    box = Box()
    yield box
    await box.board.close()
    await box.captures.close()


@pytest.mark.parametrize("source", [SMALL, TOO_LARGE])
async def test_what_was_due_by_the_clock_has_ended(source: str, box: Box) -> None:
    await box.run(source)
    await box.frames(12)
    await box.rest()
    assert box.ended in box.due


async def test_with_a_motion_gate_all_that_was_due_has_ended_and_another_release_looks_at_once(box: Box) -> None:
    await box.run(SMALL, look_every=60.0, masks=EVERYWHERE)
    await box.until(lambda: box.passed_over >= 30)
    await box.install("2", SAMPLES[0])
    await box.until(lambda: box.finished[-1].release == verified("2", SAMPLES[0]).digest)
    await box.rest()
    assert box.ended in box.due
    assert box.passed_over < len(box.finished)


async def test_a_swap_to_another_input_size_loses_no_frame(box: Box) -> None:
    await box.run(SMALL)
    await box.frames(10)
    for version, sample in (("2", SAMPLES[1]), ("3", SAMPLES[0]), ("4", SAMPLES[1])):
        await box.install(version, sample)
        await box.frames(5)
    await box.rest()
    assert box.ended in box.due
