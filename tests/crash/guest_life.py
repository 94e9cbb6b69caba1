"""An outbox on a machine whose power is cut: the program of a guest (tests.sim.guest).

    python -m tests.crash.guest_life FOLDER FIRST SEED [PROTECTION]

Whatever waited is delivered, `drained` is said, then bursts go on until the power goes. All that producers are told and
the control plane got is said on standard output, in JSON, and waited for until it has left the machine.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import termios
from pathlib import Path
from typing import Any

import msgspec

from agent.adapters.outbox_sqlite import SqliteOutbox
from tests.crash import outbox_protections
from tests.crash.outbox_ledger import Ledger
from tests.crash.outbox_life import BYTES, Life, drained

TOLD = "told "


def tell(said: Any) -> None:
    os.write(1, TOLD.encode() + msgspec.json.encode(said) + b"\n")
    if os.isatty(1):
        termios.tcdrain(1)


async def live(folder: Path, first: int, seed: int) -> None:
    rng = random.Random(seed)
    outbox = SqliteOutbox(folder / "outbox.db", BYTES)
    await outbox.start()
    ledger = Ledger(tell=tell)
    await drained(outbox, ledger)
    tell(["drained", outbox.summary().waiting_rows, outbox.summary().trouble])
    life = Life(outbox, ledger, rng, first)
    while True:
        await life.burst()
        if rng.random() < 0.2:
            await life.deliver(rng.randint(1, 20))


if __name__ == "__main__":
    place, number, chance, *without = sys.argv[1:]
    outbox_protections.take_away(" ".join(without))
    asyncio.run(live(Path(place), int(number), int(chance)))
