"""The figures of `longshore top`, from REST documents to rows of text. Pure.

Shares are of all frames due in the window: a frame that nobody got to counts against the box, like any other. A box
that is not online has no rates: what it last told is history, and is not shown as if it were now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.cli import older
from controlplane.cli.kinds import NONE, Document, at, frames, heard, human_bytes

WINDOW_SECONDS = 10  # of the shares: a few reports of each box, so that they move but do not jump
_LOST = ("superseded", "shed", "expired", "cloud_late", "error")
NODE_TITLES = ("NODE", "ROLE", "PHASE", "CAMERAS", "CPU", "MEMORY", "IN TIME", "CLOUD", "LOST", "P50", "P95", "UPLINK")
CAMERA_TITLES = ("CAMERA", "NODE", "STATE", "FPS/DUE", "IN TIME", "LOCAL", "CLOUD", "LOST", "P50", "P95")

Row = list[str]


@dataclass(frozen=True)
class Look:
    """Everything one refresh fetched."""

    nodes: Sequence[Document]
    cameras: Sequence[Document]
    outcomes: Document = field(default_factory=dict)
    stats: Mapping[str, Document] = field(default_factory=dict)
    selected: bool = False  # only some of the fleet, by label

    def of_node(self, name: str) -> Document:
        sums: Document = at(self.outcomes, "nodes", {}).get(name, {})
        return sums

    def of_camera(self, name: str) -> Document:
        sums: Document = at(self.outcomes, "cameras", {}).get(name, {})
        return sums


def headline(look: Look) -> str:
    """The whole fleet in one line."""
    online = sum(at(node, "status.phase") == "Online" for node in look.nodes)
    total = _total(look)
    return "   ".join(
        (
            f"{online} of {len(look.nodes)} boxes online",
            f"{_running(look.cameras)} cameras running",
            f"{in_time(total)} in time",
            f"{share(total, at(total, 'counts', {}).get('ok_cloud', 0))} by the cloud",
            f"{_uplink(total)} up",
        )
    )


def _total(look: Look) -> Document:
    """Of what is shown: the whole fleet, or the chosen cameras, or the chosen boxes where no camera is chosen."""
    if not look.selected:
        whole: Document = at(look.outcomes, "total", {})
        return whole
    parts = [look.of_camera(each["metadata"]["name"]) for each in look.cameras] or [
        look.of_node(each["metadata"]["name"]) for each in look.nodes
    ]
    counts: dict[str, int] = {}
    for part in parts:
        for outcome, count in at(part, "counts", {}).items():
            counts[outcome] = counts.get(outcome, 0) + count
    sums = {key: sum(part.get(key, 0) for part in parts) for key in ("due", "inTime", "uplinkBytes")}
    return {**sums, "lookedAt": sum(map(older.looked_at, parts)), "counts": counts}


def node_rows(look: Look) -> list[Row]:
    return [_node_row(node, look) for node in look.nodes]


def _node_row(node: Document, look: Look) -> Row:
    name = node["metadata"]["name"]
    cameras = [camera for camera in look.cameras if camera["spec"]["node"] == name]
    running = _running(cameras) if cameras else NONE
    head = [name, at(node, "status.role", NONE), at(node, "status.phase", NONE), running]
    if not heard(node):
        return [*head, *[NONE] * (len(NODE_TITLES) - len(head))]
    sums, stats = look.of_node(name), look.stats.get(name, {})
    cpu = f"{stats['cpuCoresUsed']:.2f}" if stats else NONE
    memory = human_bytes(stats["memoryBytes"]) if stats else NONE
    return [*head, cpu, memory, in_time(sums), *_ends(sums), *latency(sums), _uplink(sums)]


def camera_rows(look: Look) -> list[Row]:
    return [_camera_row(camera, look) for camera in look.cameras]


def _camera_row(camera: Document, look: Look) -> Row:
    name = camera["metadata"]["name"]
    sums = look.of_camera(name) if heard(camera) else {}
    local = share(sums, at(sums, "counts", {}).get("ok_local", 0))
    head = [name, camera["spec"]["node"], at(camera, "status.state", NONE), frames(camera)]
    return [*head, in_time(sums), local, *_ends(sums), *latency(sums)]


def metrics(look: Look) -> list[Document]:
    """The same figures as documents, numbers as the server gave them; null where a box is not heard."""
    nodes = [_metrics("Node", node, look.of_node(node["metadata"]["name"]), look) for node in look.nodes]
    return nodes + [_metrics("Camera", item, look.of_camera(item["metadata"]["name"]), look) for item in look.cameras]


def _metrics(kind: str, item: Document, sums: Document, look: Look) -> Document:
    name, live = item["metadata"]["name"], heard(item)
    told: Mapping[str, Any] = {"node": at(item, "spec.node"), "state": at(item, "status.state")}
    measured = {"framesPerSecond": at(item, "status.framesPerSecond", 0), "framesDue": at(item, "spec.rate")}
    if kind == "Node":
        stats = look.stats.get(name, {})
        told = {"role": at(item, "status.role"), "phase": at(item, "status.phase")}
        measured = {key: stats.get(key) for key in ("cpuCoresUsed", "memoryBytes")}
    figures = {**measured, "outcomes": dict(sums) or None}
    return {
        "kind": f"{kind}Metrics",
        "metadata": {"name": name},
        "window": f"{WINDOW_SECONDS}s",
        **told,
        **(figures if live else dict.fromkeys(figures)),
    }


def _ends(sums: Mapping[str, Any]) -> Row:
    """Answered by the cloud in time, and lost."""
    counts = at(sums, "counts", {})
    return [share(sums, counts.get("ok_cloud", 0)), share(sums, sum(counts.get(outcome, 0) for outcome in _LOST))]


def _running(cameras: Sequence[Document]) -> str:
    return f"{sum(at(camera, 'status.state') == 'running' for camera in cameras)}/{len(cameras)}"


def share(sums: Mapping[str, Any], part: float) -> str:
    due = sums.get("due", 0)
    return f"{100 * part / due:.1f} %" if due else NONE


def in_time(sums: Mapping[str, Any]) -> str:
    """The share answered by the deadline, of the frames that were looked at."""
    return share({"due": older.looked_at(sums)}, sums.get("inTime", 0))


def latency(sums: Mapping[str, Any]) -> Row:
    if not sums.get("due"):
        return [NONE, NONE]
    return [f"{1000 * sums[key]:.0f} ms" for key in ("latencyP50Seconds", "latencyP95Seconds")]


def _uplink(sums: Mapping[str, Any]) -> str:
    bits = 8 * sums.get("uplinkBytes", 0) / WINDOW_SECONDS
    return f"{bits / 1e6:.1f} Mbit/s" if bits >= 1e6 else f"{bits / 1e3:.0f} kbit/s"
