"""One box: its cameras, how its frames end and how long they take, where the time goes, its links, what runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.books.domain import Link, Linked, NodeBooks
from controlplane.insights import answering
from controlplane.insights.domain import Lost, Window
from controlplane.rollups.domain import Stat
from controlplane.ui import boxes, cameras, decided, deciding, figures, outcomes, spans, telemetry
from controlplane.ui.boxes import Around, Stats
from controlplane.ui.documents import condition, labels_of, name_of, to_write
from controlplane.ui.outcomes import Recent
from controlplane.ui.page import Crumb, Document, Value, View
from protos.outcomes import Stage

HOURLY = 3_660.0  # seconds: a box at rest tells its figures once an hour


@dataclass(frozen=True)
class Spent:
    """What the box spent at one moment."""

    at_ms: int
    cpu_cores_used: float
    memory_bytes: int


def meant(at_ms: int, stat: Stat) -> Spent:
    """Of a step, its mean."""
    return Spent(at_ms, stat.cpu / stat.samples / 1e6, stat.memory // stat.samples)


@dataclass(frozen=True)
class Input:
    """`windows`: of SHARE_MS and of this box; `drawn`: charts of a span; `spent`: of that span, in order."""

    now_ms: int
    node: Document
    cameras: Sequence[Document]
    deployments: Sequence[Document]
    windows: Sequence[Window]
    stats: Mapping[str, Stats] = field(default_factory=dict)
    lost: Sequence[Lost] = ()
    drawn: Mapping[str, Value] = field(default_factory=dict)
    span: str = spans.USUAL
    dropped: int = 0  # records that its outbox gave up since it was made
    told_ms: int = 0  # when its newest telemetry was
    kept: NodeBooks = field(default_factory=lambda: NodeBooks(""))
    linked: Linked = field(default_factory=lambda: Linked(Link.NEVER))

    @property
    def around(self) -> Around:
        return Around(self.now_ms, self.deployments, self.stats, self.lost)


def node(given: Input) -> View:
    document, name = given.node, name_of(given.node)
    recent, status = Recent(given.windows, given.now_ms), document["status"]
    of_camera = recent.by(lambda each: each.camera)
    answers = answering.by_camera(recent.parts, given.deployments)
    values: dict[str, Value] = {
        **boxes.values(document, given.around),
        **boxes.noticed(document),
        **outcomes.overall("all", recent),
        **spans.stages(recent.sums()),
        **given.drawn,
        **decided.limited(given.drawn, given.deployments),
        **deciding.values(document, given.deployments),
        **_links(given, recent),
        **telemetry.values(given.kept, given.linked, given.now_ms),
    }
    for camera in given.cameras:
        values |= cameras.values(camera, of_camera(name_of(camera)), answers.get(name_of(camera), ()))
    facts = {
        "name": name,
        "labels": labels_of(document),
        "role": status["role"],
        "paused": document["spec"]["paused"],
        "document": to_write(document),
        "machine": _machine(status["inventory"]) + _trust(status["trust"]),
        "runs": [run.deployment for run in boxes.runs(document, given.around)],
        "cameras": [cameras.facts(camera) for camera in given.cameras],
        "span": given.span,
        "spans": [(key, word) for key, (word, *_) in spans.SPANS.items()],
        "stages": spans.STAGES,
        "decides": deciding.shown(document),
        "routes": deciding.ROUTES,
        "rungs": [(key, f"rung-{key}", word, meaning) for key, word, meaning in decided.RUNG_WORDS],
        "prices": [(key, f"price-{key}", word, meaning) for key, word, meaning in decided.PRICE_WORDS],
        "slow_down": boxes.SLOW_DOWN,
    }
    shown = tuple(name_of(camera) for camera in given.cameras)
    return View("node.html", name, "fleet", facts, values, (Crumb("Fleet", "/"),), shown)


def deadline_of(node_name: str, deployments: Sequence[Document]) -> int:
    """Milliseconds: the shortest deadline of what runs there; 0 when nothing does."""
    there = [item for item in deployments if any(box["node"] == node_name for box in item["status"]["boxes"])]
    return answering.shortest_ms(map(name_of, there), there)


def resources(spent: Sequence[Spent], since_ms: int, until_ms: int) -> dict[str, Value]:
    """Charts of what the box spends, by key under span."""
    around = {"from": since_ms, "to": until_ms, "time": True}
    cpu = [[each.at_ms, round(each.cpu_cores_used, 3)] for each in spent]
    memory = [[each.at_ms, round(each.memory_bytes / (1 << 20), 1)] for each in spent]
    return {"span.cpu": {**around, "lines": {"cpu": cpu}}, "span.memory": {**around, "lines": {"memory": memory}}}


def _machine(inventory: Document) -> list[tuple[str, str]]:
    """What it said of itself, as names and texts; nothing before it did."""
    if not inventory["cpuCores"]:
        return []
    said = [
        ("Agent", inventory["agentVersion"]),
        ("System", inventory["os"]),
        ("Processor", figures.plural(inventory["cpuCores"], "core", "cores")),
        ("Memory", figures.size(inventory["memoryBytes"])),
        ("Runs models on", ", ".join(each.removesuffix("ExecutionProvider") for each in inventory["providers"])),
        ("Inference", inventory["inferenceGrpcUrl"] or inventory["inferenceHttpUrl"]),
    ]
    return [(word, text) for word, text in said if text]


def _trust(told: Document | None) -> list[tuple[str, str]]:
    """Nothing of agents before 0.2."""
    if told is None:
        return []
    proven = f"proven, good until {told['expires']}" if told["timestampVersion"] and told["expires"] else "never proven"
    return [("Signed metadata", f"{proven}, root {told['rootVersion']}")]


def _links(given: Input, recent: Recent) -> dict[str, Value]:
    """To the control plane, through the broker, up to the cloud."""
    ready, sums = condition(given.node, "Ready"), recent.sums()
    quiet = (given.now_ms - given.told_ms) / 1000 if given.told_ms else None
    sent = sums.cloud.answered
    trip = sums.stages.get(Stage.CLOUD, 0.0) / sent if sent else 0.0
    online = ready["status"] == "True"
    return {
        "link.control": "ok" if online else "bad",
        "link.control.word": "calls in" if online else "silent",
        "link.telemetry": "none"
        if quiet is None
        else "ok"
        if quiet < HOURLY
        else "attention"
        if quiet < 2 * HOURLY
        else "bad",
        "link.telemetry.word": "nothing told yet" if quiet is None else f"told {figures.ago(quiet)}",
        "link.dropped": f"{given.dropped:,}".replace(",", " "),
        "link.cloud": "ok" if sent else "none",
        "link.cloud.word": "helps" if sent else "not needed",
        "link.cloud.trip": figures.milliseconds(trip),
    }
