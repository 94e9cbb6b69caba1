"""What people and boxes did around a simulated fleet: releases, events, people and tokens, for pages to show."""

from __future__ import annotations

from typing import Any

from controlplane.identity.roles import Role
from controlplane.identity.service import User
from controlplane.ingest.domain import Kind
from protos.ids import NodeId
from tests.sim import registry_data
from tests.sim.fleet_data import CAMERAS, DEPLOYMENT, DIGEST, HarbourFleet

SEEN = (("boat", 0.91), ("person", 0.62), ("truck", 0.78), ("container", 0.84), ("boat", 0.55))
ZONES = {"gate": ["entry"], "crane": ["quay"], "berth": []}
MINUTE_MS = 60_000


def furnish(fleet: HarbourFleet) -> None:
    """A second release, an hour of events, three people, tokens."""
    services = fleet.services
    registry_data.put(services, registry_data.harbour_next())
    _zones(fleet)
    events(fleet)
    for name, role in (("ann", "operator"), ("bo", "viewer")):
        services.people.put(_person(name), Role(role))
    services.identity.create_join_token(NodeId("west-quay"), {"site": "harbour"}, "edge", 3600)
    services.identity.create_join_token(None, {}, "cloud", 600)
    services.identity.create_api_token("grafana", person=None, role=Role.VIEWER)
    for verb, changed in (("create", "deployments/harbour-watch"), ("change", "cameras/gate")):
        services.audit.record(User(name="browser", role=Role.OPERATOR, person="ann"), verb, changed)


def _person(name: str) -> Any:
    from controlplane.fleet import changes

    return changes.written({"kind": "Person", "metadata": {"name": name}, "spec": {}}, "Person", name)


def _zones(fleet: HarbourFleet) -> None:
    for camera in CAMERAS:
        stored = fleet.services.fleet.get_camera(camera.name)
        square = [[0.1, 0.5], [0.6, 0.5], [0.6, 0.95], [0.1, 0.95]]
        zones = [{"name": name, "points": square} for name in ZONES[camera.name]]
        lines = [{"name": "harbour-mouth", "points": [[0.7, 0.85], [0.5, 0.35]]}] if camera.name == "gate" else []
        body = {"metadata": {"name": camera.name}, "spec": {**stored["spec"], "zones": zones, "lines": lines}}
        fleet.services.fleet.apply_camera(camera.name, body)


def events(fleet: HarbourFleet, count: int = 70) -> None:
    """Detections over the last hour, newest last, and how two cameras fared."""
    now = fleet.services.insights.now_ms
    for number in range(count):
        camera = CAMERAS[number % len(CAMERAS)]
        boxes = [
            {"x0": 0.1, "y0": 0.6, "x1": 0.3, "y1": 0.9, "score": score, "label": label, "zones": ZONES[camera.name]}
            for label, score in (SEEN[number % 5], SEEN[(number * 3 + 1) % 5])[: 1 + number % 2]
        ]
        at_ms = now - (count - number) * 47_000
        fleet.say(camera.node, Kind.FRAME, {**_frame(camera.name, at_ms, boxes), "at_ms": at_ms})
    for number, (state, reason) in enumerate((("retrying", "connection refused; is the camera on?"), ("running", ""))):
        at_ms = now - (9 - 4 * number) * MINUTE_MS
        fleet.say("south-quay", Kind.CAMERA, {"at_ms": at_ms, "camera": "gate", "state": state, "reason": reason})


def _frame(camera: str, at_ms: int, boxes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "camera": camera,
        "deployment": DEPLOYMENT,
        "release_digest": DIGEST,
        "captured_unix_ns": at_ms * 1_000_000,
        "ts_source": "arrival",
        "outcome": "ok_local",
        "latency_seconds": 0.031,
        "ran_on": "local",
        "boxes": boxes,
        "frame_seq": at_ms % 100_000,
    }
