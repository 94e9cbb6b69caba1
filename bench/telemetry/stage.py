"""Boxes, broker, ingest, control plane and database, each a process that may be killed at any moment.

Two take telemetry in, as replicas on one database: a process that does nothing else, and the real control plane where
a stage has it. Mosquitto shares the messages among them; of the embedded broker each gets all.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.telemetry import database
from bench.telemetry.history import Books, History, ledger
from controlplane.config import Config
from controlplane.db import Database
from controlplane.trust.domain import CONTROL_PLANE_USER
from controlplane.up import plan
from controlplane.up.options import UpOptions
from tests.servers.brokers import TlsBroker
from tests.servers.ports import free_port, listens
from tests.servers.postgres import Postgres
from tests.servers.require import dies_with_us
from tests.sim import telemetry_box
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet

AGENT, BROKER, INGEST, CONTROL_PLANE, DATABASE = "agent", "broker", "ingest", "control plane", "database"
KINDS = (AGENT, BROKER, INGEST, CONTROL_PLANE, DATABASE)
ROOMY, TIGHT = 64 << 20, 256 << 10  # bytes of an outbox; the tight one holds what comes in some seconds
CONTROL_PLANE_REPLICA = 2
MOST_ENDED = 100  # times; a control plane ends when it starts while its database is away
PATIENCE_SECONDS = 120.0  # for what must happen in the end
ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """A program that is started again whenever it has ended. `ended`: how often it did so by itself."""

    command: Sequence[str]
    log: Path
    ended: int = 0
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = dies_with_us(list(self.command))
            self.running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait()
            self.running = None

    def tend(self) -> None:
        """As whatever keeps it running would. Raises RuntimeError when it is of no use."""
        if self.running is not None and self.running.poll() is not None:
            self.ended += 1
            if self.ended > MOST_ENDED:
                raise RuntimeError(f"{self.command} ended again and again: {self.log.read_text()[-2000:]}")
            self.start()


@dataclass
class Box:
    """`name`: of its folder; boxes with one `node` are copies of each other."""

    name: str
    node: str
    folder: Path
    process: Process

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self.process.running is not None
        return self.process.running.pid

    @property
    def said(self) -> dict[str, Any]:
        """What its outbox said last."""
        with suppress(FileNotFoundError):
            return dict(json.loads((self.folder / "books").read_text()))
        return {}

    @property
    def ledger(self) -> list[str]:
        """Its lines, see tests.sim.telemetry_box."""
        path = self.folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def books(self) -> Books:
        return Books(self.said["accepted"], self.said["waiting"], self.said["dropped"])

    @property
    def at_rest(self) -> bool:
        said = self.said
        return bool(said) and said["quiet"] and said["waiting"] == 0

    def fall_silent(self) -> None:
        (self.folder / "quiet").touch()

    def speak(self) -> None:
        (self.folder / "quiet").unlink(missing_ok=True)


@dataclass
class Stage:
    """See `staged`."""

    folder: Path
    broker: TlsBroker
    url: str
    postgres: Postgres | None
    rate: float  # records a second of each box
    boxes: list[Box] = field(default_factory=list)
    planes: dict[str, Process] = field(default_factory=dict)
    _https_port: int = 0

    def __post_init__(self) -> None:
        self.database = Database(self.url)
        self.fleet = SimFleet(self.database, FakeClock(unix=time.time()))
        self.ingest()

    # ---- who is there ----

    def box(self, name: str, outbox_bytes: int = ROOMY, *, without: str = "", node: str = "") -> Box:
        """One more; `without`: see tests.sim.telemetry_faults. It does not run yet."""
        folder, node = self.folder / name, node or name
        self.broker.hand_out(node, folder)
        options = ["--node", node, "--rate", str(self.rate), "--outbox-bytes", str(outbox_bytes)]
        options += ["--mqtt5"] if self.broker.mqtt5 else []
        options += ["--without", without] if without else []
        where = [str(folder), "127.0.0.1", str(self.broker.listener.port)]
        command = [sys.executable, "-m", "tests.sim.telemetry_box", *where, *options]
        self.boxes.append(Box(name, node, folder, Process(command, self.folder / f"{name}.log")))
        self.fleet.join(node)
        return self.boxes[-1]

    def copy(self, of: Box, name: str) -> Box:
        """A box with a copy of the disk of `of`, as it is now."""
        folder = self.folder / name
        shutil.copytree(of.folder, folder)
        (folder / "books").unlink(missing_ok=True)
        command = [str(folder) if part == str(of.folder) else part for part in of.process.command]
        self.boxes.append(Box(name, of.node, folder, Process(command, self.folder / f"{name}.log")))
        return self.boxes[-1]

    def with_control_plane(self) -> None:
        """The real one, beside ingest."""
        ports = self._https_port = free_port(2)
        options = UpOptions(self.folder, https_port=ports, http_port=ports + 1, grpc_port=ports + 2)
        command = plan.control_plane(options, self.broker.listener, mqtt5=self.broker.mqtt5).command
        more = ["--database-url", self.url, "--replica", str(CONTROL_PLANE_REPLICA)]
        self.planes[CONTROL_PLANE] = Process([*command, *more], self.folder / "control-plane.log")

    def ingest(self, without: str = "") -> None:
        """The process that does nothing else; `without`: see tests.sim.telemetry_faults."""
        folder = self.folder / "ingest"
        self.broker.hand_out(CONTROL_PLANE_USER, folder)
        where = [str(folder), "127.0.0.1", str(self.broker.listener.port), str(int(self.broker.mqtt5)), self.url]
        command = [sys.executable, "-m", "tests.sim.telemetry_plane", *where, "1", "0", without]
        self.planes[INGEST] = Process(command, self.folder / "ingest.log")

    # ---- what happens to them ----

    def start(self) -> None:
        self.broker.start()
        for plane in self.planes.values():
            plane.start()
        for box in self.boxes:
            box.process.start()
        if CONTROL_PLANE in self.planes:  # its first start makes keys; that is not what is killed here
            self.until("a control plane that answers", lambda: listens(self._https_port))

    def fell(self, kind: str, box: Box) -> None:
        """kill -9 of one of that kind, `box` where it is an agent's turn; it starts again at once."""
        if kind == AGENT:
            box.process.kill()
            box.process.start()
        elif kind == BROKER:
            self.broker.kill()
            self.broker.start()
        elif kind == DATABASE:
            assert self.postgres is not None
            self.postgres.kill()
            self.postgres.start()
        else:
            self.planes[kind].kill()
            self.planes[kind].start()

    def tend(self) -> None:
        for process in (*self.planes.values(), *(box.process for box in self.boxes)):
            process.tend()

    def pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.tend()
            time.sleep(min(left, 0.1))

    def until(self, what: str, true: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> float:
        """Seconds that it took. Raises TimeoutError."""
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{what} did not happen within {seconds:g} s")
            self.pause(0.05)
        return time.monotonic() - began

    def silence(self) -> float:
        """Nothing more is produced, all that waits arrives; seconds that it took."""
        for box in self.boxes:
            box.fall_silent()
        return self.until("an empty outbox everywhere", lambda: all(box.at_rest for box in self.boxes))

    @property
    def accepted(self) -> int:
        """By all ledgers so far; those of copies count what their original has, too."""
        lines = [box.ledger for box in self.boxes]
        return sum(sum(ledger(each).values()) for each in lines)

    def histories(self) -> list[History]:
        """One of each node, whoever was that node; all boxes end first."""
        for box in self.boxes:
            box.process.kill()
        return [self._history(node) for node in dict.fromkeys(box.node for box in self.boxes)]

    def _history(self, node: str) -> History:
        boxes = [box for box in self.boxes if box.node == node]
        accepted: dict[tuple[str, str], int] = {}
        for box in boxes:
            for key, count in ledger(box.ledger).items():
                accepted[key] = max(count, accepted.get(key, 0))  # a copy has the lines of its original, too
        books = boxes[0].books if len(boxes) == 1 else None  # those of copies overlap
        return database.history(self.database, node, accepted, telemetry_box.burst(self.rate), books)

    @property
    def bare(self) -> bool:
        """Nothing of a box is stored yet."""
        return not all(database.any_of(self.database, box.node) for box in self.boxes)

    def close(self) -> None:
        for process in (*(box.process for box in self.boxes), *self.planes.values()):
            process.kill()
        self.broker.kill()
        self.database.close()
        if self.postgres is not None:
            self.postgres.close()


@contextmanager
def staged(folder: Path, broker: str, *, postgres: bool, rate: float) -> Iterator[Stage]:
    """A stage without boxes. `broker`: of tests.servers.brokers.KINDS; without `postgres` it is SQLite."""
    authority = Config(folder).folder / "ca"
    authority.mkdir(parents=True, mode=0o700)
    server = Postgres() if postgres else None
    if server is not None:
        server.start()
    url = server.url if server is not None else f"sqlite:///{folder / 'longshore.db'}"
    stage = Stage(folder, TlsBroker(broker, authority), url, server, rate)
    try:
        yield stage
    finally:
        stage.close()
