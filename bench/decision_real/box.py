"""The box's process: the agent's lane, its runner, an engine worker and the way up. Its pictures lie there decoded.

    python -m bench.decision_real.box CORES POOL

Says `Opened`, then plays each `Window` that it reads and says `Ended`. The engine worker inherits its cores.

Unlike a box's, its frames come by a timer, and the capture worker's encoder is a thread here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from agent.adapters.clock import SystemClock
from agent.adapters.cloud_grpc import ClientIdentity, GrpcCloud
from agent.cameras import drawing
from agent.cameras.picture import RgbPicture
from agent.inference.engine import OnnxEngine
from agent.offload.profile import Profile
from agent.pipeline.agreement import agree
from agent.pipeline.lane import Lane
from agent.pipeline.run import ActiveRelease, LaneRunner, LaneSettings, Pixels
from agent.ports import CloudAnswer, CloudModel, EngineSpec
from agent.simulation.ourselves import Ourselves
from agent.types import Box, Finished, Frame, Geometry, ModelInput, Tap, View
from agent.workers.memory import SharedSlots
from bench.dataplane import releases
from bench.dataplane.releases import MadeRelease
from bench.decision_real import pool as pools
from bench.decision_real.children import lines
from bench.decision_real.messages import Ask, Ended, Opened, Window
from bench.decision_real.pool import Pool, digest
from protos.errors import Fatal, LongshoreError
from protos.ids import CameraName, DeploymentName

CAMERAS = 16
MIN_SCORE = 0.3
QUALITY, MAX_SIDE = 80, 640
DRAIN_SECONDS = 0.25  # after the last deadline, until all must have ended


class TimedRunner(LaneRunner):
    """Notes how long each call was away: from the lane's decision until the lane has decided on its answer."""

    def __init__(self, lane: Lane, settings: LaneSettings, pixels: Pixels, report: Callable[[Finished], None]) -> None:
        super().__init__(lane, settings, SystemClock(), pixels, report)
        self.calls: list[float] = []

    def _infer(self, jobs: tuple[int, ...], frames: tuple[Frame, ...], size: str) -> Coroutine[Any, Any, None]:
        return self._timed(super()._infer(jobs, frames, size), time.monotonic())

    async def _timed(self, call: Coroutine[Any, Any, None], began: float) -> None:
        await call
        self.calls.append(time.monotonic() - began)


class TimedCloud(GrpcCloud):
    """Notes what became of each call."""

    def __init__(self, port: int) -> None:
        super().__init__("cloud-1", f"grpc://127.0.0.1:{port}", _no_identity)
        self.asks: list[Ask] = []

    async def detect_jpeg(
        self, model: CloudModel, jpeg: bytes, min_score: float, timeout: float, partition: str = "live"
    ) -> CloudAnswer:
        ask = Ask(time.monotonic(), 0.0, len(jpeg), answered=False)
        self.asks.append(ask)
        try:
            found = await super().detect_jpeg(model, jpeg, min_score, timeout, partition)
            ask.answered = True
            return found
        finally:
            ask.seconds = time.monotonic() - ask.at


class Decoded:
    """agent.pipeline.run.Pixels of pictures that lie in memory for good, the same for all cameras."""

    def __init__(self, pool: Pool, wanted: ModelInput) -> None:
        self.input = wanted
        self.pictures = [RgbPicture(picture) for picture in pool.pictures]
        self.memory = SharedSlots.create(len(self.pictures), wanted.nbytes)
        self.geometry = [self._fitted(slot, picture) for slot, picture in enumerate(self.pictures)]
        self.encodes: list[float] = []
        self._thread = ThreadPoolExecutor(1, "encode")

    def _fitted(self, slot: int, picture: RgbPicture) -> Geometry:
        out = np.frombuffer(self.memory.view(slot), np.uint8).reshape(self.input.height, self.input.width, 3)
        return picture.fit(self.input, out)

    def release(self, tap: Tap, slot: int) -> None:
        """Nobody writes there."""

    def look(self, camera: CameraName, until: float) -> None:
        """They pass over nothing anyway."""

    async def encode(self, tap: Tap, slot: int, view: View) -> bytes:  # noqa: ARG002  # the port's
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(self._thread, drawing.encode, self.pictures[slot], view)
        self.encodes.append(time.monotonic() - began)
        return content


class RealBox:
    """See the module."""

    def __init__(self, pool: Pool, release: MadeRelease) -> None:
        self.pool, self.release = pool, release
        self.wanted = releases.pixels_of(release)
        self.pixels = Decoded(pool, self.wanted)
        self.engine = OnnxEngine("engine bench")
        self.taps = [Tap(CameraName(f"camera-{n}"), DeploymentName("bench")) for n in range(CAMERAS)]
        described = release.manifest
        self.model = CloudModel(described.name, described.version, described.labels)

    async def open(self, cores: int) -> Opened:
        """Engine and pictures, and what the one makes of the others."""
        manifest = self.release.manifest
        content = next(each for each in manifest.files if each.role == "model")
        model = (releases.SAMPLE / content.path).read_bytes()
        spec = EngineSpec(self.release.digest, manifest.task, manifest.labels, self.wanted, model, threads=cores)
        await self.engine.start(spec)
        for tap in self.taps:
            await self.engine.attach(tap, self.pixels.memory.fd, self.pixels.memory.slots, self.wanted)
        opened = Opened(os.getpid(), [], [], [], [], self.engine.profile[0][1], self.engine.width)
        for slot, truth in enumerate(self.pool.truths):
            await self._look(slot, truth, opened)
        return opened

    async def _look(self, slot: int, truth: tuple[Box, ...], opened: Opened) -> None:
        found = await self.engine.detect_slot(self.taps[0], slot, self.pixels.geometry[slot], MIN_SCORE)
        jpeg = await self.pixels.encode(self.taps[0], slot, View(MAX_SIDE, QUALITY))
        opened.digests.append(digest(jpeg))
        opened.nbytes.append(len(jpeg))
        opened.scores.append(min((box.score for box in found.boxes), default=0.0))
        opened.right.append(agree(found.boxes, truth))

    async def play(self, window: Window) -> Ended:
        ends: list[Finished] = []
        contender = Ourselves(window.known, window.seed)
        settings = LaneSettings(window.known.deadline, MIN_SCORE, QUALITY, offload=True, terms=contender.lane.terms)
        runner = TimedRunner(contender.lane, settings, self.pixels, ends.append)
        cloud = TimedCloud(window.port)
        self.engine.profile = [(1, window.known.sizes[0].seconds)]
        try:
            await self._acquaint(cloud)
            runner.use(self._release(contender.lane.profile))
            runner.offer_cloud(cloud)
            for noted in (runner.calls, self.pixels.encodes, cloud.asks):
                noted.clear()
            lags = await self._arrivals(window, runner)
            await asyncio.sleep(window.known.deadline + DRAIN_SECONDS)
        finally:
            await runner.close()
            await cloud.close()
        return self._ended(window, ends, Ended([], [], lags, runner.calls, list(self.pixels.encodes), cloud.asks))

    def _release(self, profile: Profile) -> ActiveRelease:
        return ActiveRelease(self.release.digest, self.engine, self.model, self.wanted, profile)

    async def _acquaint(self, cloud: TimedCloud) -> None:
        """One connection that stands, as it does on a box that has run for a while."""
        jpeg = await self.pixels.encode(self.taps[0], 0, View(MAX_SIDE, QUALITY))
        await cloud.detect_jpeg(self.model, jpeg, MIN_SCORE, 5.0)

    async def _arrivals(self, window: Window, runner: LaneRunner) -> list[float]:
        """Each frame at its time; by how much that was missed."""
        lags = []
        for (tap, seq), after, slot in zip(self._named(window), window.captured, window.picture, strict=True):
            due = window.start + after
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            lags.append(time.monotonic() - due)
            deadline, place = due + window.known.deadline, self.pixels.geometry[slot]
            runner.arrive(Frame(tap, seq, slot, due, time.time_ns(), deadline, place))
        return lags

    def _named(self, window: Window) -> list[tuple[Tap, int]]:
        """Tap and number of each frame."""
        seqs: Counter[int] = Counter()
        named = []
        for camera in window.camera:
            seqs[camera] += 1
            named.append((self.taps[camera], seqs[camera]))
        return named

    def _ended(self, window: Window, ends: list[Finished], taken: Ended) -> Ended:
        """With how each frame ended. Raises Fatal: one did not, or did twice."""
        found = {(end.tap, end.seq): end for end in ends}
        named = self._named(window)
        if len(ends) != len(named) or found.keys() != set(named):
            raise Fatal(
                f"{len(named)} frames came and {len(ends)} ended, {len(found)} of them once: the lane lost count"
            )
        for each in named:
            taken.outcomes.append(str(found[each].outcome.value))
            taken.at.append(found[each].finished - window.start)
        for ask in taken.asks:
            ask.at -= window.start
        return taken


def _no_identity() -> ClientIdentity:
    raise LongshoreError("this node asks for none")


async def run(pool: Path, cores: int) -> None:
    box = RealBox(pools.loaded(pool), releases.made("1.0.0"))
    try:
        print(msgspec.json.encode(await box.open(cores)).decode(), flush=True)
        async for line in lines():
            window = msgspec.json.decode(line, type=Window)
            print(msgspec.json.encode(await box.play(window)).decode(), flush=True)
    finally:
        await box.engine.close()


if __name__ == "__main__":
    mine = {int(core) for core in sys.argv[1].split(",")}
    os.sched_setaffinity(0, mine)
    asyncio.run(run(Path(sys.argv[2]), len(mine)))
