"""A box that only tells: real outbox, sender and link, in a process of its own that may be killed at any moment.

    python -m tests.sim.telemetry_box FOLDER HOST PORT MQTT5 RATE OUTBOX_BYTES

Each record carries (run, number) in its capture time. `FOLDER/ledger` gets a line "run number" once everything up to
`number` is durable, or declared dropped: what stands there was accepted, whatever happens next. `FOLDER/quiet` makes it
produce no more; `FOLDER/waiting` holds how many records wait, and `FOLDER/dropped` how many were dropped.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

from agent.adapters.mqtt import MqttLink, MqttSettings, TlsFiles
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.telemetry import records
from agent.telemetry.sender import Sender
from tests.sim.telemetry import NODE, finished
from tests.sim.wall_clock import WallClock

BURST = 0.05  # seconds
RUN_NS = 1_000_000_000


async def live(folder: Path, host: str, port: int, mqtt5: bool, rate: float, outbox_bytes: int) -> None:
    outbox = SqliteOutbox(folder / "outbox.db", outbox_bytes)
    await outbox.start()
    files = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    link = MqttLink(MqttSettings(NODE, host, port, files, mqtt5, b"", b""))
    sender = Sender(outbox, WallClock(), random.random)
    sender.attach(link)
    link.start()
    sending = asyncio.create_task(sender.run())
    await produce(folder, outbox, max(1, round(rate * BURST)))
    await sending


async def produce(folder: Path, outbox: SqliteOutbox, burst: int) -> None:
    run, number = _next_run(folder), 0
    ledger = os.open(folder / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        if not (folder / "quiet").exists():
            for _ in range(burst):
                number += 1
                stamped = replace(finished(number), captured_unix_ns=run * RUN_NS + number)
                outbox.put(records.frame(stamped))
            await outbox.settle()
            os.write(ledger, f"{run} {number}\n".encode())
        said = outbox.summary()
        if not said.trouble:
            tell(folder / "dropped", said.dropped_rows)
            tell(folder / "waiting", said.waiting_rows)
        await asyncio.sleep(BURST)


def tell(file: Path, number: int) -> None:
    """Whole, or as it was: this process may be killed at any moment."""
    fresh = file.with_suffix(".fresh")
    fresh.write_text(str(number))
    fresh.replace(file)


def _next_run(folder: Path) -> int:
    lines = (folder / "ledger").read_text().split("\n") if (folder / "ledger").exists() else []
    return 1 + max((int(line.split()[0]) for line in lines if line), default=0)


if __name__ == "__main__":
    place, address, number, version, pace, size = sys.argv[1:]
    asyncio.run(live(Path(place), address, int(number), version == "1", float(pace), int(size)))
