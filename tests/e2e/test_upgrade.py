"""A fleet of the first release under today's code: its control plane and a box of it, started on what they left."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import outside
from agent.version import VERSION
from tests.servers.box import AgentProcess
from tests.servers.demo import DemoTree
from tests.sim import past

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TABLES = ("detections", "outcome_counts", "camera_health", "node_stats", "gaps")
KILLS = (0.4, 1.0, 1.8)  # seconds after a start, while the agent opens what it finds


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoTree]:
    monkeypatch.setenv("LONGSHORE_LATE_RENEWAL_DAYS", "36500")  # the stored certificate was good for a week
    tree = DemoTree(tmp_path / "state", demo=False)
    past.control_plane(tree.state)
    tree.start()
    yield tree
    tree.close()


@pytest.fixture
def box(tmp_path: Path, tree: DemoTree) -> Iterator[AgentProcess]:
    agent = AgentProcess(past.box(tmp_path / "box", tree.ports["https"], tree.ports["grpc"]))
    yield agent
    agent.close()


def waiting(folder: Path) -> tuple[str, set[int]]:
    """Epoch, and the numbers of what nobody had acknowledged."""
    with contextlib.closing(sqlite3.connect(folder / "outbox.db")) as outbox:
        (epoch,) = outbox.execute("SELECT epoch FROM books").fetchone()
        return epoch, {seq for (seq,) in outbox.execute("SELECT seq FROM waiting")}


def stored(tree: DemoTree, epoch: str) -> set[int]:
    query = "SELECT seq FROM {} WHERE epoch = ?"
    return {row["seq"] for table in TABLES for row in tree.rows(query.format(table), epoch)}


def node(tree: DemoTree) -> dict[str, Any]:
    found: dict[str, Any] = tree.get(f"nodes/{past.BOX}")
    return found


def updated(tree: DemoTree) -> bool:
    found = node(tree)["status"]
    deployments = {each["name"]: each for each in found["deployments"]}
    return (
        found["phase"] == "Online"
        and found["inventory"]["agentVersion"] == VERSION
        and deployments["harbour-watch"]["state"] == "IDLE"
        and bool(deployments["harbour-watch"]["activeDigest"])
    )


def test_the_first_releases_fleet_goes_on_even_when_killed_on_the_way(tree: DemoTree, box: AgentProcess) -> None:
    tree.until("the control plane answers", lambda: tree.get("nodes"), 60)
    before, before_ms = node(tree)["metadata"], time.time() * 1000
    epoch, unacknowledged = waiting(box.state_dir)
    assert len(unacknowledged) > 5
    assert not stored(tree, epoch) & unacknowledged
    for seconds in KILLS:
        box.start()
        time.sleep(seconds)
        box.kill()
    box.start()
    tree.until(f"the box runs its release as the same node\n{box.said()}", lambda: updated(tree), 90)
    assert node(tree)["metadata"]["uid"] == before["uid"]
    assert node(tree)["metadata"]["labels"] == before["labels"]
    tree.until("what had waited is stored", lambda: unacknowledged <= stored(tree, epoch), 60)
    fresh = "SELECT 1 FROM detections WHERE epoch <> ? AND camera = 'crane' AND outcome = 'ok_local' AND stored_ms > ?"
    tree.until("new frames are answered", lambda: tree.rows(fresh, epoch, before_ms), 60)
    seen = outside.gather(box.state_dir)
    assert (seen.url_error, seen.fleet_error, seen.broker_error) == ("", "", "")
    assert seen.clock_offset is not None
    assert abs(seen.clock_offset) < 30
    cameras = {camera["metadata"]["name"] for camera in tree.get("cameras")["items"]}
    assert cameras == {"berth", "crane", "gate", "yard"}
