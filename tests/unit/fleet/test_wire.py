"""What boxes send is bounded before it is kept; what they get is all of the desired state."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.fleet import wire
from controlplane.fleet.boxes import Answer
from controlplane.fleet.desired import (
    Broker,
    CloudEndpoint,
    DesiredCamera,
    DesiredDeployment,
    DesiredShadow,
    DesiredState,
)
from controlplane.fleet.downloads import Download, Window
from controlplane.fleet.quantities import Money
from controlplane.fleet.reports import CallCost, DecisionReport, ShadowReport
from controlplane.fleet.specs import OffloadSpec
from controlplane.fleet.terms import Costs, Terms
from controlplane.fleet.watching import Motion
from controlplane.fleet.zones import Line, Zone
from controlplane.settings.domain import BoxQuotas
from protos import fleet_pb2
from protos.errors import Rejected
from protos.ids import CameraName

ZONES = (Zone("water", ((0.0, 0.5), (1.0, 0.5), (0.5, 1.0)), 30.0),)
LINES = (Line("door", ((0.5, 1.0), (0.5, 0.0))),)
ZONES_TOLD = [
    fleet_pb2.Zone(
        name="water",
        points=[fleet_pb2.Point(y=0.5), fleet_pb2.Point(x=1, y=0.5), fleet_pb2.Point(x=0.5, y=1)],
        dwell_seconds=30,
    )
]
ROAD = (Zone("road", ZONES[0].points),)
DESIRED = DesiredState(
    cameras=(
        DesiredCamera(
            "gate",
            "rtsp://u:hunter2@cam/",
            5.0,
            (("view", "gate"),),
            3,
            ZONES,
            LINES,
            ROAD,
            Motion(gate=True, every_ms=5_000),
        ),
    ),
    deployments=(
        DesiredDeployment(
            "watch",
            "harbour",
            "1.0.0",
            "sha256:" + "1" * 64,
            ("gate",),
            250,
            OffloadSpec(enabled=True, uplink_bits_per_second=4_000_000, jpeg_quality=80),
            0.3,
            2.0,
            ("boat",),
            events=False,
            shadow=DesiredShadow("sha256:" + "2" * 64, 0.1),
            latency_budget_ms=60,
            download=Download(2_000_000, Window(1320, 300, "Europe/Berlin"), 600_000),
            terms=Terms(
                (("boat", 5.0),),
                ((CameraName("gate"), 2.0),),
                Money(2.5, "EUR"),
                15.0,
                costs=Costs(Money(0.1, "EUR"), Money(0.0, "EUR")),
                floor_rate=0.0,
                safety=True,
                stays=(CameraName("berth"),),
            ),
        ),
    ),
    slow_down_ms=300,
    paused=True,
    cloud=(CloudEndpoint("cloud-1", "grpcs://cloud-1:8001"),),
    broker=Broker("broker", 8883, tls=True, mqtt5=True, beat_seconds=190),
    sync_interval_seconds=15,
    quiet_sync_seconds=86_400,
    labels=(("site", "quay"),),
    quotas=BoxQuotas(release_bytes=1 << 30, outbox_bytes=2 << 20),
)


def test_a_desired_state_reaches_the_wire_whole() -> None:
    answer = wire.answer(
        Answer(DESIRED, 7, 99, "https://cp/api/v1/blobs", "https://cp/api/v1/metadata", 11, 123, 456, "lsg.x")
    )
    expected = fleet_pb2.DesiredState(
        generation=7,
        cameras=[
            fleet_pb2.CameraSpec(
                name="gate",
                source="rtsp://u:hunter2@cam/",
                rate=5.0,
                labels={"view": "gate"},
                generation=3,
                zones=ZONES_TOLD,
                masks=[fleet_pb2.Zone(name="road", points=ZONES_TOLD[0].points)],
                motion=fleet_pb2.MotionGate(every_ms=5_000),
                lines=[fleet_pb2.Line(name="door", points=[fleet_pb2.Point(x=0.5, y=1), fleet_pb2.Point(x=0.5)])],
            )
        ],
        deployments=[
            fleet_pb2.DeploymentSpec(
                name="watch",
                model="harbour",
                version="1.0.0",
                digest="sha256:" + "1" * 64,
                cameras=["gate"],
                deadline_ms=250,
                offload=fleet_pb2.OffloadSpec(enabled=True, bits_per_second=4_000_000, jpeg_quality=80),
                min_score=0.3,
                detections_per_second=2.0,
                classes=["boat"],
                silent=True,
                shadow=fleet_pb2.ShadowSpec(digest="sha256:" + "2" * 64, share=0.1),
                latency_budget_ms=60,
                download=fleet_pb2.DownloadSpec(
                    bits_per_second=2_000_000,
                    window=fleet_pb2.DailyWindow(opens_minute=1320, closes_minute=300, zone="Europe/Berlin"),
                    jitter_ms=600_000,
                ),
                terms=fleet_pb2.TermsSpec(
                    values={"boat": 5.0},
                    camera_values={"gate": 2.0},
                    money_per_day=2.5,
                    currency="EUR",
                    watts=15.0,
                    money_per_gigabyte=0.1,
                    money_per_cloud_second=0.0,
                    safety=True,
                    stays=["berth"],
                ),
            )
        ],
        switches=fleet_pb2.Switches(slow_down_ms=300, paused=True),
        cloud=[fleet_pb2.CloudEndpoint(url="grpcs://cloud-1:8001", node_id="cloud-1")],
        broker=fleet_pb2.BrokerEndpoint(host="broker", port=8883, tls=True, mqtt5=True, beat_seconds=190),
        sync_interval_seconds=15,
        quiet_sync_seconds=86_400,
        watch_until_unix_ms=99,
        labels={"site": "quay"},
        quotas=fleet_pb2.Quotas(release_bytes=1 << 30, outbox_bytes=2 << 20),
    )
    assert answer.desired == expected
    assert answer.grant == fleet_pb2.FileGrant(
        base_url="https://cp/api/v1/blobs",
        bearer="lsg.x",
        expires_unix_ms=123,
        metadata_url="https://cp/api/v1/metadata",
        metadata_version=11,
    )
    assert answer.clock_unix_ms == 456


def test_a_fleet_without_a_broker_says_so_by_leaving_it_out() -> None:
    answer = wire.answer(Answer(DesiredState(), 1, 0, "", "", 0, 0, 0, ""))
    assert not answer.desired.HasField("broker")


@given(st.text(max_size=3000))
def test_text_of_a_box_is_cut_and_printable(text: str) -> None:
    report = wire.report(fleet_pb2.SyncRequest(problems=[fleet_pb2.Problem(code="x", message=text)]))
    kept = report.problems[0].message
    assert len(kept) <= 500
    assert "\x00" not in kept
    assert "\x1b" not in kept


def test_a_box_that_quotes_its_camera_does_not_publish_the_password() -> None:
    told = fleet_pb2.CameraReport(
        name="gate", reason="cannot open rtsp://admin:hunter2@cam/live", refused_spec="rtsp://a:hunter2@b"
    )
    report = wire.report(fleet_pb2.SyncRequest(cameras=[told]))
    assert "hunter2" not in str(report)
    assert report.cameras[0].reason == "cannot open rtsp://***@cam/live"


@pytest.mark.parametrize(("told", "kept"), [(5.0, 5.0), (0.0, 0.0), (math.nan, 0.0)])
def test_the_rate_that_overload_left_a_camera_is_kept_as_a_number(told: float, kept: float) -> None:
    report = wire.report(fleet_pb2.SyncRequest(cameras=[fleet_pb2.CameraReport(name="gate", lowered_rate=told)]))
    assert report.cameras[0].lowered_rate == kept


def test_how_long_a_box_may_be_silent_is_known_and_an_older_agent_says_nothing_of_it() -> None:
    assert wire.report(fleet_pb2.SyncRequest(silent_seconds=280)).silent_seconds == 280
    assert wire.report(fleet_pb2.SyncRequest()).silent_seconds == 0


def test_the_variant_that_answers_is_kept_and_an_older_agent_names_none() -> None:
    told = [fleet_pb2.DeploymentReport(name="watch", variant="int8"), fleet_pb2.DeploymentReport(name="other")]
    kept = wire.report(fleet_pb2.SyncRequest(deployments=told)).deployments
    assert [each.variant for each in kept] == ["int8", ""]


def test_a_box_that_fetches_nothing_by_its_rules_is_known() -> None:
    told = [fleet_pb2.DeploymentReport(name="watch", held=True), fleet_pb2.DeploymentReport(name="other")]
    assert [each.held for each in wire.report(fleet_pb2.SyncRequest(deployments=told)).deployments] == [True, False]


def test_how_a_shadow_compares_is_kept_and_most_boxes_have_none() -> None:
    shadow = fleet_pb2.ShadowReport(
        digest="sha256:bb", message="cannot\x00", agreed=97, differed=3, failed=2, infer_seconds=math.inf
    )
    told = [fleet_pb2.DeploymentReport(name="watch", shadow=shadow), fleet_pb2.DeploymentReport(name="other")]
    kept = [each.shadow for each in wire.report(fleet_pb2.SyncRequest(deployments=told)).deployments]
    assert kept == [ShadowReport("sha256:bb", "cannot ", 97, 3, 2, 0.0, 0.0), None]
    assert kept[0]
    assert (kept[0].answered, kept[0].agreed_share, ShadowReport("sha256:bb").agreed_share) == (100, 0.97, 0.0)


def test_how_a_box_decides_is_kept_within_bounds_and_an_older_agent_tells_nothing_of_it() -> None:
    decision = fleet_pb2.DecisionReport(
        frames=50, cloud=0.4, load=math.inf, bits_left=9e6, prices={"bits": 0.5, "x\0": math.nan}, why="it is\nslow"
    )
    told = [fleet_pb2.DeploymentReport(name="watch", decision=decision), fleet_pb2.DeploymentReport(name="other")]
    kept = [each.decision for each in wire.report(fleet_pb2.SyncRequest(deployments=told)).deployments]
    prices = {"bits": 0.5, "x ": 0.0}
    assert kept == [DecisionReport(50, cloud=0.4, bits_left=9e6, prices=prices, why="it is slow"), None]


def test_what_a_call_costs_is_kept_and_an_older_agent_tells_nothing_of_it() -> None:
    cost = fleet_pb2.CallCost(frame_seconds=0.005, call_seconds=math.nan)
    told = [fleet_pb2.DeploymentReport(name="watch", cost=cost), fleet_pb2.DeploymentReport(name="other")]
    kept = [each.cost for each in wire.report(fleet_pb2.SyncRequest(deployments=told)).deployments]
    assert kept == [CallCost(0.005, 0.0), None]


def test_numbers_no_database_can_hold_are_bounded() -> None:
    told = fleet_pb2.SyncRequest(
        observed_generation=(1 << 64) - 1,
        clock_unix_ms=-5,
        cameras=[fleet_pb2.CameraReport(name="gate", frames_per_second=math.nan)],
        deployments=[fleet_pb2.DeploymentReport(name="watch", bytes_total=(1 << 64) - 1)],
    )
    report = wire.report(told)
    assert report.observed_generation == (1 << 63) - 1
    assert report.clock_unix_ms == 0
    assert report.cameras[0].frames_per_second == 0.0
    assert report.deployments[0].bytes_total == (1 << 63) - 1


def test_lists_without_end_are_cut() -> None:
    told = fleet_pb2.SyncRequest(cameras=[fleet_pb2.CameraReport(name=f"c{i}") for i in range(1000)])
    assert len(wire.report(told).cameras) == 256


def test_log_lines_are_scrubbed_and_printable() -> None:
    line = wire.log_line(fleet_pb2.LogLine(level="info", logger="agent", message="rtsp://a:hunter2@b\x1b[2J"))
    assert (line.level, line.message) == ("INFO", "rtsp://***@b [2J")


FOR_A_BOX = fleet_pb2.Carried(content=b"a", signature=b"b").SerializeToString()


@pytest.mark.parametrize("file", [b"", b"x\n", b"\xff" * 9, FOR_A_BOX])
def test_what_no_box_signed_is_no_report(file: bytes) -> None:
    with pytest.raises(Rejected, match="no report of a box; make one with 'longshore-agent report"):
        wire.carried_report(file)
