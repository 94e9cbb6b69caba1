"""An outbox in its own process, on a disk that is watched: `python -m tests.crash.outbox_life FOLDER RECORDS SEED`.

The real outbox through some lives: bursts that are waited for, a control plane that is there and is away (so that room
is made), a disk that is full and that fails, another bound. What the producer is told and the control plane got is
noted in the shim's log, where it happened. `--without WHAT` takes a protection away.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import random
from dataclasses import dataclass, field
from pathlib import Path

from agent.adapters import outbox_sqlite
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.telemetry.classes import RecordClass
from agent.telemetry.outbox import Lane, Taken
from tests.crash import outbox_protections
from tests.crash.outbox_ledger import Ledger, draft
from tests.sim.disk.shim import Shim

BYTES = 320 << 10  # of the outbox: some three hundred records
RETRY_SECONDS = 0.01  # instead of a second
MOST_BURST = 8
SIZES = (60, 900)  # of a body
CLASSES = [RecordClass(number) for number in (1, 1, 1, 2, 3, 4)]
LIVES = 3
MOST_BYTES = 1 << 20  # of a batch
FAULTS = (("wt", errno.ENOSPC), ("s", errno.EIO), ("w", errno.EIO), ("wsto", errno.EROFS))


@dataclass
class Life:
    """A producer, and the control plane at the other end."""

    outbox: SqliteOutbox
    ledger: Ledger
    rng: random.Random
    next: int = 1  # number of the next record
    most: int = MOST_BURST

    async def burst(self) -> None:
        """Some records, waited for."""
        record_class = self.rng.choice(CLASSES)
        numbers = list(range(self.next, self.next + self.rng.randint(1, self.most)))
        self.next = numbers[-1] + 1
        self.ledger.say("offered", int(record_class), numbers)
        drafts = [draft(record_class, number, self.rng.randint(*SIZES)) for number in numbers]
        self.ledger.say("accepted" if await self.outbox.accepted(*drafts) else "doubted", numbers)

    async def deliver(self, most: int) -> None:
        """A batch of each lane: stored by the control plane, most of them acknowledged."""
        for lane in Lane:
            taken = await self.outbox.take(lane, most, MOST_BYTES)
            self.ledger.store(taken.epoch, taken.rows)
            if taken.rows and self.rng.random() < 0.8:
                acknowledged(self.outbox, taken)

    async def mended(self) -> None:
        """The disk works again: wait until the outbox says so."""
        while self.outbox.summary().trouble:
            await asyncio.sleep(RETRY_SECONDS)
            await self.outbox.settle()


async def drained(outbox: SqliteOutbox, ledger: Ledger) -> None:
    """Everything that this outbox did not take before is stored and acknowledged."""
    for lane in (Lane.HISTORICAL, Lane.LIVE):
        while (taken := await outbox.take(lane, 200, MOST_BYTES)).rows:
            ledger.store(taken.epoch, taken.rows)
            acknowledged(outbox, taken)
            await outbox.settle()


def acknowledged(outbox: SqliteOutbox, taken: Taken) -> None:
    """The control plane has stored it, and heard how the books stand."""
    outbox.forget(taken.epoch, [(taken.rows[0].seq, taken.rows[-1].seq)])
    outbox.told(outbox.tallies())


def emptied(folder: Path) -> None:
    """There, with nothing in it; it has no folders."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()


def set_aside(folder: Path) -> bool:
    """Was a database found damaged there?"""
    return bool(list(folder.glob("*.damaged")))


@dataclass
class Story:
    """All lives together take `records`; where in it the link is down, and which fault comes when, is drawn."""

    folder: Path
    records: int
    rng: random.Random
    shim: Shim
    ledger: Ledger = field(default_factory=Ledger)

    async def run(self) -> None:
        self.ledger.tell = self.shim.note
        first = 1
        for number in range(1, LIVES + 1):
            outbox = SqliteOutbox(self.folder / "outbox.db", BYTES, commit_seconds=0.0)
            await outbox.start()
            life = Life(outbox, self.ledger, self.rng, first)
            await self._live(life, self.records * number // LIVES)
            first = life.next
            await outbox.close()

    async def _live(self, life: Life, until: int) -> None:
        begun, span = life.next, until - life.next
        faults = {begun + span * (index + 1) // 5: fault for index, fault in enumerate(FAULTS)}
        while life.next <= until:
            place = (life.next - begun) / span
            await life.burst()
            due = [at for at in faults if at <= life.next]
            for at in due:
                await self._trouble(life, *faults.pop(at))
            if not 0.25 < place < 0.7 and self.rng.random() < 0.4:  # the link is down between
                await life.deliver(self.rng.randint(1, 40))
            if due and self.rng.random() < 0.5:
                life.outbox.bound(self.rng.choice([BYTES, BYTES * 3 // 2]))

    async def _trouble(self, life: Life, kinds: str, error: int) -> None:
        self.shim.fail(kinds, error, skip=self.rng.randrange(4))
        for _ in range(3):
            await life.burst()
        self.shim.mend()
        await life.mended()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("records", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--without", default="", choices=["", *outbox_protections.NAMES])
    options = parser.parse_args()
    outbox_sqlite.RETRY_SECONDS = RETRY_SECONDS
    outbox_protections.take_away(options.without)
    asyncio.run(Story(options.folder, options.records, random.Random(options.seed), Shim()).run())


if __name__ == "__main__":
    main()
