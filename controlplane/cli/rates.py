"""The figures of `longshore top`, from REST documents to rows of text. Pure.

Shares are of all frames due in the window: a frame that nobody got to counts against the box, like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.cli.kinds import NONE, Document, at, human_bytes

WINDOW_SECONDS = 10  # of the shares: a few reports of each box, so that they move but do not jump
_LOST = ("superseded", "shed", "expired", "cloud_late", "error")
NODE_TITLES = ("NODE", "ROLE", "PHASE", "CAMERAS", "CPU", "MEMORY", "IN TIME", "CLOUD", "LOST", "P50", "P95", "UPLINK")
CAMERA_TITLES = ("CAMERA", "NODE", "STATE", "FPS", "IN TIME", "LOCAL", "CLOUD", "LOST", "P50", "P95")

Row = list[str]


@dataclass(frozen=True)
class Look:
    """Everything one refresh fetched."""

    nodes: Sequence[Document]
    cameras: Sequence[Document]
    outcomes: Document = field(default_factory=dict)
    stats: Mapping[str, Document] = field(default_factory=dict)


def headline(look: Look) -> str:
    """The whole fleet in one line."""
    online = sum(at(node, "status.phase") == "Online" for node in look.nodes)
    total = at(look.outcomes, "total", {})
    return "   ".join(
        (
            f"{online} of {len(look.nodes)} boxes online",
            f"{_running(look.cameras)} cameras running",
            f"{share(total, total.get('inTime', 0))} in time",
            f"{share(total, at(total, 'counts', {}).get('ok_cloud', 0))} by the cloud",
            f"{_uplink(total)} up",
        )
    )


def node_rows(look: Look) -> list[Row]:
    return [_node_row(node, look) for node in look.nodes]


def _node_row(node: Document, look: Look) -> Row:
    name = node["metadata"]["name"]
    sums = at(look.outcomes, "nodes", {}).get(name, {})
    stats = look.stats.get(name, {})
    cpu = f"{stats['cpuCoresUsed']:.2f}" if stats else NONE
    memory = human_bytes(stats["memoryBytes"]) if stats else NONE
    cameras = [camera for camera in look.cameras if camera["spec"]["node"] == name]
    running = _running(cameras) if cameras else NONE
    head = [name, at(node, "status.role", NONE), at(node, "status.phase", NONE), running, cpu, memory]
    return [*head, share(sums, sums.get("inTime", 0)), *_ends(sums), *latency(sums), _uplink(sums)]


def camera_rows(look: Look) -> list[Row]:
    return [_camera_row(camera, look) for camera in look.cameras]


def _camera_row(camera: Document, look: Look) -> Row:
    name = camera["metadata"]["name"]
    sums = at(look.outcomes, "cameras", {}).get(name, {})
    frames = f"{at(camera, 'status.framesPerSecond', 0):.1f}/{camera['spec']['rate']:g}"
    local = share(sums, at(sums, "counts", {}).get("ok_local", 0))
    head = [name, camera["spec"]["node"], at(camera, "status.state", NONE), frames]
    return [*head, share(sums, sums.get("inTime", 0)), local, *_ends(sums), *latency(sums)]


def _ends(sums: Mapping[str, Any]) -> Row:
    """Answered by the cloud in time, and lost."""
    counts = at(sums, "counts", {})
    return [share(sums, counts.get("ok_cloud", 0)), share(sums, sum(counts.get(outcome, 0) for outcome in _LOST))]


def _running(cameras: Sequence[Document]) -> str:
    return f"{sum(at(camera, 'status.state') == 'running' for camera in cameras)}/{len(cameras)}"


def share(sums: Mapping[str, Any], part: float) -> str:
    due = sums.get("due", 0)
    return f"{100 * part / due:.1f} %" if due else NONE


def latency(sums: Mapping[str, Any]) -> Row:
    if not sums.get("due"):
        return [NONE, NONE]
    return [f"{1000 * sums[key]:.0f} ms" for key in ("latencyP50Seconds", "latencyP95Seconds")]


def _uplink(sums: Mapping[str, Any]) -> str:
    bits = 8 * sums.get("uplinkBytes", 0) / WINDOW_SECONDS
    return f"{bits / 1e6:.1f} Mbit/s" if bits >= 1e6 else f"{bits / 1e3:.0f} kbit/s"
