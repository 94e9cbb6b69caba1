"""From broker to commit: Mosquitto with TLS, an ingest process, and many boxes over one connection, as fast as it goes.

Boxes send as real ones do: so many batches in the air, the next when one is acknowledged, and nothing is acknowledged
before its commit. All of it, the boxes included, runs on the cores of this machine.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.ingest.parcels import BATCH, NOW_MS, Parcel, nodes, parcels
from bench.processes import cpu_seconds, pss_mb
from bench.telling import Result
from controlplane.db import Database
from controlplane.trust.domain import CONTROL_PLANE_USER
from protos.ids import NodeId
from tests.servers.brokers import TlsBroker
from tests.servers.ports import free_port, wait_for
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet
from tests.sim.many_boxes import USER, ManyBoxes

BOXES, IN_THE_AIR = 100, 8  # batches of each box; Mosquitto keeps a thousand for a subscriber
PATIENCE = 120.0  # seconds for anything


@dataclass
class Way:
    """A broker, an ingest process with its database, and boxes."""

    broker: TlsBroker
    process: subprocess.Popen[bytes]
    boxes: ManyBoxes
    names: Sequence[NodeId]
    sent_at: dict[tuple[NodeId, int], float] = field(default_factory=dict)

    def close(self) -> None:
        self.boxes.close()
        self.process.kill()
        self.process.wait()
        self.broker.kill()


def way(folder: Path, url: str) -> Way:
    database = Database(url)
    fleet = SimFleet(database, FakeClock(unix=NOW_MS / 1000))
    names = nodes(BOXES)
    for name in names:
        fleet.join(name)
    database.close()
    broker = TlsBroker("mosquitto", folder)
    broker.start()
    return Way(broker, _ingest(broker, folder, url), ManyBoxes(broker.listener.port, broker.files(USER)), names)


def _ingest(broker: TlsBroker, folder: Path, url: str) -> subprocess.Popen[bytes]:
    home = folder / "ingest"
    broker.hand_out(CONTROL_PLANE_USER, home)
    metrics = free_port()
    where = [str(home), "127.0.0.1", str(broker.listener.port), "1", url, "1", str(metrics)]
    process = subprocess.Popen([sys.executable, "-m", "tests.sim.telemetry_plane", *where])
    wait_for(metrics, process)
    return process


def throughput(folder: Path, url: str, batches: int) -> Result:
    """`batches` of each box, from the first message to the last acknowledgement."""
    line = way(folder, url)
    try:
        warm, sent = parcels(line.names, 1, 1), parcels(line.names, 1 + BATCH, batches)
        _until_heard(line, warm)
        memory, before = Peak(line.process.pid), cpu_seconds(line.process.pid)
        seconds = _pour(line, sent, len(warm) * BATCH)
        spent = cpu_seconds(line.process.pid) - before
        records = len(sent) * BATCH
        return {
            "records": records,
            "records_per_second": round(records / seconds),
            "seconds": round(seconds, 2),
            "ingest_cores": round(spent / seconds, 2),
            "ingest_most_mb": round(memory.stop(), 1),
        }
    finally:
        line.close()


def _until_heard(line: Way, warm: Sequence[Parcel]) -> None:
    """Its first messages come as soon as it listens; before, the broker has nobody to give them to."""
    until = time.monotonic() + PATIENCE
    while not line.boxes.wait(len(warm) * BATCH, 1.0):
        assert time.monotonic() < until, "ingest hears nothing"
        for node, payload in warm:
            line.boxes.publish(node, payload)


def _pour(line: Way, sent: Sequence[Parcel], before: int) -> float:
    """Seconds."""
    began = time.perf_counter()
    for number, (node, payload) in enumerate(sent):
        window = before + (number - IN_THE_AIR * BOXES // 2) * BATCH
        assert line.boxes.wait(window, PATIENCE), "nothing is acknowledged any more"
        line.boxes.publish(node, payload)
    assert line.boxes.wait(before + len(sent) * BATCH, PATIENCE), "not all was acknowledged"
    return time.perf_counter() - began


class Peak:
    """The most memory that a process had, in MB, looked at ten times a second until `stop`."""

    def __init__(self, pid: int) -> None:
        self._pid, self._most, self._ended = pid, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while True:
            self._most = max(self._most, pss_mb(self._pid))
            if self._ended.wait(0.1):
                return
