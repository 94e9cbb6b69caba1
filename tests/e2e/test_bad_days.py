"""Broker, control plane and cloud node go away one after the other, and come back; the boxes go on.

The oracle is the same for every order: each record a box accepted is stored, declared dropped, or still waiting; the
outcomes sum up to the frames due; no process was started again but those that were killed. `up` itself is held still
while something is down, for it would start it again at once.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from tests.servers.demo import DemoTree, Document

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

BOXES = {"north-quay": 0, "south-quay": 1}
VICTIMS = {
    "broker": ("mosquitto",),
    "control plane": ("controlplane.main",),
    "cloud node": ("agent.main", "serve"),
}
ORDERS = list(itertools.permutations(VICTIMS))
SEED = int(os.environ.get("LONGSHORE_SEED", str(int(time.time()) // 3600)))
RECORD_TABLES = ("detections", "outcome_counts", "camera_health", "node_stats", "gaps")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoTree]:
    tree = DemoTree(tmp_path_factory.mktemp("bad-days") / "state")
    tree.start()
    try:
        tree.until("a first detection", lambda: tree.rows("SELECT 1 FROM detections LIMIT 1"), 90)
        yield tree
    finally:
        os.kill(tree.pid, signal.SIGCONT)
        tree.close()


@dataclass(frozen=True)
class Books:
    """What a box says of its own outbox and frames."""

    accepted: int
    waiting: int
    dropped: int
    frames: int


def books(tree: DemoTree, box: str) -> Books:
    text = httpx.get(f"http://127.0.0.1:{tree.agents_port + 10 * BOXES[box] + 2}/metrics", timeout=10).text

    def total(name: str) -> int:
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.MULTILINE)
        return int(sum(float(value) for value in found))

    return Books(
        accepted=total("longshore_outbox_accepted_records"),
        waiting=total("longshore_outbox_records"),
        dropped=total("longshore_outbox_dropped_records"),
        frames=total("longshore_frames_total"),
    )


def stored(tree: DemoTree, box: str) -> int:
    """Records of the box in the control plane's database; a name (node, epoch, seq) stands there once."""
    return sum(
        tree.rows(f"SELECT COUNT(DISTINCT epoch || seq) FROM {table} WHERE node_id = ?", box)[0][0]
        for table in RECORD_TABLES
    )


def declared(tree: DemoTree, box: str) -> int:
    """Records of the box that its stored Gaps say it dropped."""
    return int(tree.rows("SELECT COALESCE(SUM(dropped), 0) FROM gaps WHERE node_id = ?", box)[0][0])


def counted(tree: DemoTree, box: str) -> int:
    """Frames in the stored outcome counts of the box, each window checked to add up."""
    total = 0
    for row in tree.rows("SELECT frames_due, counts FROM outcome_counts WHERE node_id = ?", box):
        assert sum(json.loads(row["counts"]).values()) == row["frames_due"]
        total += row["frames_due"]
    return total


def pause(tree: DemoTree, *, paused: bool) -> None:
    for box in BOXES:
        tree.change("nodes", box, partial(set_paused, paused))


def set_paused(paused: bool, node: Document) -> None:
    node["spec"]["paused"] = paused


def balanced(tree: DemoTree, box: str) -> bool:
    """Everything accepted is accounted for, all drops are declared, every frame of the box is in a stored window."""
    book = books(tree, box)
    accounted = stored(tree, box) + book.dropped + book.waiting
    return (book.accepted, book.dropped, book.frames) == (accounted, declared(tree, box), counted(tree, box))


def take_away(tree: DemoTree, victim: str, seconds: float) -> None:
    """Kill it and keep it away; the boxes must go on answering frames all the time."""
    os.kill(tree.pid, signal.SIGSTOP)
    try:
        os.kill(tree.pid_of(*VICTIMS[victim]), signal.SIGKILL)
        until = time.monotonic() + seconds
        before = {box: books(tree, box) for box in BOXES}
        while time.monotonic() < until:
            time.sleep(min(5.0, seconds / 2))
            now = {box: books(tree, box) for box in BOXES}
            assert all(now[box].frames > before[box].frames for box in BOXES), f"frames stopped without the {victim}"
            before = now
    finally:
        os.kill(tree.pid, signal.SIGCONT)
    tree.until(f"the {victim} is back", lambda: tree.find(*VICTIMS[victim]), 20)


def survives(tree: DemoTree, order: tuple[str, ...], seconds: float) -> None:
    flows_again(tree)  # an order before this one ends with boxes that were paused
    untouched = bystanders(tree)
    for victim in order:
        take_away(tree, victim, seconds)
        tree.until("the control plane answers", lambda: tree.get("nodes"), 30)
        flows_again(tree)
    pause(tree, paused=True)
    try:
        for box in BOXES:
            tree.until(f"the books of {box} balance", partial(balanced, tree, box), 60)
    finally:
        pause(tree, paused=False)
    assert untouched <= set(tree.processes()), "a process was started again that nobody killed"


def bystanders(tree: DemoTree) -> set[int]:
    """Every process of the tree but the victims and what runs under them."""
    victims = {tree.pid_of(*words) for words in VICTIMS.values()}
    return {pid for pid in tree.processes() if pid not in victims and tree.parent_of(pid) not in victims}


def flows_again(tree: DemoTree) -> None:
    tree.until("telemetry of both boxes flows again", partial(flows, tree, time.time()), 60)


def flows(tree: DemoTree, since: float) -> bool:
    query = "SELECT DISTINCT node_id FROM detections WHERE captured_unix_ns > ?"
    return len(tree.rows(query, int(since * 1e9))) == len(BOXES)


def test_one_order_with_a_minute_each(tree: DemoTree) -> None:
    survives(tree, ("broker", "control plane", "cloud node"), 60.0)


def test_an_order_drawn_by_seed_with_ten_seconds_each(tree: DemoTree) -> None:
    order = random.Random(SEED).choice(ORDERS)
    print(f"\nLONGSHORE_SEED={SEED}: {', '.join(order)}")
    survives(tree, order, 10.0)


@pytest.mark.soak
@pytest.mark.skipif("LONGSHORE_SOAK" not in os.environ, reason="half an hour; run by make soak")
@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
def test_every_order_with_a_minute_each(tree: DemoTree, order: tuple[str, ...]) -> None:
    survives(tree, order, 60.0)
