"""Two replicas of ingest at one Mosquitto and one PostgreSQL: whichever takes a message, the books add up."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from controlplane import tables
from controlplane.db import Database
from controlplane.trust.domain import CONTROL_PLANE_USER, replica_user
from protos.ids import NodeId
from tests.servers.brokers import TlsBroker
from tests.servers.ports import free_port, wait_for
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet
from tests.sim.ingest import frame_record, told
from tests.sim.many_boxes import USER, ManyBoxes
from tests.sim.stored import books, stored

pytestmark = [pytest.mark.mosquitto, pytest.mark.postgres, pytest.mark.e2e]
ROOT = Path(__file__).parents[2]
BOXES, BATCHES, RECORDS = 6, 40, 10  # of each, in each
SECONDS = 60.0
SEED = 20261128
RESEND_SECONDS = 0.5


class Replica:
    """An ingest process."""

    def __init__(self, broker: TlsBroker, folder: Path, url: str, number: int) -> None:
        home = folder / f"replica-{number}"
        broker.hand_out(replica_user(CONTROL_PLANE_USER, number), home)
        self._metrics = free_port()
        where = [str(home), "127.0.0.1", str(broker.listener.port), "1", url, str(number), str(self._metrics)]
        self.process = subprocess.Popen([sys.executable, "-m", "tests.sim.telemetry_plane", *where], cwd=ROOT)

    def ready(self) -> None:
        wait_for(self._metrics, self.process)
        until = time.monotonic() + SECONDS
        while self.figure("longshore_ingest_connected") != 1:
            assert time.monotonic() < until
            time.sleep(0.05)

    def figure(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[TlsBroker]:
    made = TlsBroker("mosquitto", tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    made = Database(postgres_url)
    yield made
    made.close()


def parcels(nodes: list[NodeId], rng: random.Random) -> list[tuple[NodeId, bytes]]:
    """Every batch up to five times, in any order, of two epochs of each box."""
    made: list[tuple[NodeId, bytes]] = []
    for node in nodes:
        for batch in range(BATCHES):
            first = 1 + batch // 2 * RECORDS
            epoch = f"e{batch % 2}"
            records = [frame_record(seq, seq) for seq in range(first, first + RECORDS)]
            made += [(node, told(*records, epoch=epoch))] * rng.randint(1, 5)
    rng.shuffle(made)
    return made


def test_what_comes_to_two_replicas_in_any_order_is_stored_once_and_acknowledged_whole(
    broker: TlsBroker, database: Database, postgres_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    fleet = SimFleet(database, clock)
    nodes = [NodeId(f"quay-{number}") for number in range(BOXES)]
    for node in nodes:
        fleet.join(node)
    replicas = [Replica(broker, tmp_path, postgres_url, number) for number in (1, 2)]
    boxes = ManyBoxes(broker.listener.port, broker.files(USER))
    try:
        for replica in replicas:
            replica.ready()
        sent = parcels(nodes, random.Random(SEED))
        for node, payload in sent:
            boxes.publish(node, payload)
        wanted = BOXES * BATCHES * RECORDS
        assert boxes.wait(wanted, SECONDS), f"{boxes.records()} of {wanted} acknowledged, seed {SEED}"
        halves = _taken(replicas, len(sent))
        assert min(halves) > len(sent) / 4, f"messages were taken {halves}"
        _killed_midway(replicas[0], boxes, nodes)
    finally:
        boxes.close()
        for replica in replicas:
            replica.kill()
    _adds_up(database, nodes)


def _taken(replicas: list[Replica], sent: int) -> list[float]:
    until = time.monotonic() + SECONDS
    while sum(found := [each.figure("longshore_ingest_messages_total") for each in replicas]) < sent:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def _killed_midway(replica: Replica, boxes: ManyBoxes, nodes: list[NodeId]) -> None:
    """What the one had taken and not stored comes to the other when it is sent again."""
    more = [(node, told(*(frame_record(seq, seq) for seq in range(first, first + RECORDS)), epoch="e2"))
            for first in range(1, 1 + BATCHES * RECORDS, RECORDS) for node in nodes]  # fmt: skip
    wanted = boxes.records() + len(more) * RECORDS
    until = time.monotonic() + SECONDS
    while boxes.records() < wanted:
        assert time.monotonic() < until, f"{boxes.records()} of {wanted}"
        for number, (node, payload) in enumerate(more):
            boxes.publish(node, payload)
            if number == len(more) // 2:
                replica.kill()
        boxes.wait(wanted, RESEND_SECONDS)


def _adds_up(database: Database, nodes: list[NodeId]) -> None:
    each = BATCHES // 2 * RECORDS
    for node in nodes:
        for epoch, records in (("e0", each), ("e1", each), ("e2", BATCHES * RECORDS)):
            kept = books(database, node, epoch)
            assert (kept.up_to, kept.beyond, kept.stored, kept.dropped) == (records, [], records, 0)
            assert stored(database, node, epoch) == (records, 0)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(tables.RecordConflict)) == 0
