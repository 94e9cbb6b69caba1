"""Boxes that come back after a dark day, as many as asked for in one process: real outboxes, senders and links.

    python -m bench.telemetry.fleet FOLDER HOST PORT [options]

Each box has a folder with its keys in FOLDER. First each outbox is filled, before anything is connected. With
FOLDER/go all connect at once, and from then on each tells something new, too. In FOLDER/fleet.N stands what waits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from agent.adapters.mqtt import MqttLink, MqttSettings, TlsFiles
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.telemetry.sender import Sender
from bench.telemetry.history import CLASSES, Made
from protos.ids import NodeId
from tests.sim.made import draft
from tests.sim.telemetry_box import MIX
from tests.sim.wall_clock import WallClock

OUTBOX_BYTES = 64 << 20
AT_ONCE = 500  # records before a commit, while outboxes are filled
LOOK_SECONDS = 0.1


@dataclass
class Returning:
    """One box. `run`: what its records are told apart by."""

    node: str
    folder: Path
    run: str
    outbox: SqliteOutbox
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    told: int = 0
    sender: Sender | None = None
    back: asyncio.Event = field(default_factory=asyncio.Event)  # the connection is there

    def put(self, unix_ns: int) -> None:
        record_class = MIX[self.told % len(MIX)]
        self.told += 1
        self.counts[record_class] += 1
        self.outbox.put(draft(Made(self.run, record_class, self.counts[record_class]), unix_ns))

    async def fill(self, records: int, rate: float) -> None:
        """With what was told at that rate before now."""
        began = time.time_ns() - int(1e9 * (records / rate + 1.0))
        for number in range(records):
            self.put(began + int(1e9 * number / rate))
            if number % AT_ONCE == AT_ONCE - 1:
                await self.outbox.settle()
        await self.outbox.settle()

    def connect(self, host: str, port: int) -> asyncio.Task[None]:
        files = TlsFiles(self.folder / "ca.pem", self.folder / "cert.pem", self.folder / "key.pem")
        link = MqttLink(MqttSettings(NodeId(self.node), host, port, files, mqtt5=True, birth=b"", will=b""))
        self.sender = Sender(self.outbox, WallClock(), random.random)
        self.sender.attach(link)
        link.on_connection(lambda up: self.back.set() if up else None)
        link.start()
        return asyncio.create_task(self.sender.run())


async def tell(box: Returning, rate: float, quiet: asyncio.Event, delay: float) -> None:
    """Something new, once a second; a second's worth of it at once. Boxes do not do it in step.

    From the moment in which it is connected: what came before waited.
    """
    await box.back.wait()
    await asyncio.sleep(delay)
    due = time.monotonic()
    while not quiet.is_set():
        for _ in range(round(rate)):
            box.put(time.time_ns())
        due += 1.0
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def come_back(options: argparse.Namespace) -> None:
    folder, told = options.folder, options.folder / f"fleet.{options.first}"
    names = [f"box-{options.first + number}" for number in range(options.boxes)]
    boxes = [
        Returning(
            name, folder / name, f"{options.first + number:08x}", SqliteOutbox(folder / name / "db", OUTBOX_BYTES)
        )
        for number, name in enumerate(names)
    ]
    for box in boxes:
        await box.outbox.start()
        await box.fill(options.backlog, options.rate)
    say(told, boxes)
    while not (folder / "go").exists():  # noqa: ASYNC110 - another process says it
        await asyncio.sleep(LOOK_SECONDS)
    tasks = [box.connect(options.host, options.port) for box in boxes]
    quiet = asyncio.Event()
    tasks += [
        asyncio.create_task(tell(box, options.rate, quiet, number / len(boxes))) for number, box in enumerate(boxes)
    ]
    while True:
        if (folder / "quiet").exists():
            quiet.set()
        say(told, boxes)
        await asyncio.sleep(5 * LOOK_SECONDS)


def say(told: Path, boxes: list[Returning]) -> None:
    said = {
        "waiting": sum(box.outbox.summary().waiting_rows for box in boxes),
        "dropped": sum(box.outbox.summary().dropped_rows for box in boxes),
        "told": sum(box.told for box in boxes),
        "repeated": sum(box.sender.counts.repeated for box in boxes if box.sender),
    }
    draught = told.with_name(f"{told.name}.draught")
    draught.write_text(json.dumps(said))
    draught.replace(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--first", type=int, default=0, help="number of the first box")
    parser.add_argument("--boxes", type=int, required=True)
    parser.add_argument("--backlog", type=int, required=True, help="records that wait in each")
    parser.add_argument("--rate", type=float, default=10.0, help="records a second of each")
    uvloop.run(come_back(parser.parse_args()))


if __name__ == "__main__":
    main()
