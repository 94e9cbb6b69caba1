"""What pages show of a camera. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.insights.answering import Answering
from controlplane.ui import figures, outcomes
from controlplane.ui.documents import condition, labels_of, name_of
from controlplane.ui.outcomes import Recent
from controlplane.ui.page import Document, Value

NOTE = "longshore/note"


def facts(camera: Document) -> Mapping[str, Any]:
    """What a card of it is rendered from."""
    note = camera["metadata"]["annotations"].get(NOTE, "")
    node, source = camera["spec"]["node"], kind_of(camera["spec"]["source"])
    return {"name": name_of(camera), "labels": labels_of(camera), "node": node, "source": source, "note": note}


def values(camera: Document, recent: Recent, answering: Sequence[Answering]) -> dict[str, Value]:
    """By key under camera.NAME; `recent` and `answering` are of this camera alone."""
    key, status = f"camera.{name_of(camera)}", camera["status"]
    sums, ready = recent.sums(), condition(camera, "Ready")
    late = " ".join(f"{each.trouble}." for each in answering if each.trouble)
    return {
        f"{key}.state": status["state"],
        f"{key}.shown": "late" if late and status["state"] == "running" else status["state"],
        f"{key}.late": late,
        f"{key}.by": " · ".join(each.objective.release for each in answering),
        f"{key}.why": "" if ready["status"] == "True" else ready["message"],
        f"{key}.refused": status["refusedSpec"],
        f"{key}.rate": figures.rate(recent.per_second()),
        f"{key}.p50": outcomes.latency(sums, 0.5),
        f"{key}.p95": outcomes.latency(sums, 0.95),
        f"{key}.inTime": figures.percent(sums.in_time, sums.looked_at),
        f"{key}.verdict": outcomes.verdict(sums),
        f"{key}.inCloud": outcomes.in_cloud(sums),
        f"{key}.bar": outcomes.bar(sums),
    }


def kind_of(source: str) -> str:
    """How the picture gets here; the address stays on the API."""
    return {
        "rtsp": "RTSP",
        "rtsps": "RTSP",
        "file": "File, looped",
        "device": "Device",
        "synthetic": "Drawn scene",
    }.get(source.partition(":")[0], "Source")
