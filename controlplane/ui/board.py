"""What the page shows, from documents of the fleet and windows of outcomes. Pure.

A Board has two parts. Its *shape* (which boxes, cameras and deployments there are, and what they are set to) is
rendered by the template; when it changes, the page fetches itself again. Its *values* are small texts and numbers by
key, such as `camera.gate.rate`; they change every second, and only those that changed travel. One function per kind of
thing makes both, so that the page as served and the page kept alive can't differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.fleet.quantities import duration_ms
from controlplane.insights import domain
from controlplane.insights.domain import Counts, Lost, Span, Sums, Window
from controlplane.ui import figures
from protos.outcomes import Outcome

Document = Mapping[str, Any]
Value = str | int | float | bool | None | list[Any]

RATE_MS = 10_000  # rates are of this span
SHARE_MS = 60_000  # shares and latencies of this one
CHART_MS = 300_000
STEP_MS = 5_000
SETTLE_MS = 3_000  # windows last two seconds and take a moment to come: the newest span is not complete yet
SLOW_DOWN = "300ms"  # what the switch adds: above the usual deadline of 250 ms
NOTE = "longshore/note"
MOST_LOSSES = 3  # told of one box
ROOM = "for longer outages give the box a larger LONGSHORE_AGENT_OUTBOX_BYTES and room on its disk"
_RECORDS = {
    "frame": ("detection", "detections"),
    "outcomes": ("count of outcomes", "counts of outcomes"),
    "camera": ("camera state", "camera states"),
    "node": ("measurement", "measurements"),
}

# In this order everywhere: what went well first, what was given up after it, what failed last.
LEGEND: tuple[tuple[Outcome, str, str], ...] = (
    (Outcome.OK_LOCAL, "on the box", "answered on the box by the deadline"),
    (Outcome.OK_CLOUD, "in the cloud", "answered by a cloud node by the deadline"),
    (Outcome.OK_HEDGE, "hedged", "sent up and run locally too; the local answer came first"),
    (Outcome.STALE_TRACK, "tracked", "answered by the tracker's prediction"),
    (Outcome.SUPERSEDED, "superseded", "a newer frame of the same camera took its place"),
    (Outcome.SHED, "shed", "given up on purpose: it could not have met its deadline"),
    (Outcome.EXPIRED, "expired", "its deadline passed first"),
    (Outcome.CLOUD_LATE, "cloud late", "sent to the cloud, no answer by the deadline"),
    (Outcome.ERROR, "error", "a worker, model or wire failed it"),
)


@dataclass(frozen=True)
class Stats:
    """The newest figures of a box."""

    cpu_cores_used: float
    memory_bytes: int
    outbox_waiting: int


@dataclass(frozen=True)
class Input:
    """All that the page is made of, at one moment. `windows` are those of SHARE_MS, `chart` is what `chart` made."""

    now_ms: int
    nodes: Sequence[Document]
    cameras: Sequence[Document]
    deployments: Sequence[Document]
    windows: Sequence[Window]
    stats: Mapping[str, Stats]
    lost: Sequence[Lost] = ()
    chart: Sequence[Any] = ()
    trouble: str = ""  # why no telemetry comes


@dataclass(frozen=True)
class Card:
    """One thing on the page: what the template needs beside values."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    nodes: tuple[Card, ...]
    cameras: tuple[Card, ...]
    deployments: tuple[Card, ...]
    values: Mapping[str, Value]

    @property
    def shape(self) -> str:
        """Changes when the page has to be rendered again."""
        shaped = [[vars(card) for card in cards] for cards in (self.nodes, self.cameras, self.deployments)]
        return hashlib.sha256(json.dumps(shaped, sort_keys=True, default=list).encode()).hexdigest()[:16]


def board(given: Input) -> Board:
    recent = _Recent(given.windows, given.now_ms)
    values: dict[str, Value] = {"chart": list(given.chart), **_overall(given, recent)}
    nodes = tuple(_node(node, given, values) for node in sorted(given.nodes, key=_edges_first))
    of_camera, of_deployment = recent.by(lambda each: each.camera), recent.by(lambda each: each.deployment)
    cameras = tuple(_camera(camera, of_camera(_name(camera)), values) for camera in given.cameras)
    deployments = tuple(_deployment(item, of_deployment(_name(item)), values) for item in given.deployments)
    return Board(nodes, cameras, deployments, values)


def changed(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """What has to be told to who knows `before`."""
    return {key: value for key, value in after.items() if key not in before or before[key] != value}


def bar(sums: Sums) -> list[list[Any]]:
    """Outcome and share of a hundred, in the order of the legend, without the empty ones."""
    due = sums.due
    return [[each.value, round(100 * sums.counts[each] / due, 2)] for each, _, _ in LEGEND if sums.counts.get(each)]


def chart_end(now_ms: int) -> int:
    """Until when a chart can be drawn: the end of the newest step that is complete."""
    return (now_ms - SETTLE_MS) // STEP_MS * STEP_MS


def chart(windows: Iterable[Counts], end_ms: int) -> list[Any]:
    """Columns of the last minutes: end of the chart, then frames a second by outcome for each step."""
    steps = domain.spread(windows, Span(end_ms - CHART_MS, end_ms, STEP_MS))
    return [end_ms, [{outcome: round(count / STEP_MS, 1) for outcome, count in step.items()} for step in steps]]


@dataclass(frozen=True)
class _Recent:
    """Windows of SHARE_MS, asked about the last moments."""

    windows: Sequence[Window]
    now_ms: int

    def by(self, key: Callable[[Window], str]) -> Callable[[str], _Recent]:
        """What gives the windows of one camera or deployment."""
        gathered = domain.gathered(self.windows, key)
        return lambda name: _Recent(gathered.get(name, ()), self.now_ms)

    def sums(self) -> Sums:
        return domain.sums(self.windows)

    def per_second(self) -> float:
        """Frames due, over RATE_MS."""
        return sum(domain.between(self.windows, *self._rated()).values()) / RATE_MS

    def uplink(self) -> float:
        """Bits a second over RATE_MS."""
        since, until = self._rated()
        sent = sum(window.uplink_bytes for window in self.windows if since <= window.end_ms < until)
        return sent * 8 * 1000 / RATE_MS

    def _rated(self) -> tuple[int, int]:
        return self.now_ms - RATE_MS - SETTLE_MS, self.now_ms - SETTLE_MS


# ---- one function per kind of thing ----


def _overall(given: Input, recent: _Recent) -> dict[str, Value]:
    total = recent.sums()
    online = sum(node["status"]["phase"] == "Online" for node in given.nodes)
    running = sum(camera["status"]["state"] == "running" for camera in given.cameras)
    return {
        "fleet.boxes": f"{online} of {figures.plural(len(given.nodes), 'box', 'boxes')} online",
        "fleet.cameras": f"{running} of {figures.plural(len(given.cameras), 'camera', 'cameras')} running",
        "fleet.mood": _mood(given, online, running),
        "fleet.trouble": f"No telemetry comes in, so figures stand still: {given.trouble}" if given.trouble else "",
        "all.rate": figures.rate(recent.per_second()),
        "all.inTime": figures.percent(total.in_time, total.due),
        "all.verdict": _verdict(total),
        "all.p50": _latency(total, 0.5),
        "all.p95": _latency(total, 0.95),
        "all.uplink": figures.bit_rate(recent.uplink()),
        "all.bar": bar(total),
        **_where("all", total),
    }


def _mood(given: Input, online: int, running: int) -> str:
    if not given.nodes:
        return "empty"
    well = online == len(given.nodes) and running == len(given.cameras) and not given.trouble
    return "well" if well else "attention"


def _verdict(total: Sums) -> str:
    """A word for the share in time, for colour."""
    if not total.due:
        return "none"
    share = total.in_time / total.due
    return "well" if share >= 0.98 else "attention" if share >= 0.9 else "bad"


def _latency(sums: Sums, share: float) -> str:
    """From capture to answer, of the frames that were answered."""
    return figures.milliseconds(sums.answers.percentile(share))


def _in_cloud(sums: Sums) -> str:
    """Where inference ran, of the frames that were answered."""
    return figures.percent(sums.cloud.answered, sums.answers.answered)


def _where(prefix: str, sums: Sums) -> dict[str, Value]:
    answered = sums.answers.answered
    return {
        f"{prefix}.onBox": figures.percent(sums.box.answered, answered),
        f"{prefix}.inCloud": _in_cloud(sums),
        f"{prefix}.cloudShare": round(100 * sums.cloud.answered / answered, 2) if answered else 0,
    }


def _node(node: Document, given: Input, values: dict[str, Value]) -> Card:
    name, status, converged = _name(node), node["status"], _condition(node, "Converged")
    offline = status["phase"] != "Online"
    key, stats = f"node.{name}", None if offline else given.stats.get(name)
    values |= {
        f"{key}.state": _node_state(status["phase"], converged),
        f"{key}.seen": figures.since(status["lastSeen"], given.now_ms),
        f"{key}.why": _condition(node, "Ready")["message"] if offline else _behind(converged),
        f"{key}.problems": " · ".join(problem["message"] for problem in status["problems"]),
        f"{key}.cpu": f"{stats.cpu_cores_used:.2f}" if stats else "–",
        f"{key}.memory": figures.size(stats.memory_bytes) if stats else "–",
        f"{key}.waiting": str(stats.outbox_waiting) if stats else "–",
        f"{key}.lost": _losses(name, given),
        **(_switch(key, node["spec"]["slowDown"]) if status["role"] == "edge" else {}),
    }
    runs = _runs(node, given)
    for run in runs:
        values |= {f"{key}.run.{run.deployment}.{what}": text for what, text in run.values(offline=offline).items()}
    facts = {"role": status["role"], "runs": [run.deployment for run in runs], "machine": _machine(status["inventory"])}
    return Card(name, _labels(node), facts)


def _switch(key: str, slow_down: str) -> dict[str, Value]:
    slow = duration_ms(slow_down, "slowDown") > 0
    return {f"{key}.slow": slow, f"{key}.slowBy": slow_down if slow else SLOW_DOWN}


def _machine(inventory: Document) -> str:
    """What the box is, in a line; nothing before it has said."""
    if not inventory["cpuCores"]:
        return ""
    cores = figures.plural(inventory["cpuCores"], "core", "cores")
    return f"{cores} · {figures.size(inventory['memoryBytes'])} · agent {inventory['agentVersion']}"


def _behind(converged: Document) -> str:
    """Why the box is not where it should be, unless one of its runs says it."""
    return converged["message"] if converged["reason"] == "Behind" else ""


def _losses(name: str, given: Input) -> str:
    """What this box declared dropped within the last day, and what to do about it."""
    lost = [each for each in given.lost if each.node == name]
    if not lost:
        return ""
    said = "; ".join(
        f"{_how_many(each)} lost, last {figures.ago((given.now_ms - each.at_ms) / 1000)}: {each.reason}"
        for each in lost[:MOST_LOSSES]
    )
    more = f"; and {len(lost) - MOST_LOSSES} more kinds" if len(lost) > MOST_LOSSES else ""
    return f"{said}{more} ({ROOM}; 'longshore logs {name}' says more)"


def _how_many(lost: Lost) -> str:
    one, many = _RECORDS.get(lost.record_class, ("record", "records"))
    return figures.plural(lost.records, one, many) if lost.records else f"an unknown number of {many}"


@dataclass(frozen=True)
class _Run:
    """A deployment on a box: what the box reports of it, and how far the control plane finds it."""

    deployment: str
    report: Document
    step: Document
    wanted: Document | None

    def values(self, *, offline: bool) -> dict[str, Value]:
        state = self.report.get("state", "")
        told = not offline and self.step.get("step") != "Updated"
        return {
            "release": _release(self.report.get("activeDigest", ""), self.wanted),
            "state": "" if state == "IDLE" else state.lower().replace("_", " "),
            "is": self.step.get("step", "").lower(),
            "note": self.step.get("message", "") if told else "",
        }


def _runs(node: Document, given: Input) -> list[_Run]:
    reports = {report["name"]: report for report in node["status"]["deployments"]}
    wanted = {_name(item): item for item in given.deployments}
    steps = {
        deployment: box
        for deployment, item in wanted.items()
        for box in item["status"]["boxes"]
        if box["node"] == _name(node)
    }
    names = sorted({*reports, *steps})
    return [_Run(name, reports.get(name, {}), steps.get(name, {}), wanted.get(name)) for name in names]


def _node_state(phase: str, converged: Document) -> str:
    if phase != "Online":
        return phase.lower()
    if converged["status"] == "True":
        return "online"
    return "failed" if converged["reason"] == "Failed" else "updating"


def _release(digest: str, deployment: Document | None) -> str:
    """By version where it is the wanted one, else by digest: the page must not call an old release by a new name."""
    if not digest:
        return "no release yet"
    if deployment is not None and deployment["status"]["digest"] == digest:
        return f"{deployment['spec']['model']} {deployment['spec']['version']}"
    return f"release {figures.short(digest)}"


def _camera(camera: Document, recent: _Recent, values: dict[str, Value]) -> Card:
    name, status = _name(camera), camera["status"]
    key = f"camera.{name}"
    sums = recent.sums()
    ready = _condition(camera, "Ready")
    values |= {
        f"{key}.state": status["state"],
        f"{key}.why": "" if ready["status"] == "True" else ready["message"],
        f"{key}.refused": status["refusedSpec"],
        f"{key}.rate": figures.rate(recent.per_second()),
        f"{key}.p50": _latency(sums, 0.5),
        f"{key}.p95": _latency(sums, 0.95),
        f"{key}.inTime": figures.percent(sums.in_time, sums.due),
        f"{key}.inCloud": _in_cloud(sums),
        f"{key}.bar": bar(sums),
    }
    note = camera["metadata"]["annotations"].get(NOTE, "")
    facts = {"node": camera["spec"]["node"], "source": _kind_of(camera["spec"]["source"]), "note": note}
    return Card(name, _labels(camera), facts)


def _kind_of(source: str) -> str:
    """How the picture gets here; the address stays on the API."""
    return {
        "rtsp": "RTSP",
        "rtsps": "RTSP",
        "file": "File, looped",
        "device": "Device",
        "synthetic": "Drawn scene",
    }.get(source.partition(":")[0], "Source")


def _deployment(item: Document, recent: _Recent, values: dict[str, Value]) -> Card:
    name, spec, status = _name(item), item["spec"], item["status"]
    key = f"deployment.{name}"
    sums, converged = recent.sums(), _condition(item, "Converged")
    values |= {
        f"{key}.state": "converged" if converged["status"] == "True" else converged["reason"].lower(),
        f"{key}.why": converged["message"],
        f"{key}.inTime": figures.percent(sums.in_time, sums.due),
        f"{key}.p95": _latency(sums, 0.95),
        f"{key}.uplink": figures.bit_rate(recent.uplink()),
        **_where(key, sums),
    }
    offload = spec["offload"]
    facts = {
        "model": spec["model"],
        "version": spec["version"],
        "digest": figures.short(status["digest"] or ""),
        "deadline": spec["objective"]["deadline"],
        "budget": offload["uplink"] if offload["enabled"] else "",
    }
    return Card(name, _labels(item), facts)


# ---- small parts ----


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _labels(document: Document) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(document["metadata"]["labels"].items()))


def _condition(document: Document, kind: str) -> Document:
    unknown = {"type": kind, "status": "Unknown", "reason": "Unknown", "message": ""}
    return next((each for each in document["status"]["conditions"] if each["type"] == kind), unknown)


def _edges_first(node: Document) -> tuple[bool, str]:
    return node["status"]["role"] != "edge", _name(node)
