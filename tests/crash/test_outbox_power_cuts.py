"""The power goes while an outbox writes: what the disk then holds opens, nothing accepted is lost, and it goes on.

Seeded cuts; all of them are `python -m bench.bench_power`. That each protection is what makes this green is seen by
taking it away.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import power_cuts
from tests.crash.power_cuts import Found
from tests.servers.require import program
from tests.sim.disk.images import Disk
from tests.sim.disk.log import Entry

RECORDS, SEED, EVERY = 1000, 7, 60
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def shim() -> None:
    program("cc", "gcc libc6-dev")


def lived(folder: Path, records: int, every: int, without: str = "") -> Found:
    log = power_cuts.recorded(folder, records, SEED, without)
    assert power_cuts.whole(log, folder / "disk")
    return power_cuts.cut(log, SEED, every)


@pytest.mark.usefixtures("shim")
def test_whatever_the_disk_held_when_the_power_went_nothing_accepted_is_lost(tmp_path: Path) -> None:
    found = lived(tmp_path, RECORDS, EVERY)
    print(f"{found.cuts} writes and syncs, {found.images.total()} images, seed {SEED}")
    assert found.wrong == []
    assert found.cuts > 5 * RECORDS
    assert found.accepted > RECORDS / 2
    assert found.declared > 0
    assert min(found.images[name] for name in ("synced", "written", "torn", "shuffled")) > 20


@pytest.mark.usefixtures("shim")
@pytest.mark.parametrize(
    "protection", ["syncing each commit", "syncing at all", "writing anew what a failed sync left"]
)
def test_without_a_protection_accepted_records_are_lost(tmp_path: Path, protection: str) -> None:
    found = lived(tmp_path, 250, 40, protection)
    assert found.red > 5
    assert any("lost" in sentence for sentence in found.wrong)


@pytest.mark.usefixtures("shim")
def test_a_database_that_is_never_synced_does_not_even_open(tmp_path: Path) -> None:
    found = lived(tmp_path, 250, 40, "syncing at all")
    assert any("set aside" in sentence for sentence in found.wrong)


# ---- the images themselves ----


def fed(*entries: tuple[str, int, int, bytes]) -> Disk:
    disk = Disk(SEED)
    for entry in entries:
        disk.take(Entry(*entry))
    return disk


def files(disk: Disk) -> dict[str, dict[str, bytes]]:
    return {image.name: image.files for image in disk.images()}


NEW = ("C", 1, 0, b"a")
SYNCED = (NEW, ("D", 9, 0, b""), ("W", 1, 0, b"old" * 400), ("S", 1, 0, b""))


def test_what_was_not_synced_may_be_gone_and_what_was_is_there() -> None:
    found = files(fed(*SYNCED, ("W", 1, 0, b"new")))
    assert found["synced"]["a"] == b"old" * 400
    assert found["written"]["a"].startswith(b"new")


def test_a_name_may_be_gone_until_its_folder_is_synced() -> None:
    assert files(fed(NEW, ("W", 1, 0, b"x"), ("S", 1, 0, b"")))["synced"] == {}
    assert files(fed(*SYNCED, ("U", 0, 0, b"a")))["synced"] == {"a": b"old" * 400}


def test_sectors_of_one_write_arrive_apart() -> None:
    entries = [("W", 1, 512 * number, bytes([number]) * 1024) for number in range(1, 40)]
    shuffled = {files(fed(*SYNCED, *entries[:count]))["shuffled"].get("a") for count in range(2, len(entries))}
    assert any(b"\x05" * 512 in each and b"\x04" * 512 not in each for each in shuffled if each)


def test_what_a_failed_sync_left_is_not_brought_by_a_later_one_until_its_page_is_written_again() -> None:
    lost = (*SYNCED, ("W", 1, 0, b"new"), ("F", 1, 0, b""))
    assert files(fed(*lost, ("W", 1, 8192, b"x"), ("S", 1, 0, b"")))["synced"]["a"].startswith(b"old")
    assert files(fed(*lost, ("W", 1, 100, b"x"), ("S", 1, 0, b"")))["synced"]["a"].startswith(b"new")


def test_a_sync_brings_what_was_stored_through_a_mapping_before_it() -> None:
    found = files(fed(*SYNCED, ("M", 1, 0, b"one" + bytes(509)), ("S", 1, 0, b""), ("M", 1, 0, b"two" + bytes(509))))
    assert found["synced"]["a"].startswith(b"one")
    assert found["written"]["a"].startswith(b"two")
