"""What the page shows, from documents of the fleet and windows of outcomes. Pure.

A Board has two parts. Its *shape* (which boxes, cameras and deployments there are, and what they are set to) is
rendered by the template; when it changes, the page fetches itself again. Its *values* are small texts and numbers by
key, such as `camera.gate.rate`; they change every second, and only those that changed travel. One function per kind of
thing makes both, so that the page as served and the page kept alive can't differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.fleet.quantities import duration_ms
from controlplane.insights import domain
from controlplane.insights.domain import Sums, Window
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
    outbox_dropped: int


@dataclass(frozen=True)
class Input:
    """All that the page is made of, at one moment."""

    now_ms: int
    nodes: Sequence[Document]
    cameras: Sequence[Document]
    deployments: Sequence[Document]
    windows: Sequence[Window]
    stats: Mapping[str, Stats]


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
    values: dict[str, Value] = {}
    recent = _Recent(given.windows, given.now_ms)
    values |= _overall(given, recent)
    values["chart"] = chart(given.windows, given.now_ms)
    nodes = tuple(_node(node, given, values) for node in sorted(given.nodes, key=_edges_first))
    cameras = tuple(_camera(camera, recent.of(camera=_name(camera)), values) for camera in given.cameras)
    deployments = tuple(_deployment(item, recent.of(deployment=_name(item)), values) for item in given.deployments)
    return Board(nodes, cameras, deployments, values)


def changed(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """What has to be told to who knows `before`."""
    return {key: value for key, value in after.items() if key not in before or before[key] != value}


def bar(sums: Sums) -> list[list[Any]]:
    """Outcome and share of a hundred, in the order of the legend, without the empty ones."""
    due = sums.due
    return [[each.value, round(100 * sums.counts[each] / due, 2)] for each, _, _ in LEGEND if sums.counts.get(each)]


def chart(windows: Sequence[Window], now_ms: int) -> list[Any]:
    """Columns of the last minutes: end of the chart, then frames a second by outcome for each step."""
    last = (now_ms - SETTLE_MS) // STEP_MS * STEP_MS
    return [last, [_column(windows, at) for at in range(last - CHART_MS, last, STEP_MS)]]


def _column(windows: Sequence[Window], start_ms: int) -> dict[str, float]:
    """Frames a second by outcome."""
    frames = domain.between(windows, start_ms, start_ms + STEP_MS)
    return {outcome: round(count / STEP_MS, 1) for outcome, count in frames.items() if count}


@dataclass(frozen=True)
class _Recent:
    """Windows, asked about the last moments."""

    windows: Sequence[Window]
    now_ms: int

    def of(self, camera: str = "", deployment: str = "") -> _Recent:
        wanted = [each for each in self.windows if each.camera == camera or each.deployment == deployment]
        return _Recent(wanted, self.now_ms)

    def sums(self) -> Sums:
        """Of SHARE_MS."""
        since = self.now_ms - SHARE_MS - SETTLE_MS
        return domain.sums(window for window in self.windows if since <= window.end_ms)

    def per_second(self) -> float:
        """Frames due, over RATE_MS."""
        return domain.between(self.windows, *self._rated()).total() / RATE_MS

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
        "all.rate": figures.rate(recent.per_second()),
        "all.inTime": figures.percent(total.in_time, total.due),
        "all.verdict": _verdict(total),
        "all.p50": figures.milliseconds(total.p50),
        "all.p95": figures.milliseconds(total.p95),
        "all.uplink": figures.bit_rate(recent.uplink()),
        "all.bar": bar(total),
        **_where("all", total),
    }


def _mood(given: Input, online: int, running: int) -> str:
    if not given.nodes:
        return "empty"
    well = online == len(given.nodes) and running == len(given.cameras)
    return "well" if well else "attention"


def _verdict(total: Sums) -> str:
    """A word for the share in time, for colour."""
    if not total.due:
        return "none"
    share = total.in_time / total.due
    return "well" if share >= 0.98 else "attention" if share >= 0.9 else "bad"


def _where(prefix: str, sums: Sums) -> dict[str, Value]:
    """Where inference ran, of the frames that were answered at all."""
    answered = sum(sums.counts.get(each, 0) for each in domain.ANSWERED)
    cloud = sums.by_cloud
    return {
        f"{prefix}.onBox": figures.percent(answered - cloud, answered),
        f"{prefix}.inCloud": figures.percent(cloud, answered),
        f"{prefix}.cloudShare": round(100 * cloud / answered, 2) if answered else 0,
    }


def _node(node: Document, given: Input, values: dict[str, Value]) -> Card:
    name, spec, status = _name(node), node["spec"], node["status"]
    key, stats = f"node.{name}", given.stats.get(_name(node))
    ready, converged = _condition(node, "Ready"), _condition(node, "Converged")
    offline = status["phase"] != "Online"
    values |= {
        f"{key}.phase": status["phase"],
        f"{key}.state": _node_state(status["phase"], converged),
        f"{key}.seen": figures.since(status["lastSeen"], given.now_ms),
        f"{key}.why": ready["message"] if offline else "" if converged["status"] == "True" else converged["message"],
        f"{key}.problems": " · ".join(problem["message"] for problem in status["problems"]),
        f"{key}.cpu": f"{stats.cpu_cores_used:.2f}" if stats and not offline else "–",
        f"{key}.memory": figures.size(stats.memory_bytes) if stats and not offline else "–",
        f"{key}.waiting": str(stats.outbox_waiting) if stats else "–",
        f"{key}.dropped": figures.plural(stats.outbox_dropped, "record", "records") if stats else "",
        f"{key}.lost": bool(stats and stats.outbox_dropped),
        f"{key}.slow": duration_ms(spec["slowDown"], "slowDown") > 0,
        f"{key}.slowBy": spec["slowDown"] if duration_ms(spec["slowDown"], "slowDown") else SLOW_DOWN,
    }
    releases = {_name(item): item for item in given.deployments}
    for report in status["deployments"]:
        at = f"{key}.run.{report['name']}"
        values[f"{at}.release"] = _release(report["activeDigest"], releases.get(report["name"]))
        values[f"{at}.state"] = "" if report["state"] == "IDLE" else report["state"].lower().replace("_", " ")
        values[f"{at}.note"] = report["message"]
    facts = {"role": status["role"], "runs": sorted(report["name"] for report in status["deployments"])}
    return Card(
        name, _labels(node), {**facts, "os": status["inventory"]["os"], "cores": status["inventory"]["cpuCores"]}
    )


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
        f"{key}.p50": figures.milliseconds(sums.p50),
        f"{key}.p95": figures.milliseconds(sums.p95),
        f"{key}.inTime": figures.percent(sums.in_time, sums.due),
        f"{key}.bar": bar(sums),
        **_where(key, sums),
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
    counts = status["nodes"]
    values |= {
        f"{key}.state": "converged" if converged["status"] == "True" else converged["reason"].lower(),
        f"{key}.why": converged["message"],
        f"{key}.boxes": f"{counts['updated']} of {counts['desired']}",
        f"{key}.failed": counts["failed"],
        f"{key}.inTime": figures.percent(sums.in_time, sums.due),
        f"{key}.p95": figures.milliseconds(sums.p95),
        f"{key}.uplink": figures.bit_rate(recent.uplink()),
        f"{key}.bar": bar(sums),
        **_where(key, sums),
    }
    offload = spec["offload"]
    facts = {
        "model": spec["model"],
        "version": spec["version"],
        "digest": figures.short(status["digest"] or ""),
        "deadline": spec["objective"]["deadline"],
        "budget": offload["uplink"] if offload["enabled"] else "",
        "quality": offload["jpegQuality"],
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
