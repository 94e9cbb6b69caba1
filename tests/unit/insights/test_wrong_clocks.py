"""A box whose own clock is wrong is seen like any other: on the page, in `longshore top` and in the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.telemetry import records
from agent.telemetry.records import Latencies, NodeStats, OutcomeWindow, Waiting
from agent.types import CameraState, Tap
from controlplane.ingest import wire
from controlplane.shape import moment
from controlplane.ui.fleet_pages import FleetPages
from controlplane.ui.page import Asked
from protos.ids import CameraName, DeploymentName, NodeId
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import DEPLOYMENT, HarbourFleet
from tests.sim.telemetry import finished

BOX = NodeId("north-quay")
CRANE = Tap(CameraName("crane"), DeploymentName(DEPLOYMENT))
DAY_MS = 86_400_000


@pytest.fixture(params=[-DAY_MS, DAY_MS], ids=["a-day-slow", "a-day-fast"])
def plane(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    """It has heard of the last ten seconds from a box that lives in another day."""
    made = SimControlPlane(tmp_path, clock)
    fleet = HarbourFleet(made.services)
    fleet.join()
    fleet.report()
    now = made.services.insights.now_ms
    payload = records.stamped(records.batch("epochwrong", told(now + request.param)), now + request.param)
    made.services.ingest.store([wire.batch(BOX, payload, now)])
    yield made
    made.close()


def told(now_ms: int) -> list[Waiting]:
    """What the box says at this time of its own."""
    windows = [
        OutcomeWindow(CRANE, end - 2_000, end, {"ok_local": 20}, Latencies((0, 20), 0.02))
        for end in range(now_ms - 10_000, now_ms, 2_000)
    ]
    frame = replace(finished(tap=CRANE), captured_unix_ns=(now_ms - 3_000) * 1_000_000)
    drafts = [
        *map(records.outcomes, windows),
        records.node_stats(NodeStats(0.5, 1 << 20, 1), 0, 0, now_ms - 4_000),
        records.camera_health(CRANE.camera, CameraState.RUNNING, "", now_ms - 5_000),
        records.frame(frame),
    ]
    return [Waiting(each.record_class, seq, each.body) for seq, each in enumerate(drafts, 1)]


def asked(plane: SimControlPlane, path: str) -> Any:
    return plane.client.get(f"/api/v1/{path}").json()


def test_its_outcomes_lie_where_they_happened(plane: SimControlPlane) -> None:
    found = asked(plane, "outcomes?since=30s&step=1s")
    assert found["nodes"][BOX]["due"] == 100
    assert found["nodes"][BOX]["latencyP95Seconds"] > 0
    assert asked(plane, "outcomes?since=26h&until=2m&step=1m")["total"]["due"] == 0


@pytest.mark.parametrize(
    ("path", "ago_ms"), [(f"nodes/{BOX}/stats", 4_000), ("cameras/crane/health", 5_000), ("detections", 3_000)]
)
def test_what_it_told_carries_our_time(plane: SimControlPlane, path: str, ago_ms: int) -> None:
    (item,) = asked(plane, f"{path}?since=1m")["items"]
    assert item["at"] == moment(plane.services.insights.now_ms - ago_ms)


def test_it_is_on_the_page(plane: SimControlPlane) -> None:
    values = FleetPages()(plane.services, Asked())().values
    assert values["camera.crane.inTime"] == "100"
    assert float(str(values["camera.crane.rate"])) > 3
    assert values[f"node.{BOX}.cpu"] == "0.50"
