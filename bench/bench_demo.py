"""The demo as a figure: `python -m bench.bench_demo [--idle N] [--json FILE]`.

Time to the first detection from an empty state and after a kill -9, change-to-box latency, and memory (PSS) and CPU of
every process after the demo ran undisturbed for a while with its three cameras of 640×360 at ten frames a second and
nobody looking. Each figure is held against its limit; a missed one is the exit code.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.processes import cpu_seconds, pss_mb
from bench.telling import told
from tests.servers.demo import DemoTree, Document

ROLES = {
    "longshore up": "cli.main up",
    "control plane": "controlplane.main",
    "broker": "mosquitto",
    "agent of a box": "agent.main run",
    "agent of the cloud node": "agent.main serve",
    "capture worker": "agent.cameras.worker",
    "engine worker": "agent.inference.worker",
}


@dataclass(frozen=True)
class Process:
    role: str
    owner: str  # the node, for workers and agents
    pss_mb: float
    cpu_percent: float  # of one core


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    limit: float  # it must not be above
    unit: str

    @property
    def missed(self) -> bool:
        return self.value > self.limit


def watched(tree: DemoTree) -> Iterator[tuple[int, str, str]]:
    """Pid, role and node of every process of the tree that has a role."""
    lines = tree.processes()
    for pid, line in lines.items():
        role = next((role for role, words in ROLES.items() if words in line), None)
        if role:
            owner = line if "--state-dir" in line else lines.get(tree.parent_of(pid), "")
            node = next((name for name in ("north-quay", "south-quay", "cloud-1") if name in owner), "")
            yield pid, role, node


def processes(tree: DemoTree, seconds: float) -> list[Process]:
    there = list(watched(tree))
    before = {pid: cpu_seconds(pid) for pid, _, _ in there}
    time.sleep(seconds)
    return [
        Process(role, node, round(pss_mb(pid), 1), round((cpu_seconds(pid) - before[pid]) / seconds * 100, 1))
        for pid, role, node in there
    ]


def change_to_box(tree: DemoTree, rounds: int = 9) -> list[float]:
    """Seconds from an applied camera change until its box acts on that generation."""
    took = []
    for number in range(rounds):
        tree.change("cameras", "crane", lambda camera, rate=9 + number % 2: camera["spec"].update(rate=rate))  # type: ignore[misc]  # a default argument, not a parameter
        took.append(tree.until("the box heard of it", lambda: acts_on_newest(tree.get("nodes/north-quay")), 20))
    return took


def acts_on_newest(node: Document) -> bool:
    return bool(node["status"]["observedGeneration"] == node["status"]["generation"])


def first_detection(tree: DemoTree) -> float:
    """Start it; seconds to the first detection in its database of a frame captured since."""
    tree.start()
    query, since = "SELECT 1 FROM detections WHERE captured_unix_ns > ? LIMIT 1", int(tree.started * 1e9)
    return tree.until("a first detection", lambda: tree.rows(query, since), 60)


def measured(tree: DemoTree, idle: float) -> tuple[list[Figure], list[Process]]:
    """The whole life of a demo: born, idle, changed, killed, born again, ended."""
    try:
        born = first_detection(tree)
        time.sleep(idle)
        found = processes(tree, idle)
        changes = change_to_box(tree)
        tree.kill()
        again = first_detection(tree)
    finally:
        stopped = tree.stop()
    figures = [
        Figure("first detection in the database, from an empty state", born, 10.0, "s"),
        Figure("first detection after kill -9 of up", again, 10.0, "s"),
        Figure(f"change to box, median of {len(changes)}", statistics.median(changes), 2.0, "s"),
        Figure("change to box, worst", max(changes), 2.0, "s"),
        Figure("Ctrl-C to the end", stopped, 5.0, "s"),
    ]
    figures += [
        Figure(f"main process of {each.owner}, idle, servers open", each.pss_mb, 60.0, "MB PSS")
        for each in found
        if each.role.startswith("agent")
    ]
    return figures, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds before and during the reading")
    parser.add_argument("--json", type=Path, default=Path("bench/results/demo.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures, found = measured(DemoTree(Path(folder) / "state"), options.idle)
    lines = [f"{each.name:56}{each.value:8.2f} of at most {each.limit:g} {each.unit}" for each in figures]
    lines += [
        f"{each.role:26}{each.owner:12}{each.pss_mb:8.1f} MB PSS{each.cpu_percent:8.1f} % of a core"
        for each in sorted(found, key=lambda each: (each.role, each.owner))
    ]
    result = {"figures": [asdict(figure) for figure in figures], "processes": [asdict(each) for each in found]}
    sys.exit(told("\n".join(lines), result, [each.name for each in figures if each.missed], options.json))


if __name__ == "__main__":
    main()
