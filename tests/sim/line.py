"""A deployment's line in one process: the real LaneRunner, fake engines, cameras with frames in real memory."""

from __future__ import annotations

from collections import Counter

from agent.offload.breaker import Breaker
from agent.offload.cost import CostLine
from agent.offload.terms import Terms
from agent.pipeline.lane import Lane
from agent.pipeline.run import ActiveRelease, LaneRunner, LaneSettings
from agent.ports import CloudModel
from agent.types import Finished, Frame, Geometry, ModelInput, Tap, View
from agent.workers.memory import SharedSlots
from protos.ids import CameraName, DeploymentName
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
        self.released: Counter[Tap] = Counter()
        self.memory = [SharedSlots.create(1, self.input.nbytes) for _ in range(cameras)]
        for camera, memory in enumerate(self.memory):
            memory.view(0)[:] = bytes([255 * (camera + 1) // cameras]) * self.input.nbytes

    def look(self, camera: CameraName, until: float) -> None:
        """Its cameras pass over nothing anyway."""

    async def attach(self, engine: FakeEngine) -> None:
        for camera, memory in enumerate(self.memory):
            await engine.attach(tap(camera), memory.fd, 1, self.input)

    def release(self, tap: Tap, slot: int) -> None:
        self.released[tap] += 1

    def close(self) -> None:
        for memory in self.memory:
            memory.close()

    async def encode(self, tap: Tap, slot: int, view: View) -> bytes:
        raise AssertionError("nothing goes up here")


class Line:
    """A deployment's lane whose engine takes up to eight frames a call, 5 ms each call."""

    def __init__(self, cameras: int = 8) -> None:
        self.clock = RealClock()
        self.finished: dict[Tap, Finished] = {}
        self.slots = Slots(cameras, SMALL)
        lane = Lane({"": CostLine(((1, 0.005),))}, Breaker(), Terms())
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

    async def close(self) -> None:
        await self.runner.close()
        self.slots.close()

    def due(self, camera: int, wanted: ModelInput | None = None) -> None:
        now = self.clock.monotonic()
        self.runner.arrive(Frame(tap(camera), 1, 0, now, 0, now + 5.0, PLAIN, input=wanted or SMALL.spec.input))
