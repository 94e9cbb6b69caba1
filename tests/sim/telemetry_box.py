"""A box that only tells: real outbox, sender and link, in a process of its own that may be killed at any moment.

    python -m tests.sim.telemetry_box FOLDER HOST PORT [options]

Records of all classes, in each of which the run's random name and a number of its own class stand (tests.sim.made). In
its folder:

    ledger     after each commit a line: the run, and how many records of each of bench.telemetry.history.CLASSES were
               accepted in it, or declared dropped, so far
    books      what the outbox says of itself, as JSON
    quiet      while it is there, no more is produced
    wrong      seconds by which the box's clock is off; read again and again: a clock that jumps
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import time
from contextlib import suppress
from pathlib import Path

from agent.adapters.mqtt import MqttLink, MqttSettings, TlsFiles
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.telemetry.records import Draft
from agent.telemetry.sender import Sender
from bench.telemetry.history import CLASSES, Made
from protos.ids import NodeId
from tests.sim import telemetry_faults
from tests.sim.made import RUN_BITS, draft
from tests.sim.wall_clock import WallClock

BURST_SECONDS = 0.05
MIX = ("detection", "debug", "detection", "metric", "alarm", "detection", "debug", "metric", "detection", "debug")


class Producer:
    """Drafts of one run, each with a name of its own."""

    def __init__(self) -> None:
        self.run = os.urandom(RUN_BITS // 8).hex()
        self.counts = dict.fromkeys(CLASSES, 0)
        self._mix = itertools.cycle(MIX)

    def drafts(self, count: int) -> list[Draft]:
        return [self._next(record_class) for record_class in itertools.islice(self._mix, count)]

    def line(self) -> str:
        return " ".join([self.run, *(str(self.counts[each]) for each in CLASSES)]) + "\n"

    def _next(self, record_class: str) -> Draft:
        self.counts[record_class] += 1
        return draft(Made(self.run, record_class, self.counts[record_class]), time.time_ns())


class Box:
    """One life of it."""

    def __init__(self, folder: Path, outbox: SqliteOutbox, sender: Sender) -> None:
        self._folder = folder
        self._outbox = outbox
        self._sender = sender
        self._producer = Producer()

    async def produce(self, burst: int) -> None:
        """For ever."""
        ledger = os.open(self._folder / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        due = time.monotonic()
        while True:
            quiet = (self._folder / "quiet").exists()
            if not quiet and await self._outbox.accepted(*self._producer.drafts(burst)):
                os.write(ledger, self._producer.line().encode())
            self._say(quiet=quiet)
            due = max(due + BURST_SECONDS, time.monotonic() - 1.0)  # what a slow disk held up is made up for
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _say(self, *, quiet: bool) -> None:
        summary = self._outbox.summary()
        said = {
            "pid": os.getpid(),
            "run": sum(self._producer.counts.values()),
            "quiet": quiet,
            "accepted": summary.accepted,
            "waiting": summary.waiting_rows,
            "dropped": summary.dropped_rows,
            "refused": self._sender.counts.refused,
            "acknowledged": self._sender.counts.acknowledged,
        }
        draught = self._folder / f"books.{os.getpid()}"
        draught.write_text(json.dumps(said))
        draught.replace(self._folder / "books")


def let_the_clock_jump(folder: Path) -> None:
    """Whoever in this process asks for the time of day is told the wrong one; monotonic time is left alone."""
    true, wrong = time.time, folder / "wrong"

    def told() -> float:
        with suppress(OSError, ValueError):
            return true() + float(wrong.read_text())
        return true()

    time.time = told
    time.time_ns = lambda: int(told() * 1e9)


async def live(folder: Path, options: argparse.Namespace) -> None:
    outbox = SqliteOutbox(folder / "outbox.db", options.outbox_bytes)
    await outbox.start()
    files = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    settings = MqttSettings(NodeId(options.node), options.host, options.port, files, options.mqtt5, b"", b"")
    link = MqttLink(settings)
    sender = Sender(outbox, WallClock(), random.random)
    sender.attach(link)
    link.start()
    sending = asyncio.create_task(sender.run())
    await Box(folder, outbox, sender).produce(burst(options.rate))
    await sending


def burst(rate: float) -> int:
    """Records that are handed over at once."""
    return max(1, round(rate * BURST_SECONDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--node", required=True)
    parser.add_argument("--mqtt5", action="store_true")
    parser.add_argument("--rate", type=float, default=200.0, help="records a second")
    parser.add_argument("--outbox-bytes", type=int, default=64 << 20)
    parser.add_argument("--without", default="", choices=["", *telemetry_faults.OF_A_BOX])
    options = parser.parse_args()
    telemetry_faults.plant(options.without, options.folder)
    let_the_clock_jump(options.folder)
    asyncio.run(live(options.folder, options))


if __name__ == "__main__":
    main()
