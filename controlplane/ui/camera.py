"""One camera: its picture, how its frames end, what was found, its zones. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.insights import answering
from controlplane.insights.answering import Answering
from controlplane.insights.domain import Window
from controlplane.ui import cameras, figures, outcomes, spans
from controlplane.ui.documents import labels_of, name_of, to_write
from controlplane.ui.outcomes import Recent
from controlplane.ui.page import Crumb, Document, Value, View
from protos.outcomes import WORDS, Outcome

NEWEST = 12  # detections and states shown


@dataclass(frozen=True)
class Found:
    """One recorded result."""

    at: str  # RFC 3339
    outcome: str
    ran_on: str
    latency_seconds: float
    boxes: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Fared:
    """How the camera was from a moment on."""

    at: str  # RFC 3339
    state: str
    reason: str


@dataclass(frozen=True)
class Input:
    """`windows`: of SHARE_MS and of this camera; `drawn`: charts of a span."""

    now_ms: int
    camera: Document
    nodes: Sequence[str]  # boxes that it could be on
    windows: Sequence[Window]
    deployments: Sequence[Document] = ()
    found: Sequence[Found] = ()
    fared: Sequence[Fared] = ()
    drawn: Mapping[str, Value] = field(default_factory=dict)
    span: str = spans.USUAL


def camera(given: Input) -> View:
    document, name = given.camera, name_of(given.camera)
    spec, status, recent = document["spec"], document["status"], Recent(given.windows, given.now_ms)
    key = f"camera.{name}"
    answers = answering.answering(recent.parts, answering.objectives(given.deployments))
    values: dict[str, Value] = {
        **cameras.values(document, recent, answers),
        "answers": [_answers(each) for each in answers],
        "unanswered": not answers,
        **spans.stages(recent.sums()),
        **given.drawn,
        f"{key}.size": f"{status['width']} × {status['height']}" if status["width"] else "–",
        f"{key}.restarts": str(status["restarts"]),
        f"{key}.lowered": _lowered(status["loweredRate"], spec["node"]),
        "found": [_found(each) for each in given.found[:NEWEST]],
    }
    facts = {
        **cameras.facts(document),
        "labels": labels_of(document),
        "address": spec["source"],
        "rate": spec["rate"],
        "zones": spec["zones"],
        "lines": spec["lines"],
        "masks": spec["masks"],
        "motion": spec["motion"],
        "document": to_write(document),
        "nodes": sorted({*given.nodes, spec["node"]}),
        "fared": [vars(each) for each in given.fared[:NEWEST]],
        "any": bool(given.found),
        "span": given.span,
        "spans": [(each, word) for each, (word, *_) in spans.SPANS.items()],
        "stages": spans.STAGES,
    }
    return View("camera.html", name, "cameras", facts, values, (Crumb("Cameras", "/cameras"),), (name,))


def _lowered(rate: float | None, node: str) -> str:
    """What to say after the rate that is wanted."""
    return "" if rate is None else f"; {rate:g} are due now, because {node} is asked for more than it answers in time"


def deadline_of(windows: Iterable[Window], deployments: Iterable[Document]) -> int:
    """Milliseconds: the shortest deadline of what looks at the camera of these windows; 0 when nothing does."""
    return answering.shortest_ms({each.deployment for each in windows}, deployments)


def _answers(each: Answering) -> dict[str, Any]:
    sums = each.sums
    return {
        "deployment": each.objective.deployment,
        "href": f"/deployments/{each.objective.deployment}",
        "release": each.objective.release,
        "deadline": each.objective.deadline,
        "inTime": figures.percent(sums.in_time, sums.looked_at),
        "p50": outcomes.latency(sums, 0.5),
        "p95": outcomes.latency(sums, 0.95),
        "frame": figures.milliseconds(each.frame_ms / 1000),
    }


def _found(result: Found) -> dict[str, Any]:
    return {
        "at": result.at,
        "outcome": WORDS.get(Outcome(result.outcome), result.outcome),
        "ranOn": "box" if result.ran_on == "local" else result.ran_on,
        "ms": figures.milliseconds(result.latency_seconds),
        "labels": _counted(box["label"] for box in result.boxes),
        "zones": _counted(zone for box in result.boxes for zone in box.get("zones", ())),
    }


def _counted(words: Iterable[str]) -> str:
    """Such as: 3 boat, 1 truck; the commonest first."""
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())
