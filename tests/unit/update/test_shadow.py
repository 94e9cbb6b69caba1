"""A candidate to compare with what answers: fetched, proven, loaded beside it; and nothing else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_memory import MemoryState
from agent.trust.kept import Approvals
from agent.update import steps
from agent.update.download import Download
from agent.update.downloads import Downloads
from agent.update.shadow import Shadows
from agent.update.sizes import SPARE_BYTES, TIMES_MODEL
from agent.update.steps import Ports
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import DeploymentName, Digest, digest_of
from protos.manifest import Variant
from tests.sim import releases
from tests.sim.blobs import SimBlobs
from tests.sim.clock import FakeClock
from tests.sim.release_serving import SimServing
from tests.sim.trust import SimTrust
from tests.unit.update.conftest import QUAY
from tests.unit.update.conftest import Box as UpdatedBox

OLD, NEW = releases.make("1.0.0"), releases.make("2.0.0")


class Box:
    """Implements agent.update.shadow.Shadowing: at most one is loaded for each deployment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock, self.blobs, self.releases = FakeClock(), SimBlobs(), DiskReleaseStore(folder)
        self.loaded: dict[DeploymentName, tuple[Digest, Digest]] = {}
        self.trouble: LongshoreError | None = None
        self.memory = 1 << 40
        self.blobs.add(OLD, NEW)
        self.trust = SimTrust()
        approvals = Approvals(MemoryState())
        ports = Ports(
            self.blobs,
            self.releases,
            SimServing(self.clock),
            self.trust,
            approvals,
            free_memory=lambda: self.memory,
        )
        self.downloads = Downloads(self.clock, MemoryState())
        self.shadows = Shadows(ports, self, self.clock, self.downloads)

    async def shadow(
        self, deployment: DeploymentName, release: VerifiedRelease, variant: Variant, model: VerifiedBytes
    ) -> None:
        assert deployment not in self.loaded, "a second one"
        if self.trouble is not None:
            raise self.trouble
        self.loaded[deployment] = (release.digest, digest_of(model))

    async def unshadow(self, deployment: DeploymentName) -> None:
        self.loaded.pop(deployment, None)

    async def until(self, true: Callable[[], bool]) -> None:
        await self.clock.until(true)

    async def says(self, text: str) -> None:
        await self.until(lambda: text in self.shadows.messages.get(QUAY, ""))


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    box = Box(tmp_path)
    yield box
    await box.shadows.close()


async def test_one_that_is_wanted_is_loaded_with_proven_bytes(box: Box) -> None:
    box.shadows.offer({QUAY: NEW.digest})
    await box.until(lambda: QUAY in box.loaded)
    assert box.loaded == {QUAY: (NEW.digest, NEW.model_digest)}
    assert box.shadows.messages == {QUAY: ""}


async def test_one_is_fetched_by_the_rules_of_its_deployment(box: Box) -> None:
    rules = Download(trouble="waits: this box knows no time zone 'Mars/Base'")
    box.downloads.plan({QUAY: rules})
    box.shadows.offer({QUAY: NEW.digest})
    await box.until(lambda: box.shadows.messages == {QUAY: rules.trouble})
    assert box.blobs.fetches == []
    box.downloads.plan({})
    await box.until(lambda: QUAY in box.loaded)


async def test_the_same_again_changes_nothing_another_takes_its_place_and_none_ends_it(box: Box) -> None:
    for release in (OLD, NEW):
        for _ in range(3):
            box.shadows.offer({QUAY: release.digest})
        await box.until(lambda wanted=release: box.loaded.get(QUAY, ("",))[0] == wanted.digest)  # type: ignore[misc]
    fetched = len(box.blobs.fetches)
    box.shadows.offer({QUAY: NEW.digest})
    await asyncio.sleep(0.01)
    assert len(box.blobs.fetches) == fetched
    box.shadows.offer({})
    await box.until(lambda: not box.loaded)
    assert box.shadows.messages == {}


async def test_what_may_pass_is_tried_again(box: Box) -> None:
    box.blobs.away, box.trouble = True, Retryable("nothing answers here yet that it could be compared with")
    box.shadows.offer({QUAY: NEW.digest})
    await box.says("waits: the simulated network is away")
    box.blobs.away = False
    await box.says("waits: nothing answers here yet")
    box.trouble = None
    await box.until(lambda: QUAY in box.loaded)


async def test_one_that_is_refused_is_said_so_and_left_alone_until_another_is_wanted(box: Box) -> None:
    box.trouble = Rejected("the model does not load")
    box.shadows.offer({QUAY: NEW.digest})
    await box.says("was refused: the model does not load")
    box.trouble = None
    box.shadows.offer({QUAY: NEW.digest})
    await asyncio.sleep(0.01)
    assert box.loaded == {}
    box.shadows.offer({QUAY: OLD.digest})
    await box.until(lambda: QUAY in box.loaded)


async def test_bytes_that_were_damaged_on_disk_are_fetched_again(box: Box) -> None:
    box.shadows.offer({QUAY: NEW.digest})
    await box.until(lambda: QUAY in box.loaded)
    box.shadows.offer({})
    await box.until(lambda: not box.loaded)
    damaged = box.folder / "blobs" / "sha256" / NEW.model_digest.removeprefix("sha256:")
    damaged.chmod(0o600)
    damaged.write_bytes(b"x" * len(NEW.model))
    box.shadows.offer({QUAY: NEW.digest})
    await box.until(lambda: QUAY in box.loaded)
    assert box.loaded[QUAY][1] == NEW.model_digest


async def test_a_box_short_of_memory_loads_none_until_it_has_some(box: Box) -> None:
    needed = SPARE_BYTES + TIMES_MODEL * len(NEW.model)
    box.memory = needed - 1
    box.shadows.offer({QUAY: NEW.digest})
    await box.says("MiB of memory left")
    assert box.loaded == {}
    box.memory = needed
    await box.until(lambda: QUAY in box.loaded)


async def test_the_files_of_one_that_is_compared_stay_when_the_box_tidies_up(tmp_path: Path) -> None:
    box = UpdatedBox(tmp_path)
    box.blobs.add(OLD, NEW)
    wanted = [NEW.digest]
    box.updater._kept = lambda: wanted
    ports = Ports(box.blobs, box.releases, box.serving, box.trust, Approvals(box.state))
    approval = await steps.approve(ports, QUAY, NEW.digest, shadow=True)
    await steps.pull(ports, approval, lambda *_: None)
    await steps.verify(ports, approval)
    await box.install(OLD)
    assert box.releases.has(NEW.model_digest)
    wanted.clear()
    box.updater._sweep()
    assert not box.releases.has(NEW.model_digest)
    await box.power_cut()
