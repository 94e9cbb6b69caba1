"""An outbox on a volume that is really full; run inside a mount namespace of its own, on a small tmpfs.

    python -m tests.crash.outbox_volume FOLDER NOTES STORY [PROTECTION]      prints what was seen as JSON

STORY "ours": more comes than the volume holds while nobody takes it. "others": somebody else takes all room for a
while. "killed": the same, and kill -9 comes before there is room again. NOTES is a file outside of the volume.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agent.adapters.outbox_sqlite import SqliteOutbox
from tests.crash import outbox_protections
from tests.crash.outbox_ledger import Ledger
from tests.crash.outbox_life import SIZES, Life, drained
from tests.sim.waiting import seconds_until

TOLD_BYTES = 64 << 20  # what the outbox may take as far as its settings go: far more than the volume has
FULL_SECONDS = 3.0
TIMES_OVER = 3  # the volume's size, in records nobody takes
PACE = 0.01  # seconds between bursts
PATIENCE = 30.0

Seen = dict[str, Any]


@dataclass
class Ballast:
    """Room that somebody else takes, all of it, again and again."""

    path: Path

    def fill(self) -> None:
        for size in (1 << 16, 1 << 12, 1 << 8, 1):
            with self.path.open("ab", buffering=0) as out:
                self._until_full(out.fileno(), bytes(size))

    def _until_full(self, descriptor: int, piece: bytes) -> None:
        try:
            while os.write(descriptor, piece):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def go(self) -> None:
        self.path.unlink()


def used(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


async def begun(folder: Path, ledger: Ledger) -> Life:
    outbox = SqliteOutbox(folder / "outbox.db", TOLD_BYTES)
    await outbox.start()
    return Life(outbox, ledger, random.Random(5), 1 + max(ledger.offered, default=0))


async def ours(folder: Path, ledger: Ledger) -> Seen:
    life = await begun(folder, ledger)
    life.most = 400
    volume = os.statvfs(folder)
    size = volume.f_blocks * volume.f_frsize
    most, troubles, sent = 0, set[str](), 0
    while sent < TIMES_OVER * size:
        before = life.next
        await life.burst()
        sent += (life.next - before) * (sum(SIZES) // 2)
        most = max(most, used(folder))
        troubles.add(life.outbox.summary().trouble)
    dropped = life.outbox.summary().dropped_rows
    await drained(life.outbox, ledger)
    await life.outbox.settle()
    await seconds_until(lambda: used(folder) <= most // 2, 10.0)
    left = used(folder)
    await life.outbox.close()
    return {"volume": size, "most": most, "left": left, "dropped": dropped, "troubles": sorted(troubles - {""})}


async def others(folder: Path, ledger: Ledger) -> Seen:
    life = await begun(folder, ledger)
    for _ in range(50):
        await life.burst()
    ballast = Ballast(folder / "ballast")
    slowest = await full(life, ballast)
    trouble = life.outbox.summary().trouble
    ballast.go()
    recovered = await seconds_until(lambda: not life.outbox.summary().trouble, PATIENCE)
    await life.burst()
    await drained(life.outbox, ledger)
    await life.outbox.close()
    return {"trouble": trouble, "slowest_put": slowest, "recovered": recovered, "unsettled": ledger.unsettled()}


async def full(life: Life, ballast: Ballast) -> float:
    """Bursts go on while there is no room; seconds that the slowest hand-over of records took."""
    until, slowest = time.monotonic() + FULL_SECONDS, 0.0
    while time.monotonic() < until:
        ballast.fill()
        handing = asyncio.create_task(life.burst())
        began = time.monotonic()
        await asyncio.sleep(0)  # the records are handed over; what becomes of them is told later
        slowest = max(slowest, time.monotonic() - began)
        await handing
        await asyncio.sleep(PACE)
    return round(slowest, 4)


async def killed(folder: Path, ledger: Ledger) -> Seen:
    """A process that is killed on the full volume, then one that tells what it refused."""
    command = ["-m", "tests.crash.outbox_volume", str(folder), sys.argv[2], "felled", *sys.argv[4:]]
    child = await asyncio.create_subprocess_exec(sys.executable, *command)
    await child.wait()
    _recall(ledger, Path(sys.argv[2]))
    Ballast(folder / "ballast").go()
    life = await begun(folder, ledger)
    await life.burst()
    await drained(life.outbox, ledger)
    await life.outbox.close()
    bounds = sum(hole.dropped for hole in ledger.holes.values() if hole.lower_bound)
    return {"doubted": len(ledger.doubted), "lower_bounds": bounds, "unsaid": ledger.unsaid()}


def _recall(ledger: Ledger, notes: Path) -> None:
    ledger.heard(map(msgspec.json.decode, notes.read_bytes().splitlines()))


async def felled(folder: Path, ledger: Ledger) -> Seen:
    notes = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(said: Any) -> None:
        os.write(notes, msgspec.json.encode(said) + b"\n")

    ledger.tell = tell
    life = await begun(folder, ledger)
    for _ in range(50):
        await life.burst()
    await full(life, Ballast(folder / "ballast"))
    os.kill(os.getpid(), 9)
    return {}


_STORIES: dict[str, Callable[[Path, Ledger], Awaitable[Seen]]] = {
    "ours": ours, "others": others, "killed": killed, "felled": felled,
}  # fmt: skip


async def story(folder: Path, name: str) -> Seen:
    ledger = Ledger()
    seen = await _STORIES[name](folder, ledger)
    accepted, declared = len(ledger.accepted), sum(ledger.dropped().values())
    return {**seen, "accepted": accepted, "declared": declared, "wrong": ledger.wrong()}


def main() -> None:
    outbox_protections.take_away(" ".join(sys.argv[4:]))
    sys.stdout.write(msgspec.json.encode(asyncio.run(story(Path(sys.argv[1]), sys.argv[3]))).decode())


if __name__ == "__main__":
    main()
