"""All cameras, as a wall of live pictures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controlplane.insights import answering
from controlplane.insights.domain import Window
from controlplane.ui import cameras, figures
from controlplane.ui.documents import name_of
from controlplane.ui.lists import Filter, chosen
from controlplane.ui.outcomes import Recent
from controlplane.ui.page import Document, Value, View

STATES = (("", "all"), ("running", "running"), ("attention", "not running"))


@dataclass(frozen=True)
class Input:
    now_ms: int
    nodes: Sequence[Document]
    cameras: Sequence[Document]
    windows: Sequence[Window]  # of SHARE_MS
    deployments: Sequence[Document] = ()
    filter: Filter = field(default_factory=Filter)


def wall(given: Input) -> View:
    recent = Recent(given.windows, given.now_ms)
    of_camera = recent.by(lambda each: each.camera)
    answers = answering.by_camera(recent.parts, given.deployments)
    shown = chosen(given.cameras, given.filter, _state)
    running = sum(camera["status"]["state"] == "running" for camera in given.cameras)
    count = figures.plural(len(given.cameras), "camera", "cameras")
    values: dict[str, Value] = {"wall.running": f"{running} of {count} running"}
    for camera in shown.items:
        values |= cameras.values(camera, of_camera(name_of(camera)), answers.get(name_of(camera), ()))
    facts = {
        "cameras": [cameras.facts(camera) for camera in shown.items],
        "list": {**shown.facts(given.filter), "states": STATES, "all": len(given.cameras)},
        "edges": edges(given.nodes),
    }
    names = tuple(name_of(camera) for camera in shown.items)
    return View("cameras.html", "Cameras", "cameras", facts, values, cameras=names)


def edges(nodes: Iterable[Document]) -> list[str]:
    """Boxes that can have cameras."""
    return [name_of(node) for node in nodes if node["status"]["role"] == "edge"]


def _state(camera: Document) -> Iterable[str]:
    yield "running" if camera["status"]["state"] == "running" else "attention"
