"""The n-th operation of an outbox fails: `python -m tests.crash.outbox_faults FOLDER KINDS ERROR EVERY`, with the shim.

For each n up to 200, once and from then on until the disk is mended: an outbox begins on an empty folder, lives, fails,
and goes on. Prints what was found, as JSON. FOLDER is what the shim watches; ERROR is a name of errno.
"""

from __future__ import annotations

import asyncio
import errno
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from agent.adapters import outbox_sqlite
from agent.adapters.outbox_sqlite import SqliteOutbox
from tests.crash import outbox_protections
from tests.crash.outbox_ledger import Ledger
from tests.crash.outbox_life import BYTES, RETRY_SECONDS, Life, drained, emptied, set_aside
from tests.sim.disk.shim import Shim

MOST = 200
BURSTS_AFTER = 4  # while the disk is broken
MOST_BURSTS = 400  # until the fault must have come


@dataclass
class Swept:
    """`fired`: cases in which something failed; `slowest`: seconds from mending to being writable, at fast retries."""

    cases: int = 0
    fired: int = 0
    doubted: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)


async def case(folder: Path, shim: Shim, fault: tuple[str, int], skip: int, count: int) -> tuple[Ledger, float, int]:
    """A life with one fault: the ledger, seconds until it could be written again, operations failed."""
    shim.fail(*fault, skip, count)
    ledger = Ledger()
    outbox = SqliteOutbox(folder / "outbox.db", BYTES, commit_seconds=0.0)
    await outbox.start()
    life = Life(outbox, ledger, random.Random(skip))
    for number in range(MOST_BURSTS):
        await life.burst()
        if number % 15 == 14:
            outbox.bound(BYTES + number * 4096)
            await drained(outbox, ledger)
        if shim.failed:
            break
    for _ in range(BURSTS_AFTER):
        await life.burst()
    failed = shim.failed
    shim.mend()
    began = time.monotonic()
    await life.mended()
    took = time.monotonic() - began
    await life.burst()
    await drained(outbox, ledger)
    await outbox.close()
    if set_aside(folder):
        ledger.conflicts.append("the database was set aside")
    return ledger, took, failed


async def swept(folder: Path, kinds: str, error: str, every: int, shim: Shim) -> Swept:
    """Until the n-th operation is one that no life comes to."""
    found = Swept()
    for count in (1, -1):
        for skip in range(0, MOST, every):
            emptied(folder)
            ledger, took, failed = await case(folder, shim, (kinds, getattr(errno, error)), skip, count)
            found.cases += 1
            found.fired += failed > 0
            found.doubted += len(ledger.doubted)
            found.slowest = max(found.slowest, round(took, 3))
            where = f"{kinds} {error} at {skip + 1}, {'once' if count == 1 else 'until mended'}"
            found.wrong += [f"{where}: {each}" for each in [*ledger.wrong(), *ledger.unsettled()][:1]]
            if not failed:
                break
    return found


def main() -> None:
    folder, kinds, error, every, *without = sys.argv[1:]
    outbox_sqlite.RETRY_SECONDS = RETRY_SECONDS
    outbox_protections.take_away(" ".join(without))
    found = asyncio.run(swept(Path(folder) / "case", kinds, error, int(every), Shim()))
    sys.stdout.write(msgspec.json.encode(asdict(found)).decode())


if __name__ == "__main__":
    main()
