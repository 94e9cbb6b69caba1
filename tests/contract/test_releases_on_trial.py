"""A box with real updater, board and engines takes back a release that answers NaN or is too slow, and remembers it.

Frames are painted by the test; each release passes its warm-up, and shows what is wrong with it on bright pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.config import AgentConfig
from agent.inference.engine import OnnxEngine
from agent.pipeline.board import Board, CameraWish, DeploymentWish
from agent.pipeline.run import LaneSettings
from agent.trust.kept import Approvals
from agent.types import Finished, Tap
from agent.update.machine import State
from agent.update.runner import Updater, UpdateSettings
from agent.update.steps import Ports
from agent.update.walk import Report
from protos import manifest
from protos.ids import CameraName, DeploymentName, ModelName, Version, digest_of
from protos.manifest import FileEntry, ImageInput, Manifest, Variant
from protos.outcomes import Outcome
from tests.sim.blobs import SimBlobs
from tests.sim.captures import SimCaptures
from tests.sim.models import Sample, detector
from tests.sim.releases import MadeRelease
from tests.sim.trust import SimTrust

QUAY, CAMERA = DeploymentName("quay"), CameraName("berth")
TAP = Tap(CAMERA, QUAY)
GOOD = detector()
SLOW_ROUNDS = 40_000  # some 20 ms; a picture that is dark takes no round at all
BUDGET = 0.005  # seconds


def released(version: str, sample: Sample) -> MadeRelease:
    content, size = sample.spec.model, len(sample.spec.model)
    described = Manifest(
        name=ModelName("harbour"),
        version=Version(version),
        task="detection",
        input=ImageInput("image", 32, 64),
        labels=sample.spec.labels,
        variants=(Variant("fp32", "fp32", "model.onnx"),),
        files=(FileEntry("model.onnx", digest_of(content), size, "model"),),
    )
    written = manifest.to_bytes(described)
    digest = manifest.release_digest(written)
    return MadeRelease(digest, written, content, {digest_of(content): content, digest: written})


class TrialBox:
    """`updater` and `board` of one box, over the same folder after each start."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.blobs, self.finished = folder, SimBlobs(), list[Finished]()
        self.budget = 0.0
        self.wanted = released("1.0.0", GOOD)
        self.start()

    def start(self) -> None:
        self.captures, clock = SimCaptures(), SystemClock()
        self.state = SqliteState(self._folder / "state.db")
        self.board = Board(AgentConfig(threads=1), clock, self.captures, OnnxEngine, self.finished.append)
        self.captures.deliver = self.board.arrive
        ports = Ports(self.blobs, DiskReleaseStore(self._folder), self.board, SimTrust(), Approvals(self.state))
        self.updater = Updater(ports, self.state, clock, UpdateSettings(confirm_seconds=1.5))
        self.updater.start()
        self.wish(self.wanted)

    def wish(self, release: MadeRelease) -> None:
        self.blobs.add(release)
        self.wanted = release
        name = ModelName("harbour"), Version("1.0.0")
        settings = LaneSettings(5.0, 0.1, 80, offload=False)
        wish = DeploymentWish(QUAY, *name, release.digest, (CAMERA,), settings, 0.0, latency_budget=self.budget)
        self.board.plan([CameraWish(CAMERA, "synthetic://harbour", 10.0)], [wish])
        self.updater.offer({QUAY: release.digest})
        self.updater.afford({QUAY: self.budget})

    @property
    def report(self) -> Report:
        return self.updater.reports()[0]

    def answers(self, release: MadeRelease) -> bool:
        return any(done.release == release.digest for done in self.finished)

    async def until(self, true: Callable[[], bool], grey: int = 255) -> None:
        """Frames of this grey are due meanwhile."""
        async with asyncio.timeout(60):
            while not true():
                if TAP in self.captures.taps and not self.captures.outstanding:
                    self.captures.paint(TAP, grey)
                    self.captures.announce(TAP, SystemClock().monotonic())
                await asyncio.sleep(0.02)

    async def installed(self, release: MadeRelease) -> None:
        self.wish(release)
        await self.until(lambda: (self.report.state, self.report.active) == (State.IDLE, release.digest))

    async def close(self) -> None:
        await self.updater.close()
        await self.board.close()
        self.captures.close()
        self.state.close()


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[TrialBox]:
    box = TrialBox(tmp_path)
    yield box
    await box.close()


async def is_taken_back(box: TrialBox, bad: MadeRelease) -> None:
    """`bad` answers on trial, goes and is remembered over a start; the good one answers, before and after."""
    await box.installed(box.wanted)
    good = box.wanted
    box.wish(bad)
    await box.until(lambda: box.answers(bad), grey=0)
    await box.until(lambda: box.report.state is State.FAILED)
    assert (box.report.active, box.report.refused) == (good.digest, (bad.digest,))
    box.finished.clear()
    await box.until(lambda: len(box.finished) >= 5)
    assert {(done.outcome, done.release) for done in box.finished} == {(Outcome.OK_LOCAL, good.digest)}
    await box.close()
    box.start()
    await box.until(lambda: len(box.finished) >= 10)
    assert (box.report.state, box.report.refused) == (State.FAILED, (bad.digest,))
    assert {done.release for done in box.finished} == {good.digest}


async def test_a_release_that_answers_nan_is_taken_back_and_remembered(box: TrialBox) -> None:
    await is_taken_back(box, released("2.0.0", detector(sane_below=0.5)))
    assert "not-a-number: " in box.report.message
    assert "the release before it answers again" in box.report.message


async def test_a_release_that_knows_no_number_at_all_never_answers(box: TrialBox) -> None:
    await box.installed(box.wanted)
    bad = released("2.0.0", detector(sane_below=0.0))
    box.finished.clear()
    box.wish(bad)
    await box.until(lambda: box.report.state is State.FAILED)
    assert box.report.message.startswith("not-a-number: it answers a black picture and one of noise")
    assert {done.release for done in box.finished} == {box.report.active}


async def test_a_release_beyond_its_latency_budget_is_taken_back_and_remembered(box: TrialBox) -> None:
    box.budget = BUDGET
    await is_taken_back(box, released("2.0.0", detector(rounds=SLOW_ROUNDS)))
    assert "latency-budget: one frame in twenty takes" in box.report.message


async def test_the_same_release_stays_without_a_budget_and_comes_back_when_that_is_raised(box: TrialBox) -> None:
    box.budget = BUDGET
    await box.installed(box.wanted)
    slow = released("2.0.0", detector(rounds=SLOW_ROUNDS))
    box.wish(slow)
    await box.until(lambda: box.report.state is State.FAILED)
    box.budget = 0.0
    await box.installed(slow)
    assert box.report.refused == ()
