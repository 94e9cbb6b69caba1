"""The power goes at each entry of a log of disk operations: what the disk then holds is lived in again.

Whatever the disk held: the database opens and is not set aside, no accepted record is lost, every number is stored or
declared, and the next life goes on.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.telemetry.classes import RecordClass
from tests.crash.outbox_ledger import Ledger, draft
from tests.crash.outbox_life import BYTES, drained, emptied, set_aside
from tests.sim.disk import shim
from tests.sim.disk.images import Disk, Files, Image
from tests.sim.disk.log import entries

ROOT = Path(__file__).parents[2]
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # folders of our own are made there
FIRST_AFTER = 1_000_000  # number of the first record after a cut
WORST_SHOWN = 20


@dataclass
class Found:
    """What became of the images; `wrong` names the first ones."""

    cuts: int = 0
    images: Counter[str] = field(default_factory=Counter)
    red: int = 0
    accepted: int = 0
    declared: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        self.cuts, self.red = max(self.cuts, other.cuts), self.red + other.red
        self.images += other.images
        self.accepted, self.declared = max(self.accepted, other.accepted), max(self.declared, other.declared)
        self.wrong = (self.wrong + other.wrong)[:WORST_SHOWN]


def recorded(folder: Path, records: int, seed: int, without: str = "") -> Path:
    """Let an outbox live on a watched disk: the log. Raises subprocess.CalledProcessError."""
    disk, log = folder / "disk", folder / "operations"
    disk.mkdir()
    command = [sys.executable, "-m", "tests.crash.outbox_life", str(disk), str(records), str(seed)]
    command += ["--without", without] if without else []
    subprocess.run(command, env=shim.environment(disk, log), cwd=ROOT, check=True)
    return log


def whole(log: Path, folder: Path) -> bool:
    """Is what the log says what really lies there? Then nothing was written past the shim."""
    disk = Disk(0)
    for entry in entries(log):
        disk.take(entry)
    return disk.live() == {path.name: path.read_bytes() for path in folder.iterdir()}


def cut(log: Path, seed: int, every: int = 1, workers: int = 1) -> Found:
    """Cut the power at every `every`-th entry. Images lie in memory where there is room for that."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        parts = [(log, seed, every, workers, number) for number in range(workers)]
        found = Found()
        for part in pool.starmap(_part, parts):
            found.add(part)
    return found


def _part(log: Path, seed: int, every: int, workers: int, number: int) -> Found:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        return asyncio.run(_lived(Path(folder), log, seed, every * workers, number * every))


async def _lived(folder: Path, log: Path, seed: int, stride: int, offset: int) -> Found:
    found, disk = Found(), Disk(seed)
    for image in _images(disk, log, stride, offset):
        found.images[image.name] += 1
        here = folder / "image"
        wrong, ledger = await lived_in(here, image, disk.notes[: image.notes])
        if wrong:
            found.red += 1
            found.wrong += [f"entry {image.entry}, {image.name}: {wrong[0]}"][: WORST_SHOWN - len(found.wrong)]
        found.accepted = max(found.accepted, len(ledger.accepted))
        found.declared = max(found.declared, sum(ledger.dropped().values()))
    found.cuts = disk.count
    return found


def _images(disk: Disk, log: Path, stride: int, offset: int) -> Iterator[Image]:
    for entry in entries(log):
        disk.take(entry)
        if disk.count % stride == offset:
            yield from disk.images()


async def lived_in(folder: Path, image: Image, notes: list[object]) -> tuple[list[str], Ledger]:
    """What is wrong after a next life on this image."""
    _lay(folder, image.files)
    ledger = Ledger()
    ledger.heard(notes)
    outbox = SqliteOutbox(folder / "outbox.db", BYTES, commit_seconds=0.0)
    await outbox.start()
    wrong = [f"it can't be written: {outbox.summary().trouble}"] if outbox.summary().trouble else []
    await _go_on(outbox, ledger)
    await outbox.close()
    if set_aside(folder):
        wrong.append("the database was set aside")
    if outbox.summary().waiting_rows:
        wrong.append(f"{outbox.summary().waiting_rows} still wait")
    wrong += ledger.wrong() + ledger.unlike(outbox.tallies()) + _old_epochs(ledger)
    return wrong + (ledger.unsaid() if image.name == "written" else []), ledger


async def _go_on(outbox: SqliteOutbox, ledger: Ledger) -> None:
    """Some records of each class, and everything is delivered."""
    for record_class in (each for each in RecordClass if each is not RecordClass.GAP):
        numbers = list(range(FIRST_AFTER + 10 * record_class, FIRST_AFTER + 10 * record_class + 3))
        ledger.say("offered", int(record_class), numbers)
        if await outbox.accepted(*(draft(record_class, number, 100) for number in numbers)):
            ledger.say("accepted", numbers)
    await drained(outbox, ledger)


def _old_epochs(ledger: Ledger) -> list[str]:
    """Epochs of before the cut in which the life after it went on."""
    after = {epoch for (epoch, _), (_, number) in ledger.stored.items() if number >= FIRST_AFTER}
    before = {epoch for (epoch, _), (_, number) in ledger.stored.items() if number < FIRST_AFTER}
    return [f"epoch {epoch} goes on after the cut" for epoch in after & before]


def _lay(folder: Path, files: Files) -> None:
    emptied(folder)
    for name, content in files.items():
        (folder / name).write_bytes(content)
