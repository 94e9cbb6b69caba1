"""Synthetic cameras through the agent's own lane, engine and worker, added until their frames come late.

Their pictures lie in shared memory already: capture is measured elsewhere, and a GPU's box would decode on it. A frame
counts from the moment it was due, so that a driver that falls behind makes it late and not rarer.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from agent.adapters.clock import SystemClock
from agent.inference.engine import OnnxEngine
from agent.inference.limits import EngineLimits
from agent.pipeline.run import ActiveRelease, LaneRunner, LaneSettings
from agent.ports import CloudModel, EngineSpec
from agent.types import Finished, Frame, Geometry, Tap, View
from agent.workers.memory import SharedSlots
from bench.gpu.figures import Limit, next_count
from bench.gpu.nvidia import Watch
from protos.ids import CameraName, DeploymentName
from protos.outcomes import IN_TIME
from tests.sim.lane import lane

ON_TIME = 0.99  # of the frames of a try
SLOTS = 4  # of a camera
MOST_STREAMS = 4096
SETTLE_SECONDS = 0.2  # at the start of a try, not counted


@dataclass(frozen=True)
class Plan:
    """`fps` of each stream; `deadline` of its frames and `seconds` of each try, in seconds."""

    fps: float
    deadline: float
    seconds: float
    first: int  # streams to begin with


class Cameras:
    """Who gives frames and takes slots back; a camera whose slots are all out misses its frame."""

    def __init__(self, count: int) -> None:
        self.taps = [Tap(CameraName(f"camera-{number}"), DeploymentName("bench")) for number in range(count)]
        self.free = {tap: list(range(SLOTS)) for tap in self.taps}

    def release(self, tap: Tap, slot: int) -> None:
        self.free[tap].append(slot)

    def look(self, camera: CameraName, until: float) -> None:
        """Every frame is looked at anyway."""

    async def encode(self, tap: Tap, slot: int, view: View) -> bytes:
        raise NotImplementedError  # no cloud is offered


class Box:
    """One engine and a lane per try."""

    def __init__(self, spec: EngineSpec, plan: Plan) -> None:
        assert spec.input is not None
        self._spec, self._plan, self._input = spec, plan, spec.input
        self._engine = OnnxEngine("bench", EngineLimits(waiting=2 * MOST_STREAMS))
        self._pixels = SharedSlots.create(SLOTS, spec.input.nbytes)
        picture = np.random.default_rng(1).integers(0, 255, spec.input.nbytes, np.uint8).tobytes()
        for slot in range(SLOTS):
            self._pixels.view(slot)[:] = picture
        self._geometry = Geometry(spec.input.width, spec.input.height, 1.0, 1.0, 0, 0)
        self._attached = 0

    async def start(self) -> None:
        """Raises what an engine's start does."""
        await self._engine.start(replace(self._spec))

    async def close(self) -> None:
        await self._engine.close()
        self._pixels.close()

    async def limit(self) -> Limit | None:
        """The most streams that came on time; None where not even one does."""
        held: Limit | None = None
        broken: int | None = None
        count: int | None = max(1, self._plan.first)
        while count is not None and count <= MOST_STREAMS:
            tried = await self.tried(count)
            if tried.on_time >= ON_TIME:
                held = tried
            else:
                broken = count
            count = next_count(held.streams if held else 0, broken)
        return held

    async def tried(self, count: int) -> Limit:
        """So many streams for the plan's seconds."""
        cameras, plan = Cameras(count), self._plan
        for tap in cameras.taps[self._attached :]:
            await self._engine.attach(tap, self._pixels.fd, SLOTS, self._input)
        self._attached = max(self._attached, count)
        ended: list[Finished] = []
        settings = LaneSettings(plan.deadline, 0.3, 80, offload=False)
        clock = SystemClock()
        runner = LaneRunner(lane(cloud=False, width=self._engine.width), settings, clock, cameras, ended.append)
        runner.use(ActiveRelease(self._spec.digest, self._engine, CloudModel("bench", "1", ()), self._input))
        begins = clock.monotonic() + 0.05
        with Watch() as watch:
            due = await self._drive(runner, cameras, begins)
        await asyncio.sleep(plan.deadline)
        await runner.close()
        counted = begins + SETTLE_SECONDS
        on_time = Counter(each.outcome in IN_TIME for each in ended if each.captured >= counted)[True]
        return Limit(count, on_time / plan.seconds, on_time / max(1, due), watch.busy)

    async def _drive(self, runner: LaneRunner, cameras: Cameras, begins: float) -> int:
        """Frames that were due and count."""
        clock, plan = SystemClock(), self._plan
        step, ends, due, seq = 1 / plan.fps, begins + SETTLE_SECONDS + plan.seconds, 0, 0
        waiting = [(begins + number * step / len(cameras.taps), tap) for number, tap in enumerate(cameras.taps)]
        heapq.heapify(waiting)
        while waiting[0][0] < ends:
            moment, tap = waiting[0]
            heapq.heapreplace(waiting, (moment + step, tap))
            due += moment >= begins + SETTLE_SECONDS
            await asyncio.sleep(max(0.0, moment - clock.monotonic()))
            if free := cameras.free[tap]:
                seq += 1
                frame = Frame(tap, seq, free.pop(), moment, 0, moment + plan.deadline, self._geometry)
                runner.arrive(frame)
        return due


async def most(spec: EngineSpec, plan: Plan) -> Limit | None:
    """The limit of one engine. Raises what its start does."""
    box = Box(spec, plan)
    try:
        await box.start()
        return await box.limit()
    finally:
        await box.close()
