"""What the cloud is worth to an overloaded box, measured on a running demo through its own database.

Phases: fast box; slowed, cloud off; slowed, cloud on; fast again. The denominator is every frame that was due at the
configured rate; in time = ok_local, ok_cloud, ok_hedge. The slow-down is waiting, not burnt CPU.

A box that forgot to count frames would look better than it is. So each phase also says how many frames were expected:
what the cameras' rates promise for the time that the counted windows span.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from protos.outcomes import IN_TIME, Outcome
from tests.servers.demo import DemoTree

DEPLOYMENT = "harbour-watch"
BOXES = ("north-quay", "south-quay")
SLOW_DOWN = "300ms"  # above the demo's deadline of 250 ms: no frame can be answered on the box in time
WINDOW_SECONDS = 2.0  # of outcome counts; a phase begins and ends somewhere within one
REPORTING_SECONDS = 3.0  # until a window that closed has travelled


@dataclass(frozen=True)
class Phase:
    """Shares of the frames due in one phase."""

    name: str
    frames_due: int  # as the boxes counted them
    expected: float  # by the cameras' rates
    in_time: float
    outcomes: dict[str, float]
    uplink_bits_per_second: float


@dataclass
class Counted:
    """What the windows that lie within a phase add up to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    uplink_bytes: int = 0
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)  # box → begin and end of its windows, unix ms


def counts(tree: DemoTree, since: float, until: float) -> Counted:
    """Of the windows that lie within [since, until], unix seconds."""
    counted = Counted()
    query = "SELECT * FROM outcome_counts WHERE start_ms >= ? AND end_ms <= ?"
    for row in tree.rows(query, int(since * 1000), int(until * 1000)):
        window = Counter(json.loads(row["counts"]))
        assert sum(window.values()) == row["frames_due"]
        counted.outcomes += window
        counted.uplink_bytes += row["uplink_bytes"]
        begin, end = counted.spans.get(row["node_id"], (row["start_ms"], row["end_ms"]))
        counted.spans[row["node_id"]] = (min(begin, row["start_ms"]), max(end, row["end_ms"]))
    return counted


def expected(spans: dict[str, tuple[int, int]], rates: dict[str, float], seconds: float) -> float:
    """Frames that boxes with these rates, all cameras together, owe for their windows.

    At each edge of the phase less than one window is cut off; whatever more is missing was lost, and is still owed.
    """
    owed = 0.0
    for box, rate in rates.items():
        begin, end = spans.get(box, (0, 0))
        owed += rate * max((end - begin) / 1000, seconds - 2 * WINDOW_SECONDS)
    return owed


def measure(tree: DemoTree, name: str, seconds: float) -> Phase:
    """Watch for `seconds`, then wait for the last reports."""
    rates: Counter[str] = Counter()
    for camera in tree.get("cameras")["items"]:
        rates[camera["spec"]["node"]] += camera["spec"]["rate"]
    since = time.time()
    time.sleep(seconds)
    until = time.time()
    time.sleep(REPORTING_SECONDS)
    counted = counts(tree, since, until)
    total, due = counted.outcomes, counted.outcomes.total()
    shares: dict[str, float] = {outcome: total[outcome] / due for outcome in Outcome if total[outcome]} if due else {}
    in_time = sum(shares.get(outcome, 0.0) for outcome in IN_TIME)
    owed = expected(counted.spans, dict(rates), seconds)
    return Phase(name, due, owed, in_time, shares, counted.uplink_bytes * 8 / seconds)


def slow_down(tree: DemoTree, duration: str) -> None:
    for box in BOXES:
        tree.change("nodes", box, lambda node: node["spec"].update(slowDown=duration))


def offload(tree: DemoTree, *, enabled: bool) -> None:
    tree.change("deployments", DEPLOYMENT, lambda made: made["spec"]["offload"].update(enabled=enabled))


def run(
    tree: DemoTree, seconds: float = 12.0, settle: float = 5.0, back: float = 30.0, slow: str = SLOW_DOWN
) -> list[Phase]:
    """All phases on a tree that has its first detections; the boxes are fast again afterwards."""
    phases = [measure(tree, "fast", seconds)]
    offload(tree, enabled=False)
    slow_down(tree, slow)
    time.sleep(settle)
    phases.append(measure(tree, "slowed, cloud off", seconds))
    offload(tree, enabled=True)
    time.sleep(settle)
    phases.append(measure(tree, "slowed, cloud on", seconds))
    slow_down(tree, "0s")
    time.sleep(max(0.0, back - seconds))
    phases.append(measure(tree, f"fast again, seconds {back - seconds:.0f} to {back:.0f}", seconds))
    return phases


def missed(phases: list[Phase]) -> list[str]:
    """Which limits were not held, as sentences."""
    _, alone, helped, again = phases
    held = {
        "slowed with the cloud off, fewer than half are in time": alone.in_time < 0.5,
        "slowed with the cloud on, nine in ten are in time": helped.in_time >= 0.9,
        "of all frames due the cloud answers three in ten": helped.outcomes.get(Outcome.OK_CLOUD, 0.0) >= 0.3,
        "fast again, only tries of an idle way go up (3 in 100)": again.outcomes.get(Outcome.OK_CLOUD, 0.0) < 0.03,
    }
    return [sentence for sentence, true in held.items() if not true]


def deadline(tree: DemoTree, duration: str) -> None:
    tree.change("deployments", DEPLOYMENT, lambda made: made["spec"]["objective"].update(deadline=duration))


def keep_rates(tree: DemoTree, floor: float = 10.0) -> None:
    """No camera is lowered: where the machine itself has too little time, frames are lost that a phase reckons with."""
    tree.change("deployments", DEPLOYMENT, lambda made: made["spec"]["terms"].update(floorRate=floor))


def terms(tree: DemoTree) -> dict[str, Any]:
    """Deadline, rates and budget, as the objects say."""
    spec = tree.get(f"deployments/{DEPLOYMENT}")["spec"]
    cameras = {item["metadata"]["name"]: item["spec"]["rate"] for item in tree.get("cameras")["items"]}
    return {"deadline": spec["objective"]["deadline"], "uplink": spec["offload"]["uplink"], "rates": cameras}


def table(phases: list[Phase], told: dict[str, Any], slow: str = SLOW_DOWN) -> str:
    """For a person."""
    lines = [
        f"deadline {told['deadline']} from capture, rates {told['rates']}, uplink budget {told['uplink']} per box",
        f"slow-down {slow} of waiting per inference; shares of all frames due",
        f"{'phase':34}{'expected':>9}{'due':>6}{'in time':>9}"
        f"{'local':>8}{'cloud':>8}{'hedge':>8}{'lost':>8}{'Mbit/s':>9}",
    ]
    for phase in phases:
        ok = [phase.outcomes.get(outcome, 0.0) for outcome in (Outcome.OK_LOCAL, Outcome.OK_CLOUD, Outcome.OK_HEDGE)]
        shares = "".join(f"{share:8.1%}" for share in (*ok, 1 - phase.in_time))
        lines.append(
            f"{phase.name:34}{phase.expected:9.0f}{phase.frames_due:6}{phase.in_time:9.1%}{shares}"
            f"{phase.uplink_bits_per_second / 1e6:9.2f}"
        )
    return "\n".join(lines)
