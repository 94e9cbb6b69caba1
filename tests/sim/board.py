"""A box's board with fake engines, and cameras that announce frames one after the other."""

from __future__ import annotations

from agent.config import AgentConfig
from agent.offload.terms import Terms
from agent.pipeline.board import Board, DeploymentWish, ShadowWish
from agent.pipeline.run import LaneSettings
from agent.ports import Clock
from agent.types import Finished, Tap
from agent.update.verify import VerifiedBytes
from protos.ids import CameraName, DeploymentName, Digest, ModelName, Version
from tests.sim.captures import SimCaptures
from tests.sim.engine import FakeEngine, RealClock
from tests.sim.models import Sample, detector
from tests.sim.verified import FP32, verified
from tests.sim.waiting import until

HARBOUR = DeploymentName("harbour")
CAMERA = CameraName("quay")
TAP = Tap(CAMERA, HARBOUR)
SMALL, LARGE = detector(), detector(64, 64)
BROKEN = detector(sane_below=0.5)  # bright pictures are answered with NaN


def wish(
    *,
    offload: bool = False,
    classes: frozenset[str] = frozenset(),
    min_score: float = 0.1,
    shadow: ShadowWish | None = None,
    terms: Terms = Terms(),  # noqa: B008  # frozen
) -> DeploymentWish:
    return DeploymentWish(
        HARBOUR,
        ModelName("harbour"),
        Version("1"),
        verified("1").digest,
        (CAMERA,),
        LaneSettings(0.25, min_score, 80, offload, classes, terms),
        1e7,
        shadow,
    )


class World:
    def __init__(self, clock: Clock | None = None, provider: str = "cpu") -> None:
        self.clock = clock or RealClock()
        self.finished: list[Finished] = []
        self.captures = SimCaptures()
        self.engines: list[FakeEngine] = []
        self.refused: dict[Digest, str] = {}  # why, as the updater would tell
        self.board = Board(AgentConfig(provider=provider), self.clock, self.captures, self.engine, self.finished.append)
        self.captures.deliver = self.board.arrive

    def engine(self, _: str) -> FakeEngine:
        self.engines.append(FakeEngine([SMALL, LARGE, BROKEN], self.clock, seconds=0.001))
        return self.engines[-1]

    async def install(self, version: str, sample: Sample = SMALL, deployment: DeploymentName = HARBOUR) -> Digest:
        made = verified(version, sample)
        await self.board.warm(deployment, made, FP32, VerifiedBytes(sample.spec.model))
        await self.board.swap(deployment, made.digest)
        return made.digest

    async def frames(self, count: int) -> list[Finished]:
        """Announce frames one after the other; how they ended."""
        before = len(self.finished)
        for _ in range(count):
            self.captures.announce(TAP, self.clock.monotonic())
            await until(lambda: self.captures.outstanding == 0)
        return self.finished[before:]
