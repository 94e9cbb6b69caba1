"""A control plane is backed up while it serves, lost, and restored elsewhere: its boxes go on as who they are."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.box import AgentProcess
from tests.servers.demo import DemoTree
from tests.sim import past

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoTree]:
    monkeypatch.setenv("LONGSHORE_LATE_RENEWAL_DAYS", "36500")  # the stored certificate was good for a week
    tree = DemoTree(tmp_path / "state", demo=False)
    past.control_plane(tree.state)
    tree.start()
    yield tree
    tree.close()


def longshore(tree: DemoTree, *words: str) -> str:
    command = [*tree.command()[:4], *words]
    done = subprocess.run(command, cwd=tree.state.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def newest(tree: DemoTree) -> int:
    """When the last frame of the box was captured, as stored."""
    found = tree.rows("SELECT max(captured_unix_ns) AS newest FROM detections WHERE node_id = ?", past.BOX)
    return int(found[0]["newest"] or 0) if found else 0


def test_a_control_plane_comes_back_from_its_backup_and_its_boxes_go_on(tree: DemoTree, tmp_path: Path) -> None:
    tree.until("the control plane answers", lambda: tree.get("nodes"), 60)
    box = AgentProcess(past.box(tmp_path / "box", tree.ports["https"], tree.ports["grpc"]))
    box.start()
    before, began = tree.get(f"nodes/{past.BOX}")["metadata"], newest(tree)
    again = DemoTree(tmp_path / "elsewhere", demo=False)
    again.ports = tree.ports  # another machine under the old one's name
    try:
        tree.until(f"telemetry comes while it serves\n{box.said()}", lambda: newest(tree) > began, 90)
        assert "database sqlite" in longshore(tree, "backup", "fleet.tar", "--state", str(tree.state))
        key = (box.state_dir / "identity" / "key.pem").read_bytes()
        tree.kill()
        tree.until("its ports are free", lambda: not tree.taken_ports(), 30)
        longshore(tree, "restore", "fleet.tar", "--state", str(again.state))
        backed_up = newest(again)
        assert backed_up >= began
        again.start()
        again.until(f"the box's telemetry is stored again\n{box.said()}", lambda: newest(again) > backed_up, 120)
        found = again.get(f"nodes/{past.BOX}")
        assert (found["metadata"]["uid"], found["status"]["phase"]) == (before["uid"], "Online")
        assert (box.state_dir / "identity" / "key.pem").read_bytes() == key
        assert again.token == tree.token
    finally:
        box.close()
        again.close()
