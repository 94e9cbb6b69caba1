"""Objects as people get them: `{"apiVersion", "kind", "metadata", "spec", "status"}`, plain JSON. Pure.

This is the one place where fleet objects become documents, so it is the one place that has to leave camera
credentials out; `specs.camera_document` and `sources.scrubbed` do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from controlplane.fleet import sources, specs, status
from controlplane.fleet.desired import DesiredState
from controlplane.fleet.objects import Camera, Condition, Deployment, Fleet, Meta, Node
from controlplane.fleet.reports import (
    ROUTES,
    CallCost,
    CameraReport,
    DecisionReport,
    DeploymentReport,
    ShadowReport,
    TrustReport,
)
from controlplane.fleet.status import Progress, Step
from controlplane.shape import API_VERSION, moment_or_never

Document = dict[str, Any]


def desired(state: DesiredState) -> dict[str, Any]:
    """What a box is told, as anybody may see it."""
    told: dict[str, Any] = msgspec.to_builtins(state)
    for camera in told["cameras"]:
        camera["source"] = sources.stripped(camera["source"])
    return told


def metadata(name: str, meta: Meta) -> Document:
    return {
        "name": name,
        "labels": dict(meta.labels),
        "annotations": dict(meta.annotations),
        "uid": meta.uid,
        "generation": meta.generation,
        "resourceVersion": str(meta.resource_version),
        "creationTimestamp": moment_or_never(meta.created_unix_ms),
    }


def document(kind: str, name: str, meta: Meta, spec: Document, state: Document) -> Document:
    """Any object, as every answer shows it."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata(name, meta), "spec": spec, "status": state}


def conditions(found: Iterable[Condition]) -> list[Document]:
    return [
        {
            "type": item.type,
            "status": item.status,
            "reason": item.reason,
            "message": sources.scrubbed(item.message),
            "lastTransitionTime": moment_or_never(item.since_unix_ms),
        }
        for item in found
    ]


def node(item: Node, fleet: Fleet, now_ms: int) -> Document:
    report = item.report
    state = {
        "phase": status.phase(item).value,
        "role": item.role,
        "lastSeen": moment_or_never(item.last_seen_unix_ms),
        "generation": item.desired_generation,
        "observedGeneration": report.observed_generation,
        "inventory": _inventory(item),
        "deployments": [_deployment_report(each) for each in sorted(report.deployments, key=lambda each: each.name)],
        "cameras": [_camera_line(each, item) for each in sorted(report.cameras, key=lambda each: each.name)],
        "trust": _trust(report.trust),
        "problems": [{"code": each.code, "message": sources.scrubbed(each.message)} for each in report.problems],
        "conditions": conditions(status.dated(status.node_conditions(item, fleet), item.transitions, now_ms)),
    }
    return document("Node", item.name, item.meta, specs.node_document(item.spec), state)


def _inventory(item: Node) -> Document:
    inventory = item.report.inventory
    return {
        "agentVersion": inventory.agent_version,
        "os": inventory.os,
        "cpuCores": inventory.cpu_cores,
        "memoryBytes": inventory.memory_bytes,
        "diskFreeBytes": inventory.disk_free_bytes,
        "providers": list(inventory.providers),
        "inferenceGrpcUrl": inventory.inference_grpc_url,
        "inferenceHttpUrl": inventory.inference_http_url,
        "metricsUrl": inventory.metrics_url,
    }


def _deployment_report(report: DeploymentReport) -> Document:
    return {
        "name": report.name,
        "state": report.state,
        "activeDigest": report.active_digest,
        "targetDigest": report.target_digest,
        "refusedDigests": list(report.refused_digests),
        "bytesDone": report.bytes_done,
        "bytesTotal": report.bytes_total,
        "variant": report.variant,
        "cost": _cost(report.cost),
        "shadow": _shadow(report.shadow),
        "decision": _decision(report.decision),
        "message": sources.scrubbed(report.message),
    }


def _decision(report: DecisionReport | None) -> Document | None:
    if report is None:
        return None
    return {
        "frames": report.frames,
        "routes": {route: round(getattr(report, route), 4) for route in ROUTES},
        "load": round(report.load, 3),
        "linkBitsPerSecond": round(report.bits_per_second),
        "linkSeconds": round(report.rtt_seconds, 4),
        "bitsLeft": None if report.bits_left is None else round(report.bits_left),
        "moneyLeft": None if report.money_left is None else round(report.money_left, 6),
        "prices": {name: round(price, 4) for name, price in report.prices.items()},
        "rung": report.rung,
        "rungWhy": sources.scrubbed(report.rung_why),
        "why": sources.scrubbed(report.why),
    }


def _cost(cost: CallCost | None) -> Document | None:
    if cost is None:
        return None
    return {"frameSeconds": round(cost.frame_seconds, 6), "callSeconds": round(cost.call_seconds, 6)}


def _shadow(report: ShadowReport | None) -> Document | None:
    if report is None:
        return None
    return {
        "digest": report.digest,
        "answered": report.answered,
        "agreed": report.agreed,
        "agreedShare": round(report.agreed_share, 6),
        "differed": report.differed,
        "failed": report.failed,
        "inferSeconds": round(report.infer_seconds, 6),
        "activeInferSeconds": round(report.active_infer_seconds, 6),
        "message": sources.scrubbed(report.message),
    }


def _trust(report: TrustReport | None) -> Document | None:
    if report is None:
        return None
    return {
        "rootVersion": report.root_version,
        "timestampVersion": report.timestamp_version,
        "refreshed": moment_or_never(report.refreshed_unix_ms),
        "expires": moment_or_never(report.expires_unix_ms),
    }


def _camera_line(report: CameraReport, owner: Node) -> Document:
    return {
        "name": report.name,
        "state": report.state,
        "reason": sources.scrubbed(report.reason),
        "framesPerSecond": _rate(report, owner),
    }


def _rate(report: CameraReport, owner: Node | None) -> float:
    """What comes now: nothing is known to come from a box that is silent, whatever it said last."""
    return round(report.frames_per_second, 2) if owner and owner.online else 0.0


def camera(item: Camera, owner: Node | None, now_ms: int) -> Document:
    report = status.camera_report(item, owner)
    state = {
        "state": status.camera_state(item, owner),
        "reason": sources.scrubbed(report.reason),
        "framesPerSecond": _rate(report, owner),
        "loweredRate": status.lowered_rate(item, owner),
        "lastFrame": moment_or_never(report.last_frame_unix_ms),
        "width": report.width,
        "height": report.height,
        "restarts": report.restarts,
        "refusedSpec": sources.scrubbed(report.refused_spec),
        "conditions": conditions(status.dated(status.camera_conditions(item, owner), item.transitions, now_ms)),
    }
    return document("Camera", item.name, item.meta, specs.camera_document(item.spec), state)


def deployment(item: Deployment, fleet: Fleet, now_ms: int) -> Document:
    steps = status.boxes(item, fleet)
    found = status.deployment_conditions(item, steps, fleet)
    state = {
        "digest": fleet.releases.get((item.spec.model, item.spec.version)),
        "nodes": _counts(steps),
        "boxes": [_box(step) for step in steps],
        "conditions": conditions(status.dated(found, item.transitions, now_ms)),
    }
    return document("Deployment", item.name, item.meta, specs.deployment_document(item.spec), state)


def _counts(steps: list[Progress]) -> Document:
    return {
        "desired": len(steps),
        "updated": sum(step.step is Step.UPDATED for step in steps),
        "failed": sum(step.step is Step.FAILED for step in steps),
    }


def _box(step: Progress) -> Document:
    return {
        "node": step.node,
        "step": step.step.value,
        "state": step.state,
        "activeDigest": step.active_digest,
        "variant": step.variant,
        "shadow": _shadow(step.shadow),
        "trust": _trust(step.trust),
        "message": sources.scrubbed(step.message),
    }
