"""The life of the demo's process tree: quick to start, gone with Ctrl-C, back after any kill, the same fleet again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.servers.demo import DemoTree, command_of, wait_until_gone
from tests.servers.require import unmet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FIRST_DETECTION = "first detection"
START_SECONDS = 60.0
WHOLE_TREE = 11  # up, broker, control plane, three agents, three engine and two capture workers
HANGS_SECONDS = 60.0  # how long things take stands in bench/results; on a busy machine only a hang is a failure
NODES = ("north-quay", "south-quay", "cloud-1")
# what dies -> words in its command line
VICTIMS = {
    "control plane": ("controlplane.main",),
    "broker": ("mosquitto.conf",),
    "RTSP server": ("rtsp_server.py",),
    "box": ("agent.main", "north-quay"),
    "cloud node": ("agent.main", "cloud-1"),
    "capture worker": ("agent.cameras.worker",),
    "engine worker": ("agent.inference.worker",),
}


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DemoTree, float]]:
    """One demo for the module, from an empty state, and the seconds to its first detection."""
    tree = DemoTree(tmp_path_factory.mktemp("life") / ".longshore")
    tree.start()
    yield tree, tree.until_said(FIRST_DETECTION, START_SECONDS)
    tree.close()


@pytest.fixture
def tree(born: tuple[DemoTree, float]) -> DemoTree:
    """Each test finds it running, whatever the one before it did."""
    if not born[0].running:
        restart(born[0])
    return born[0]


def restart(tree: DemoTree) -> float:
    """Start `up` again; seconds to the first detection of this run."""
    tree.log.unlink()
    tree.start()
    return tree.until_said(FIRST_DETECTION, START_SECONDS)


def fresh_frame(tree: DemoTree, since: float) -> bool:
    """Whether every camera has a result of a frame captured after `since` in the database."""
    query = "SELECT DISTINCT camera FROM detections WHERE captured_unix_ns > ?"
    return len(tree.rows(query, int(since * 1e9))) == 3


def test_from_nothing_to_the_first_detection(born: tuple[DemoTree, float]) -> None:
    print(f"\nfirst detection, from an empty state: {born[1]:.1f} s")
    assert born[1] <= HANGS_SECONDS


def test_started_again_it_is_the_same_fleet(tree: DemoTree) -> None:
    before = {node["metadata"]["name"]: node["metadata"]["uid"] for node in tree.get("nodes")["items"]}
    tree.change("cameras", "gate", lambda camera: camera["spec"].update(rate=5))
    tree.stop()
    print(f"\nfirst detection, started again: {restart(tree):.1f} s")
    assert {node["metadata"]["name"]: node["metadata"]["uid"] for node in tree.get("nodes")["items"]} == before
    assert tree.get("cameras/gate")["spec"]["rate"] == 5
    assert len(tree.get("releases")["items"]) == 1


def test_a_box_that_was_deleted_is_told_with_the_way_back_and_comes_back_by_it(tree: DemoTree) -> None:
    with tree.client() as client:
        client.delete("/api/v1/nodes/south-quay").raise_for_status()
    tree.stop()
    restart(tree)
    (told,) = (line for line in tree.log.read_text().splitlines() if "was deleted" in line)
    (joined,) = (line for line in tree.log.read_text().splitlines() if "✓ boxes" in line)
    identity = tree.state / "agents" / "south-quay" / "identity"
    assert told.split() == f"! south-quay was deleted; to bring it back, delete {identity} and start this again".split()
    assert "north-quay, cloud-1 " in joined
    tree.stop()
    shutil.rmtree(identity)
    restart(tree)
    assert "was deleted" not in tree.log.read_text()
    assert {node["metadata"]["name"] for node in tree.get("nodes")["items"]} == set(NODES)


def test_ctrl_c_leaves_nothing_behind(tree: DemoTree) -> None:
    tree.until("all workers run", lambda: len(tree.processes()) >= WHOLE_TREE, 30)
    below = tree.processes()
    took = tree.stop()
    print(f"\nCtrl-C took {took:.1f} s")
    assert took <= 15.0
    wait_until_gone(below, 0.5)
    assert tree.taken_ports() == []


def test_after_kill_9_of_up_no_orphan_is_left_and_it_works_again(tree: DemoTree) -> None:
    below = tree.processes()
    tree.kill()
    wait_until_gone(below)
    took = restart(tree)
    print(f"\nfirst detection after kill -9 of up: {took:.1f} s")
    assert took <= HANGS_SECONDS


@pytest.mark.parametrize("victim", VICTIMS)
def test_after_kill_9_of_any_process_all_cameras_are_seen_again(tree: DemoTree, victim: str) -> None:
    if not any(all(word in line for word in VICTIMS[victim]) for line in tree.processes().values()):
        unmet(f"no {victim} in this tree; install mosquitto and GStreamer's RTSP server")
    pid = tree.pid_of(*VICTIMS[victim])
    told = command_of(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone({pid: told})
    since = time.time()
    took = tree.until(f"all cameras after the {victim} died", lambda: fresh_frame(tree, since), HANGS_SECONDS)
    print(f"\nall cameras seen again after the {victim} died: {took:.1f} s")


def test_killed_workers_leave_no_shared_memory_behind(tree: DemoTree) -> None:
    """Memory lives as long as somebody holds it: what the dead had must be let go of by the living."""
    tree.until("all cameras", partial(fresh_frame, tree, time.time()), HANGS_SECONDS)
    # A release that is still being confirmed would be refused for its third fall.
    tree.until("the release is confirmed everywhere", lambda: all(map(tree.confirmed, NODES)), HANGS_SECONDS)
    before = len(tree.shared_memory())
    assert before > 0
    for victim in ("capture worker", "engine worker") * 3:
        os.kill(tree.pid_of(*VICTIMS[victim]), signal.SIGKILL)
        tree.until(f"all cameras after the {victim} died", partial(fresh_frame, tree, time.time()), HANGS_SECONDS)
    tree.until("the memory of the dead is given back", lambda: len(tree.shared_memory()) <= before, 20)


def test_boxes_follow_a_control_plane_that_moved_to_other_ports(tree: DemoTree) -> None:
    tree.stop()
    moved = DemoTree(tree.state)
    moved.log = tree.state.parent / "moved.log"
    moved.start()
    try:
        moved.until_said(FIRST_DETECTION, START_SECONDS)
        since = time.time()
        moved.until("all cameras on the new ports", lambda: fresh_frame(moved, since), HANGS_SECONDS)
    finally:
        moved.close()
