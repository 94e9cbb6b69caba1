"""The first page: how the fleet is, what needs somebody, what its cameras see, what runs, and which boxes there are.

Pure. A fleet of hundreds is shown in parts: the boxes that a filter chooses, a page at a time, and the first cameras.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.books.domain import FleetBooks
from controlplane.insights import answering
from controlplane.insights.domain import Lost, Window
from controlplane.ui import attention, boxes, cameras, figures, outcomes
from controlplane.ui.boxes import Around, Stats
from controlplane.ui.documents import condition, labels_of, name_of
from controlplane.ui.lists import Chosen, Filter, chosen
from controlplane.ui.outcomes import Recent
from controlplane.ui.page import Document, Value, View

CAMERAS_SHOWN = 6
CONCERNS_SHOWN = 8
GRID_UP_TO = 6  # boxes; more are a table unless somebody wants otherwise
PHASES = (("", "all"), ("online", "online"), ("offline", "offline"), ("attention", "not converged"))


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
    books: FleetBooks | None = None
    chart: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""  # why no telemetry comes
    filter: Filter = field(default_factory=Filter)
    unsigned: Sequence[attention.Unsigned] = ()
    look: str = ""  # how boxes are shown: grid or table

    @property
    def around(self) -> Around:
        return Around(self.now_ms, self.deployments, self.stats, self.lost, self.books)


def fleet(given: Input) -> View:
    recent = Recent(given.windows, given.now_ms)
    answers = answering.by_camera(recent.parts, given.deployments)
    of_camera, of_deployment = recent.by(lambda each: each.camera), recent.by(lambda each: each.deployment)
    concerns = attention.concerns(given.nodes, given.cameras, given.around, answers, given.unsigned)
    shown_boxes = chosen(sorted(given.nodes, key=_edges_first), given.filter, box_state)
    shown_cameras = sorted(given.cameras, key=_running_last)[:CAMERAS_SHOWN]
    facts: dict[str, Any] = {
        "nodes": [box(node, given.around) for node in shown_boxes.items],
        "boxes": _listed(shown_boxes, given),
        "cameras": [cameras.facts(camera) for camera in shown_cameras],
        "camera_count": len(given.cameras),
        "deployments": [deployment_facts(item) for item in given.deployments],
        "edges": [name_of(node) for node in given.nodes if node["status"]["role"] == "edge"],
        "slow_down": boxes.SLOW_DOWN,
    }
    values: dict[str, Value] = {
        "chart": dict(given.chart),
        **outcomes.overall("all", recent),
        **_health(given, concerns),
    }
    for node in shown_boxes.items:
        values |= boxes.values(node, given.around)
    for camera in shown_cameras:
        values |= cameras.values(camera, of_camera(name_of(camera)), answers.get(name_of(camera), ()))
    for item in given.deployments:
        values |= deployment_values(item, of_deployment(name_of(item)))
    shown = tuple(name_of(camera) for camera in shown_cameras)
    return View("fleet.html", "Fleet", "fleet", facts, values, cameras=shown)


def _listed(shown: Chosen, given: Input) -> Mapping[str, Any]:
    look = given.look or ("grid" if len(given.nodes) <= GRID_UP_TO else "table")
    return {**shown.facts(given.filter), "look": look, "phases": PHASES, "all": len(given.nodes)}


def _health(given: Input, concerns: Sequence[attention.Concern]) -> dict[str, Value]:
    online = sum(node["status"]["phase"] == "Online" for node in given.nodes)
    running = sum(camera["status"]["state"] == "running" for camera in given.cameras)
    more = len(concerns) - CONCERNS_SHOWN
    trouble = f"No telemetry comes in, so figures stand still: {given.trouble}" if given.trouble else ""
    return {
        "fleet.boxes": f"{online} of {figures.plural(len(given.nodes), 'box', 'boxes')} online",
        "fleet.cameras": f"{running} of {figures.plural(len(given.cameras), 'camera', 'cameras')} running",
        "fleet.mood": _mood(given, concerns),
        "fleet.concerns": [vars(each) for each in concerns[:CONCERNS_SHOWN]],
        "fleet.more": f"and {more} more" if more > 0 else "",
        "fleet.well": not concerns and bool(given.nodes),
        "fleet.trouble": trouble,
    }


def _mood(given: Input, concerns: Sequence[attention.Concern]) -> str:
    if not given.nodes:
        return "empty"
    worst = {each.level for each in concerns}
    if attention.BAD in worst:
        return "bad"
    return "attention" if attention.WARN in worst or given.trouble else "well"


def box(node: Document, around: Around) -> Mapping[str, Any]:
    """What a card or row of a box is rendered from."""
    status = node["status"]
    return {
        "name": name_of(node),
        "labels": labels_of(node),
        "role": status["role"],
        "runs": [run.deployment for run in boxes.runs(node, around)],
        "machine": boxes.machine(status["inventory"]),
        "cameras": len(status["cameras"]),
    }


def box_state(node: Document) -> Iterable[str]:
    """Which choices of PHASES it belongs to."""
    phase, converged = node["status"]["phase"], condition(node, "Converged")
    yield "online" if phase == "Online" else "offline"
    if converged["status"] != "True":
        yield "attention"


def _edges_first(node: Document) -> tuple[bool, str]:
    return node["status"]["role"] != "edge", name_of(node)


def _running_last(camera: Document) -> tuple[bool, str]:
    """What does not run is what one wants to see."""
    return camera["status"]["state"] == "running", name_of(camera)


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
        f"{key}.inTime": figures.percent(sums.in_time, sums.looked_at),
        f"{key}.p95": outcomes.latency(sums, 0.95),
        f"{key}.uplink": figures.bit_rate(recent.uplink()),
        **outcomes.where(key, sums),
    }
