"""The first page: how the fleet is, what needs somebody, what its cameras see, and which boxes there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.insights.domain import Lost, Window
from controlplane.ui import boxes, cameras, figures, outcomes
from controlplane.ui.boxes import Around, Stats
from controlplane.ui.documents import condition, labels_of, name_of
from controlplane.ui.outcomes import Recent
from controlplane.ui.page import Document, Value, View


@dataclass(frozen=True)
class Input:
    """All that the page is made of, at one moment. `windows` are those of SHARE_MS, `chart` is what `chart` made."""

    now_ms: int
    nodes: Sequence[Document]
    cameras: Sequence[Document]
    deployments: Sequence[Document]
    windows: Sequence[Window]
    stats: Mapping[str, Stats] = field(default_factory=dict)
    lost: Sequence[Lost] = ()
    chart: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""  # why no telemetry comes

    @property
    def around(self) -> Around:
        return Around(self.now_ms, self.deployments, self.stats, self.lost)


def fleet(given: Input) -> View:
    recent = Recent(given.windows, given.now_ms)
    values: dict[str, Value] = {"chart": dict(given.chart), **outcomes.overall("all", recent), **_health(given)}
    of_camera, of_deployment = recent.by(lambda each: each.camera), recent.by(lambda each: each.deployment)
    for node in given.nodes:
        values |= boxes.values(node, given.around)
    for camera in given.cameras:
        values |= cameras.values(camera, of_camera(name_of(camera)))
    for item in given.deployments:
        values |= deployment_values(item, of_deployment(name_of(item)))
    facts: dict[str, Any] = {
        "nodes": [_node(node, given) for node in sorted(given.nodes, key=_edges_first)],
        "cameras": [cameras.facts(camera) for camera in given.cameras],
        "deployments": [deployment_facts(item) for item in given.deployments],
        "slow_down": boxes.SLOW_DOWN,
    }
    shown = tuple(name_of(camera) for camera in given.cameras)
    return View("fleet.html", "Fleet", "fleet", facts, values, cameras=shown)


def _health(given: Input) -> dict[str, Value]:
    online = sum(node["status"]["phase"] == "Online" for node in given.nodes)
    running = sum(camera["status"]["state"] == "running" for camera in given.cameras)
    trouble = f"No telemetry comes in, so figures stand still: {given.trouble}" if given.trouble else ""
    return {
        "fleet.boxes": f"{online} of {figures.plural(len(given.nodes), 'box', 'boxes')} online",
        "fleet.cameras": f"{running} of {figures.plural(len(given.cameras), 'camera', 'cameras')} running",
        "fleet.mood": _mood(given, online, running),
        "fleet.trouble": trouble,
    }


def _mood(given: Input, online: int, running: int) -> str:
    if not given.nodes:
        return "empty"
    well = online == len(given.nodes) and running == len(given.cameras) and not given.trouble
    return "well" if well else "attention"


def _node(node: Document, given: Input) -> Mapping[str, Any]:
    status = node["status"]
    return {
        "name": name_of(node),
        "labels": labels_of(node),
        "role": status["role"],
        "runs": [run.deployment for run in boxes.runs(node, given.around)],
        "machine": boxes.machine(status["inventory"]),
    }


def _edges_first(node: Document) -> tuple[bool, str]:
    return node["status"]["role"] != "edge", name_of(node)


# ---- deployments ----


def deployment_facts(item: Document) -> Mapping[str, Any]:
    spec, offload = item["spec"], item["spec"]["offload"]
    return {
        "name": name_of(item),
        "model": spec["model"],
        "version": spec["version"],
        "digest": figures.short(item["status"]["digest"] or ""),
        "deadline": spec["objective"]["deadline"],
        "budget": offload["uplink"] if offload["enabled"] else "",
    }


def deployment_values(item: Document, recent: Recent) -> dict[str, Value]:
    """By key under deployment.NAME; `recent` is of this deployment alone."""
    key = f"deployment.{name_of(item)}"
    sums, converged = recent.sums(), condition(item, "Converged")
    return {
        f"{key}.state": "converged" if converged["status"] == "True" else converged["reason"].lower(),
        f"{key}.why": converged["message"],
        f"{key}.inTime": figures.percent(sums.in_time, sums.due),
        f"{key}.p95": outcomes.latency(sums, 0.95),
        f"{key}.uplink": figures.bit_rate(recent.uplink()),
        **outcomes.where(key, sums),
    }
