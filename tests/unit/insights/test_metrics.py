"""The fleet for Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from controlplane.fleet.service import FleetService
from controlplane.ingest.domain import Batch, Kind
from controlplane.insights import metrics
from controlplane.insights.domain import Latencies
from controlplane.insights.metrics import BOUNDS_MS, FleetMetrics
from protos.errors import Retryable
from protos.outcomes import LATENCY_BOUNDS_MS
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import DEPLOYMENT, DIGEST, HarbourFleet

ON_NORTH = {"node": "north-quay", "deployment": DEPLOYMENT}


@pytest.fixture
def fleet(plane: SimControlPlane) -> HarbourFleet:
    made = HarbourFleet(plane.services)
    made.join()
    made.report()
    return made


def said(fleet: HarbourFleet, counts: dict[str, int], box: list[int], seconds: float = 0.0) -> Batch:
    """A window of crane's on north-quay."""
    now = fleet.services.insights.now_ms
    window = {"camera": "crane", "deployment": DEPLOYMENT, "start_ms": now - 2_000, "end_ms": now, "uplink_bytes": 500}
    latencies = {"box": {"frames": box, "seconds": seconds}, "cloud": {"frames": [], "seconds": 0.0}}
    due = {"frames_due": sum(counts.values()), "counts": counts}
    return fleet.say("north-quay", Kind.OUTCOMES, {**window, **latencies, **due})


class Scrape:
    """What a Prometheus reads, once."""

    def __init__(self, plane: SimControlPlane) -> None:
        text = plane.client.get("/metrics").text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        found = [each.value for each in self.samples if each.name == name and each.labels == labels]
        return found[0] if found else None

    def labels(self, name: str) -> list[dict[str, str]]:
        return [each.labels for each in self.samples if each.name == name]


def test_frames_are_counted_by_how_they_ended_once_each(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    said(fleet, {"ok_local": 7, "shed": 2}, [])
    again = said(fleet, {"ok_local": 3}, [])
    fleet.services.ingest.store([again, again])
    scrape = Scrape(plane)
    assert scrape.value("longshore_fleet_frames_total", **ON_NORTH, outcome="ok_local") == 10
    assert scrape.value("longshore_fleet_frames_total", **ON_NORTH, outcome="shed") == 2
    assert scrape.value("longshore_fleet_uplink_bytes_total", **ON_NORTH) == 1000


def test_where_the_time_of_frames_went_is_told(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    fleet.history(minutes=1)
    scrape, stages = Scrape(plane), ("decode", "wait", "infer", "answer", "encode", "cloud")
    spent = [scrape.value("longshore_fleet_stage_seconds_total", **ON_NORTH, stage=stage) or 0.0 for stage in stages]
    both = ("box", "cloud")
    took = [scrape.value("longshore_fleet_frame_seconds_sum", **ON_NORTH, answered_by=where) or 0.0 for where in both]
    assert min(spent) > 0
    assert sum(spent) == pytest.approx(sum(took))


def test_latencies_are_a_histogram_without_a_camera(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    said(fleet, {"ok_local": 4}, [1, 0, 0, 2, 1], seconds=0.007)
    scrape = Scrape(plane)

    def up_to(bound: str) -> float | None:
        return scrape.value("longshore_fleet_frame_seconds_bucket", **ON_NORTH, answered_by="box", le=bound)

    assert [up_to(bound) for bound in ("0.001", "0.002", "0.005", "2.5", "+Inf")] == [1, 3, 4, 4, 4]
    assert scrape.value("longshore_fleet_frame_seconds_sum", **ON_NORTH, answered_by="box") == 0.007
    assert scrape.value("longshore_fleet_frame_seconds_count", **ON_NORTH, answered_by="box") == 4
    assert not any("camera" in labels for labels in scrape.labels("longshore_fleet_frame_seconds_bucket"))


def test_a_frame_beyond_every_bound_is_in_the_last_bucket_only() -> None:
    frames = [0] * len(LATENCY_BOUNDS_MS) + [1]
    assert [count for _, count in metrics.buckets(Latencies(frames))] == [0] * len(BOUNDS_MS) + [1]


def test_bounds_of_metrics_are_bounds_of_telemetry() -> None:
    assert set(BOUNDS_MS) <= set(LATENCY_BOUNDS_MS)


def test_boxes_and_cameras_are_counted_by_how_they_fare(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    fleet.services.boxes.presence("south-quay", online=False, boot_id="boot-1")
    scrape = Scrape(plane)
    assert scrape.value("longshore_fleet_nodes", role="edge", phase="Online") == 1
    assert scrape.value("longshore_fleet_nodes", role="edge", phase="Offline") == 1
    assert scrape.value("longshore_fleet_nodes", role="cloud", phase="Online") == 1
    assert scrape.value("longshore_fleet_cameras", state="running") == 2
    assert scrape.value("longshore_fleet_cameras", state="unknown") == 1


def test_each_box_tells_the_release_that_answers_and_how_its_update_fares(
    plane: SimControlPlane, fleet: HarbourFleet
) -> None:
    fleet.refuses["south-quay"] = "no room"
    fleet.report()
    scrape = Scrape(plane)
    release = {"model": "harbour", "version": "1.0.0", "digest": DIGEST}
    assert scrape.value("longshore_fleet_release_info", **ON_NORTH, **release) == 1
    assert scrape.value("longshore_fleet_update_state", **ON_NORTH, step="Updated", state="IDLE") == 1
    failed = {"node": "south-quay", "deployment": DEPLOYMENT, "step": "Failed", "state": "FAILED"}
    assert failed in scrape.labels("longshore_fleet_update_state")
    assert "south-quay" not in {labels["node"] for labels in scrape.labels("longshore_fleet_release_info")}


def test_what_is_deleted_has_no_series_any_more(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    fleet.history(minutes=0.2)
    fleet.services.fleet.delete_node("north-quay")
    names = {labels["node"] for labels in Scrape(plane).labels("longshore_fleet_frames_total")}
    assert names == {"south-quay"}
    fleet.services.fleet.delete_deployment(DEPLOYMENT)
    scrape = Scrape(plane)
    for name in ("frames_total", "frame_seconds_bucket", "uplink_bytes_total", "update_state", "release_info"):
        assert scrape.labels(f"longshore_fleet_{name}") == []


def test_a_box_that_comes_back_counts_from_zero(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    said(fleet, {"ok_local": 7}, [])
    fleet.services.fleet.delete_node("north-quay")
    Scrape(plane)
    fleet.admit("north-quay", "edge", {"site": "harbour"})
    said(fleet, {"ok_local": 1}, [])
    assert Scrape(plane).value("longshore_fleet_frames_total", **ON_NORTH, outcome="ok_local") == 1


def test_without_the_database_other_figures_are_still_told(
    plane: SimControlPlane, fleet: HarbourFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_fleet: FleetService) -> list[object]:
        raise Retryable("the database is away")

    monkeypatch.setattr(FleetService, "list_nodes", away)
    scrape = Scrape(plane)
    assert scrape.labels("longshore_fleet_nodes") == []
    assert scrape.value("longshore_http_received_bytes_total") is not None


def test_every_family_is_described_and_named_as_prometheus_has_it(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    described = (Path(__file__).parents[3] / "docs" / "agent.md").read_text()
    fleet.history(minutes=0.2)
    services, registry = plane.services, CollectorRegistry()
    registry.register(FleetMetrics(services.fleet, services.registry, services.totals))
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.name.startswith("longshore_fleet_")
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert {sample.name for sample in family.samples} == {f"{family.name}_total"}
        assert f"`{family.samples[0].name.removesuffix('_bucket')}`" in described
