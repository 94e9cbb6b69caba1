"""A power cut at each write of an update: what answered answers, nothing older is believed, and the update goes on."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.state_memory import MemoryState
from agent.adapters.trust_files import TrustFiles
from agent.trust.errors import Untrusted
from agent.trust.kept import KeptFloors
from tests.sim import releases
from tests.sim.power import Disk
from tests.sim.signed_box import FLEET
from tests.sim.signed_repository import SignedRepository
from tests.sim.signed_update import UpdatedBox

OLD, NEW = releases.make("1.0.0", 9_000), releases.make("2.0.0", 9_000)
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else tmp_path
    with tempfile.TemporaryDirectory(prefix="longshore-power-", dir=parent) as folder:
        yield Path(folder)


async def images(folder: Path, repository: SignedRepository) -> tuple[list[Path], dict[str, bytes]]:
    """Of a box on which OLD answered, while NEW is signed, fetched and confirmed; and what was served before."""
    repository.deploy(OLD, "1.0.0")
    box = UpdatedBox(folder / "box", repository, OLD, NEW)
    box.offer(OLD)
    await box.until(lambda: box.runs(OLD))
    await box.close()
    before = dict(repository.files)
    repository.rotate("timestamp")
    repository.deploy(NEW, "2.0.0", floor=2)
    disk = Disk(folder / "box", folder / "images")
    with disk.watched():
        box.start()
        box.offer(NEW)
        await box.until(lambda: box.runs(NEW))
        await box.close()
    return sorted((folder / "images").iterdir()), before


async def complaints(image: Path, now: SignedRepository, before: dict[str, bytes]) -> list[str]:
    """What is wrong with a box that finds this on its disk."""
    found, latest = _unsynced(image, now), now.files
    box = UpdatedBox(image, now, OLD, NEW)
    seen = box.floors.now.root
    now.files = before
    box.offer(OLD)
    await box.until(lambda: box.answers is not None)
    if box.answers not in (OLD.digest, NEW.digest):
        found.append(f"{box.answers} answers")
    with contextlib.suppress(Untrusted):
        await box.refresh()
        found += ["a repository that went back is believed"] if seen > 1 else []
    now.files = latest
    box.trust.hint(now.roles["timestamp"].version)
    box.offer(NEW)
    await box.until(lambda: box.runs(NEW))
    await box.close()
    return found


def _unsynced(image: Path, now: SignedRepository) -> list[str]:
    """Floors that were raised for what is not on the disk."""
    floors = KeptFloors(MemoryState(), TrustFiles(image / "identity"), FLEET).now
    version = now.roles["timestamp"].version
    if floors.timestamp != version:
        return []
    wanted = {f"{role}.json" for role in ("root", "timestamp", "snapshot", "targets")}
    whole = {path.name for path in (image / "trust").glob("*.json") if path.stat().st_size}
    return [f"floors are raised and {name} is not on the disk" for name in sorted(wanted - whole)]


async def test_after_a_power_cut_at_any_write_the_box_answers_and_the_update_goes_on(folder: Path) -> None:
    repository = SignedRepository()
    cuts, before = await images(folder, repository)
    assert len(cuts) > 60
    wrong = {}
    for image in cuts:
        if trouble := await complaints(image, repository, before):
            wrong[image.name] = trouble
        shutil.rmtree(image)
    assert wrong == {}
