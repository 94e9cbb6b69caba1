"""Desired state as the agent reads it: sane parts are taken, senseless ones left out and named."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from agent import types
from agent.berths.update import AgentWish
from agent.desired import CloudNode, desired
from agent.offload.terms import Terms
from agent.pipeline.board import ShadowWish
from agent.tracking.rules import Marks
from agent.update.download import FREE, Download, Window
from agent.wires import chosen
from controlplane.fleet import terms
from protos.fleet_pb2 import (
    CameraSpec,
    CloudEndpoint,
    DailyWindow,
    DeploymentSpec,
    DesiredState,
    Line,
    OffloadSpec,
    Point,
    Quotas,
    ShadowSpec,
    Switches,
    TermsSpec,
    Zone,
)
from protos.ids import CameraName, DeploymentName, Digest, Version

TRIANGLE = Zone(name="water", points=[Point(x=0, y=0.5), Point(x=1, y=0.5), Point(x=0.5, y=1)], dwell_seconds=30)
GATE = Line(name="gate", points=[Point(x=0.5, y=0.9), Point(x=0.5, y=0.3)])
DIGEST = "sha256:" + "a" * 64
SHADOW = "sha256:" + "b" * 64


def state() -> DesiredState:
    return DesiredState(
        generation=7,
        cameras=[CameraSpec(name="quay", source="synthetic://harbour", rate=10, zones=[TRIANGLE], lines=[GATE])],
        deployments=[
            DeploymentSpec(
                name="watch",
                model="harbour",
                version="1.0.0",
                digest=DIGEST,
                cameras=["quay"],
                deadline_ms=250,
                offload=OffloadSpec(enabled=True, bits_per_second=4_000_000, jpeg_quality=70),
                min_score=0.3,
                detections_per_second=2,
                classes=["boat"],
                silent=True,
                shadow=ShadowSpec(digest=SHADOW, share=0.1),
                latency_budget_ms=60,
            )
        ],
        quotas=Quotas(release_bytes=1 << 30),
        switches=Switches(slow_down_ms=300),
        cloud=[CloudEndpoint(url="grpc://127.0.0.1:8001", node_id="cloud-1")],
    )


def test_what_makes_sense_becomes_wishes() -> None:
    read = desired(state())
    [deployment] = read.deployments
    assert (read.generation, read.slow_down, read.refused) == (7, 0.3, ())
    assert deployment.settings.deadline == 0.25
    assert deployment.bits_per_second == 4_000_000
    assert read.records_per_second == {"watch": 2.0}
    assert read.broker is None
    water = types.Zone("water", ((0, 0.5), (1, 0.5), (0.5, 1)), dwell_seconds=30)
    assert read.marks == {"quay": Marks((water,), (types.Line("gate", ((0.5, 0.9), (0.5, 0.3))),))}
    assert read.taps == {types.Tap(CameraName("quay"), DeploymentName("watch"))}
    assert deployment.settings.classes == {"boat"}
    assert read.silent == {"watch"}
    assert deployment.shadow == ShadowWish(Digest(SHADOW), 0.1)
    assert deployment.latency_budget == 0.06
    assert (read.quotas.release_bytes, read.quotas.outbox_bytes) == (1 << 30, 0)


@pytest.mark.parametrize("points", [[], [Point(x=0.5, y=0.5)], [Point(x=0.5, y=0.5)] * 2, [Point(x=0, y=0)] * 3])
def test_a_line_that_is_none_is_left_out_and_named_and_its_camera_goes_on(points: list[Point]) -> None:
    told = state()
    told.cameras[0].lines.append(Line(name="bad", points=points))
    read = desired(told)
    assert [line.name for line in read.cameras[0].lines] == ["gate"]
    assert read.refused == ("line 'bad' of camera quay has no two points; give it two that differ",)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_shadow_with_a_share_that_is_none_leaves_the_deployment_without_one(share: float) -> None:
    told = state()
    told.deployments[0].shadow.share = share
    assert [wish.shadow for wish in desired(told).deployments] == [None]


def test_when_and_how_fast_a_box_fetches() -> None:
    told = state()
    download = told.deployments[0].download
    download.bits_per_second, download.jitter_ms = 2_000_000, 600_000
    download.window.CopyFrom(DailyWindow(opens_minute=1320, closes_minute=300, zone="Europe/Berlin"))
    zone = ZoneInfo("Europe/Berlin")
    expected = Download(250_000.0, Window(1320, 300, zone, "Europe/Berlin"), 600.0)
    assert list(desired(told).downloads.values()) == [expected]
    download.window.zone = ""
    assert [each.window for each in desired(told).downloads.values()] == [Window(1320, 300)]


def test_a_control_plane_that_knows_no_downloads_has_everything_come_at_once() -> None:
    assert list(desired(state()).downloads.values()) == [FREE]


@pytest.mark.parametrize("zone", ["Mars/Base", "../../../etc/passwd", "\0"])
def test_a_box_without_the_zone_of_a_window_fetches_nothing_and_says_what_to_do(zone: str) -> None:
    told = state()
    told.deployments[0].download.window.zone = zone
    [rules] = desired(told).downloads.values()
    assert "install tzdata" in rules.trouble
    assert len(desired(told).deployments) == 1


def test_a_senseless_deployment_is_left_out_and_named_and_the_rest_goes_on() -> None:
    broken = state()
    broken.deployments.add(name="../etc", digest="sha256:short")
    broken.cameras.add(name="UPPER", source="file:///x")
    read = desired(broken)
    assert len(read.deployments) == 1
    assert len(read.cameras) == 1
    assert len(read.refused) == 2
    assert "../etc" in "".join(read.refused)


def test_a_cameras_masks_and_how_often_it_is_looked_at_though_nothing_moves() -> None:
    told = state()
    told.cameras[0].masks.append(TRIANGLE)
    told.cameras[0].motion.every_ms = 5_000
    [camera] = desired(told).cameras
    assert (camera.masks, camera.look_every) == (camera.zones, 5.0)


def test_a_control_plane_that_knows_no_motion_gate_has_every_frame_looked_at() -> None:
    assert desired(state()).cameras[0].look_every == 0.0


@pytest.mark.parametrize(
    "points", [[], [(0, 0), (1, 1)], [(0, 0), (1, 0), (1, 7)], [(0, 0), (1, 0), (1, float("nan"))]]
)
def test_a_mask_that_is_none_is_named_and_the_camera_goes_on(points: list[tuple[float, float]]) -> None:
    broken = state()
    broken.cameras[0].masks.add(name="road", points=[Point(x=x, y=y) for x, y in points])
    read = desired(broken)
    assert read.cameras[0].masks == ()
    [sentence] = read.refused
    assert "mask 'road' of camera quay" in sentence


@pytest.mark.parametrize(
    "url",
    ["", "grpc://", "grpc://host", "grpc://host:banana", "grpc://[::1", "http://host:8001", "grpcs://u:s3cr3t@host:1"],
)
def test_a_cloud_node_without_an_address_is_named_and_the_others_are_asked(url: str) -> None:
    broken = state()
    broken.cloud.add(url=url, node_id="cloud-2")
    read = desired(broken)
    assert read.cloud == (CloudNode("cloud-1", "grpc://127.0.0.1:8001"),)
    [sentence] = read.refused
    assert "cloud-2" in sentence
    assert "grpc://HOST:PORT" in sentence
    assert "s3cr3t" not in sentence


def test_a_cloud_node_may_have_an_address_of_ip_version_6() -> None:
    there = state()
    there.cloud.add(url="grpcs://[2001:db8::1]:8001", node_id="cloud-2")
    assert len(desired(there).cloud) == 2


def test_boxes_spread_over_cloud_nodes_and_few_move_when_one_goes() -> None:
    nodes = [CloudNode(f"cloud-{number}", f"grpc://127.0.0.1:{number}") for number in range(4)]
    boxes = [f"box-{number}" for number in range(400)]
    before = {box: chosen(box, nodes) for box in boxes}
    shares = [sum(node is each for node in before.values()) for each in nodes]
    assert min(shares) > 60
    after = {box: chosen(box, nodes[1:]) for box in boxes}
    assert all(after[box] is before[box] for box in boxes if before[box] is not nodes[0])
    assert chosen("box-1", []) is None


def test_a_release_of_the_agent_is_no_deployment_of_a_model() -> None:
    wanted = state()
    for name in ("zulu", "agents"):
        spec = DeploymentSpec(name=name, model="longshore-agent", version="0.3.1", digest=SHADOW)
        wanted.deployments.append(spec)
    found = desired(wanted)
    assert found.agent == AgentWish(DeploymentName("agents"), Version("0.3.1"), Digest(SHADOW))
    assert "longshore-agent" not in {wish.model for wish in found.deployments}
    assert "deployments agents, zulu all name the agent of this box; let one of them select it" in found.refused


def test_a_control_plane_that_knows_no_terms_leaves_the_box_its_own() -> None:
    """They are the control plane's, too: it tells those that are not."""
    assert desired(state()).deployments[0].settings.terms == Terms()
    assert Terms().floor_rate == terms.AS_EVER.floor_rate


def test_terms_become_the_lanes() -> None:
    told = state()
    told.deployments[0].terms.CopyFrom(
        TermsSpec(
            values={"boat": 5.0},
            camera_values={"quay": 2.0},
            money_per_day=2.5,
            currency="EUR",
            watts=15.0,
            money_per_gigabyte=0.0,
            floor_rate=0.0,
            safety=True,
            stays=["quay"],
        )
    )
    (read,) = desired(told).deployments
    assert read.settings.terms == Terms(
        values={"boat": 5.0},
        camera_values={CameraName("quay"): 2.0},
        money_per_day=2.5,
        watts=15.0,
        money_per_gigabyte=0.0,
        floor_rate=0.0,
        safety=True,
        stays=frozenset({CameraName("quay")}),
    )
    assert read.settings.offload
    assert not read.settings.may_go_up(CameraName("quay"))
    assert read.settings.may_go_up(CameraName("berth"))


def test_where_all_stay_nothing_is_sent_up_of_a_camera_that_is_leaving_either() -> None:
    told = state()
    told.deployments[0].terms.all_stay = True
    (read,) = desired(told).deployments
    assert read.settings.terms.stays == {"quay"}
    assert not read.settings.may_go_up(CameraName("just-left"))


@pytest.mark.parametrize("senseless", [float("nan"), float("inf"), -1.0])
def test_terms_that_make_no_sense_are_left_out_and_what_stays_stays(senseless: float) -> None:
    told = state()
    terms_told = told.deployments[0].terms
    terms_told.values["boat"] = terms_told.watts = terms_told.grams_per_kwh = senseless
    terms_told.stays.append("quay")
    (read,) = desired(told).deployments
    assert (read.settings.terms.values, read.settings.terms.watts) == ({}, None)
    assert read.settings.terms.grams_per_kwh == Terms().grams_per_kwh
    assert not read.settings.may_go_up(CameraName("quay"))
