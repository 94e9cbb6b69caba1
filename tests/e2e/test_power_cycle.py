"""A box whose power was cut starts without any network, answers from its disk, and is left alone when others return."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.servers.demo import ROOT, DemoTree

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BOX = "north-quay"


@pytest.fixture
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoTree]:
    tree = DemoTree(tmp_path_factory.mktemp("power") / "state")
    tree.start()
    try:
        tree.until("the release is kept on the box", lambda: tree.confirmed(BOX), 90)
        yield tree
    finally:
        os.kill(tree.pid, signal.SIGCONT)
        tree.close()


class Box:
    """The agent of the box, started by hand on its own state, as its init system would."""

    def __init__(self, tree: DemoTree) -> None:
        self.metrics = f"http://127.0.0.1:{tree.agents_port + 2}/metrics"
        flags = {"state-dir": tree.state / "agents" / BOX, "http-port": tree.agents_port}
        flags |= {"grpc-port": tree.agents_port + 1, "metrics-port": tree.agents_port + 2}
        command = [sys.executable, "-P", "-m", "agent.main", "run"]
        command += [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    def answered(self) -> int:
        """Frames answered on the box so far."""
        try:
            text = httpx.get(self.metrics, timeout=5).text
        except httpx.TransportError:
            return 0
        return int(sum(map(float, re.findall(r'longshore_frames_total{[^}]*outcome="ok_local"} (\S+)', text))))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def test_a_power_cycled_box_answers_from_disk_and_reconnecting_changes_nothing(tree: DemoTree) -> None:
    agent = tree.pid_of("agent.main run", BOX)
    os.kill(tree.pid, signal.SIGSTOP)
    for words in (("controlplane.main",), ("mosquitto",), ("agent.main serve",)):
        os.kill(tree.pid_of(*words), signal.SIGKILL)
    os.kill(agent, signal.SIGKILL)
    time.sleep(0.5)  # the kernel takes the workers along
    box = Box(tree)
    try:
        while box.answered() == 0:
            assert time.monotonic() - box.started < 30, "no frame was answered"
            time.sleep(0.05)
        took = time.monotonic() - box.started
        print(f"\nfirst inference {took:.1f} s after the start, nobody else there")
        workers = children(box.process.pid)
        assert len(workers) >= 2
        os.kill(tree.pid, signal.SIGCONT)
        since = time.time()
        tree.until("the box reports again", lambda: reports(tree, since), 60)
        before = box.answered()
        time.sleep(2)
        assert box.answered() > before
        assert children(box.process.pid) == workers
    finally:
        box.end()


def reports(tree: DemoTree, since: float) -> bool:
    query = "SELECT 1 FROM detections WHERE node_id = ? AND captured_unix_ns > ? LIMIT 1"
    return bool(tree.rows(query, BOX, int(since * 1e9)))


def children(pid: int) -> set[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return {int(line) for line in found.stdout.split()}
