"""The demo as a figure: `python -m bench.bench_demo [--idle N] [--json FILE]`.

Time to the first detection from an empty state, change-to-box latency, and memory (PSS) and CPU of every process after
the demo ran undisturbed for a while with its three cameras of 640×360 at ten frames a second, nobody looking.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.machine import describe
from tests.servers.demo import DemoTree, Document

TICKS = os.sysconf("SC_CLK_TCK")
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


def pss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


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
        tree.change("cameras", "crane", lambda camera, rate=10 - number % 2: camera["spec"].update(rate=rate))  # type: ignore[misc]  # a default argument, not a parameter
        took.append(tree.until("the box heard of it", lambda: acts_on_newest(tree.get("nodes/north-quay")), 20))
    return took


def acts_on_newest(node: Document) -> bool:
    return bool(node["status"]["observedGeneration"] == node["status"]["generation"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds before and during the reading")
    parser.add_argument("--json", type=Path, default=Path("bench/results/demo.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = DemoTree(Path(folder) / "state")
        tree.start()
        try:
            first = tree.until("a first detection", lambda: tree.rows("SELECT 1 FROM detections LIMIT 1"), 60)
            time.sleep(options.idle)
            found = processes(tree, options.idle)
            changes = change_to_box(tree)
        finally:
            stopped = tree.stop()
    print(f"first detection in the database   {first:6.1f} s from an empty state")
    print(
        f"change to box, median of {len(changes)}        {statistics.median(changes):6.2f} s (worst {max(changes):.2f})"
    )
    print(f"Ctrl-C to the end                 {stopped:6.1f} s")
    for each in sorted(found, key=lambda each: (each.role, each.owner)):
        print(f"{each.role:26}{each.owner:12}{each.pss_mb:8.1f} MB PSS{each.cpu_percent:8.1f} % of a core")
    result = {
        "machine": describe(),
        "first_detection_seconds": first,
        "change_to_box_seconds": changes,
        "stop_seconds": stopped,
        "processes": [asdict(each) for each in found],
    }
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
