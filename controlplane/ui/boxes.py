"""What pages show of a box: its state, what runs on it, what it spends, what it lost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.books.domain import FleetBooks
from controlplane.fleet.quantities import duration_ms
from controlplane.insights.domain import Lost
from controlplane.ui import figures
from controlplane.ui.documents import condition, name_of
from controlplane.ui.page import Document, Value
from protos.problems import notices, pressing

SLOW_DOWN = "300ms"  # what the switch adds: above the usual deadline of 250 ms
MOST_LOSSES = 3  # told of one box
ROOM = "for longer outages give the box a larger LONGSHORE_AGENT_OUTBOX_BYTES and room on its disk"
_RECORDS = {
    "alarm": ("alarm", "alarms"),
    "detection": ("detection", "detections"),
    "metric": ("measurement", "measurements"),
    "debug": ("frame without a find", "frames without a find"),
    # as agents before 0.2 name them
    "frame": ("detection", "detections"),
    "outcomes": ("count of outcomes", "counts of outcomes"),
    "camera": ("camera state", "camera states"),
    "node": ("measurement", "measurements"),
}


@dataclass(frozen=True)
class Stats:
    """The newest figures of a box."""

    cpu_cores_used: float
    memory_bytes: int
    outbox_waiting: int
    disk_free_bytes: int = 0


@dataclass(frozen=True)
class Around:
    """What is known beside a box's own document."""

    now_ms: int
    deployments: Sequence[Document] = ()
    stats: Mapping[str, Stats] | None = None
    lost: Sequence[Lost] = ()
    books: FleetBooks | None = None


def values(node: Document, around: Around) -> dict[str, Value]:
    """By key under node.NAME."""
    name, status, converged = name_of(node), node["status"], condition(node, "Converged")
    offline = status["phase"] != "Online"
    key, stats = f"node.{name}", None if offline else (around.stats or {}).get(name)
    return {
        f"{key}.state": state(status["phase"], converged),
        f"{key}.seen": figures.since(status["lastSeen"], around.now_ms),
        f"{key}.why": condition(node, "Ready")["message"] if offline else _behind(converged),
        f"{key}.problems": _told(pressing(status["problems"])),
        f"{key}.cpu": f"{stats.cpu_cores_used:.2f}" if stats else "–",
        f"{key}.memory": figures.size(stats.memory_bytes) if stats else "–",
        f"{key}.disk": figures.size(stats.disk_free_bytes) if stats and stats.disk_free_bytes else "–",
        f"{key}.waiting": str(stats.outbox_waiting) if stats else "–",
        f"{key}.lost": losses(name, around),
        **(_switch(key, node["spec"]["slowDown"]) if status["role"] == "edge" else {}),
        **_run_values(node, around, offline=offline),
    }


def noticed(node: Document) -> dict[str, Value]:
    """What calls nobody: for the box's own page."""
    return {f"node.{name_of(node)}.notices": _told(notices(node["status"]["problems"]))}


def _told(problems: Sequence[Document]) -> str:
    return " · ".join(each["message"] for each in problems)


def _switch(key: str, slow_down: str) -> dict[str, Value]:
    slow = duration_ms(slow_down, "slowDown") > 0
    return {f"{key}.slow": slow, f"{key}.slowBy": slow_down if slow else SLOW_DOWN}


def machine(inventory: Document) -> str:
    """What the box is, in a line; nothing before it has said."""
    if not inventory["cpuCores"]:
        return ""
    cores = figures.plural(inventory["cpuCores"], "core", "cores")
    return f"{cores} · {figures.size(inventory['memoryBytes'])} · agent {inventory['agentVersion']}"


def _behind(converged: Document) -> str:
    """Why the box is not where it should be, unless one of its runs says it."""
    return converged["message"] if converged["reason"] == "Behind" else ""


def state(phase: str, converged: Document) -> str:
    if phase != "Online":
        return phase.lower()
    if converged["status"] == "True":
        return "online"
    return "failed" if converged["reason"] == "Failed" else "updating"


# ---- what was lost ----


def losses(name: str, around: Around) -> str:
    """What this box declared dropped within the last day, and what to do about it."""
    lost = [each for each in around.lost if each.node == name]
    if not lost:
        return ""
    said = "; ".join(
        f"{_how_many(each)} lost, last {figures.ago((around.now_ms - each.at_ms) / 1000)}: {each.reason}"
        for each in lost[:MOST_LOSSES]
    )
    more = f"; and {len(lost) - MOST_LOSSES} more kinds" if len(lost) > MOST_LOSSES else ""
    return f"{said}{more} ({ROOM}; 'longshore logs {name}' says more)"


def _how_many(lost: Lost) -> str:
    one, many = _RECORDS.get(lost.record_class, ("record", "records"))
    return figures.plural(lost.records, one, many) if lost.records else f"an unknown number of {many}"


# ---- what runs ----


@dataclass(frozen=True)
class Run:
    """A deployment on a box: what the box reports of it, and how far the control plane finds it."""

    deployment: str
    report: Document
    step: Document
    wanted: Document | None

    def values(self, *, offline: bool) -> dict[str, Value]:
        doing = self.report.get("state", "")
        told = not offline and self.step.get("step") != "Updated"
        return {
            "release": _release(self.report.get("activeDigest", ""), self.wanted),
            "variant": self.report.get("variant", ""),
            "state": "" if doing == "IDLE" else doing.lower().replace("_", " "),
            "is": self.step.get("step", "").lower(),
            "note": self.step.get("message", "") if told else "",
        }


def runs(node: Document, around: Around) -> list[Run]:
    """By name of their deployments."""
    reports = {report["name"]: report for report in node["status"]["deployments"]}
    wanted = {name_of(item): item for item in around.deployments}
    steps = {
        deployment: box
        for deployment, item in wanted.items()
        for box in item["status"]["boxes"]
        if box["node"] == name_of(node)
    }
    names = sorted({*reports, *steps})
    return [Run(name, reports.get(name, {}), steps.get(name, {}), wanted.get(name)) for name in names]


def _run_values(node: Document, around: Around, *, offline: bool) -> dict[str, Value]:
    return {
        f"node.{name_of(node)}.run.{run.deployment}.{what}": text
        for run in runs(node, around)
        for what, text in run.values(offline=offline).items()
    }


def _release(digest: str, deployment: Document | None) -> str:
    """By version where it is the wanted one, else by digest: the page must not call an old release by a new name."""
    if not digest:
        return "no release yet"
    if deployment is not None and deployment["status"]["digest"] == digest:
        return f"{deployment['spec']['model']} {deployment['spec']['version']}"
    return f"release {figures.short(digest)}"
