"""`longshore up` without a demo, for real: it starts, says who holds it, survives kills, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.servers.demo import ROOT, DemoTree, wait_until_gone

pytestmark = pytest.mark.e2e

READY = "signin?code="
START_SECONDS = 30.0  # on a busy CI machine; measured 3 s

MARKS = {"control plane": ("controlplane.main",), "broker": ("mosquitto.conf", "embedded_broker")}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[DemoTree]:
    tree = DemoTree(tmp_path / ".longshore", demo=False)
    tree.start()
    tree.until_said(READY, START_SECONDS)
    yield tree
    tree.close()


def up(tree: DemoTree) -> subprocess.CompletedProcess[str]:
    """`up` on the same state and ports, run to its end."""
    return subprocess.run(tree.command(), cwd=tree.state.parent, capture_output=True, text=True, check=False)


def cli(tree: DemoTree, *arguments: str) -> str:
    longshore = [*tree.command()[:4], *arguments]
    return subprocess.run(longshore, cwd=tree.state.parent, capture_output=True, text=True, check=True).stdout


def test_ctrl_c_ends_everything_within_five_seconds(tree: DemoTree) -> None:
    below = tree.processes()
    assert len(below) >= 3
    assert tree.stop() <= 15.0  # usually three; the figure stands in bench/results
    wait_until_gone(below, 0.5)
    assert tree.taken_ports() == []


def test_a_second_up_on_the_same_state_says_who_holds_it(tree: DemoTree) -> None:
    second = up(tree)
    assert second.returncode != 0
    assert f"(pid {tree.pid}) holds" in second.stderr


def test_a_taken_port_is_told_with_its_holder_and_the_flag(tmp_path: Path) -> None:
    tree = DemoTree(tmp_path / "state", demo=False)
    with socket.create_server(("127.0.0.1", tree.ports["grpc"])):
        refused = up(tree)
    assert refused.returncode != 0
    assert f"port {tree.ports['grpc']} (gRPC) is in use by" in refused.stderr
    assert "--grpc-port" in refused.stderr


def test_after_kill_9_of_up_nothing_is_left_and_it_starts_again(tree: DemoTree) -> None:
    below = tree.processes()
    tree.kill()
    wait_until_gone(below)
    tree.log.unlink()
    tree.start()
    assert tree.until_said(READY, START_SECONDS) < 10.0


@pytest.mark.parametrize("name", ["control plane", "broker"])
def test_a_child_killed_with_9_is_started_again_and_told(tree: DemoTree, name: str) -> None:
    def running() -> dict[int, str]:
        below = ((pid, line) for pid, line in tree.processes().items() if pid != tree.pid)
        return {pid: line for pid, line in below if any(mark in line for mark in MARKS[name])}

    first = running()
    os.kill(min(first), signal.SIGKILL)
    tree.until_said(f"{name} was killed by SIGKILL; starting it again", 5.0)
    wait_until_gone(first)
    tree.until(f"{name} runs again", running)


def test_the_embedded_broker_serves_where_it_is_chosen(tmp_path: Path) -> None:
    tree = DemoTree(tmp_path / "state", "--embedded-broker", demo=False)
    tree.start()
    tree.until_said("embedded on port", START_SECONDS)
    tree.until_said(READY, START_SECONDS)
    assert tree.stop() <= 15.0  # usually three; the figure stands in bench/results


@pytest.fixture
def box(tree: DemoTree, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that somebody else started, joined to the control plane of `tree`."""
    agent = [*tree.command()[:3], "agent.main"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LONGSHORE_JOIN_TOKEN": cli(tree, "token", "create", "-q")}
    url = f"https://127.0.0.1:{tree.ports['https']}"
    join = [*agent, "join", url, "--node-id", "pier-1", "--state-dir", str(tmp_path / "pier-1")]
    subprocess.run(join, env=environment, capture_output=True, check=True, timeout=60)
    ports = [part for flag in ("http", "grpc", "metrics") for part in (f"--{flag}-port", "0")]
    with (tmp_path / "pier-1.log").open("wb") as log:
        run = [*agent, "run", "--state-dir", str(tmp_path / "pier-1"), *ports]
        process = subprocess.Popen(run, env=environment, stdout=log, stderr=log)
    yield process
    process.terminate()
    process.wait(20)


def test_a_box_of_somebody_else_outlives_the_control_plane(tree: DemoTree, box: subprocess.Popen[bytes]) -> None:
    def online() -> bool:
        conditions = tree.get("nodes/pier-1")["status"]["conditions"]
        return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)

    tree.until("the box is there", online, 30)
    tree.stop()
    assert box.poll() is None
    tree.log.unlink()
    tree.start()
    began = time.time()
    tree.until("the box is back", lambda: seen_since(tree, began), 60)
    assert box.poll() is None


def seen_since(tree: DemoTree, unix: float) -> bool:
    seen = tree.get("nodes/pier-1")["status"].get("lastSeen")
    return bool(seen) and datetime.fromisoformat(seen).timestamp() > unix


def test_commands_in_the_folder_find_the_control_plane_by_themselves(tree: DemoTree) -> None:
    assert cli(tree, "get", "nodes", "-o", "json")
    assert cli(tree, "token", "create", "quay-9", "-q").startswith("LS1.")


def test_commands_in_any_folder_find_it_while_it_runs(tree: DemoTree) -> None:
    def asked() -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tree.config)}
        for name in ("LONGSHORE_URL", "LONGSHORE_TOKEN", "LONGSHORE_CONTEXT"):
            environment.pop(name, None)
        command = [sys.executable, "-P", "-m", "controlplane.cli.main", "whoami"]
        return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)

    assert asked().stdout.startswith("admin, with the role admin")
    tree.stop()
    assert "no control plane is named" in asked().stderr


def test_secrets_in_the_state_folder_are_readable_by_their_owner_only(tree: DemoTree) -> None:
    assert tree.state.stat().st_mode & 0o077 == 0
    for name in ("context.yaml", "controlplane/admin.token", "controlplane/ca/ca.key", "controlplane/ca/broker.key"):
        assert (tree.state / name).stat().st_mode & 0o077 == 0, name
