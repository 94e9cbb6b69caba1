"""Insights over HTTP, on a simulated fleet."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.history import service
from controlplane.ingest.domain import Kind
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import DIGEST, HarbourFleet


@pytest.fixture(autouse=True)
def fleet(plane: SimControlPlane) -> HarbourFleet:
    made = HarbourFleet(plane.services)
    made.join()
    made.report()
    made.history(minutes=2)
    return made


def test_outcomes_add_up_over_time_boxes_cameras_and_deployments(plane: SimControlPlane) -> None:
    found = plane.client.get("/api/v1/outcomes?since=1m&step=10s").json()
    total = found["total"]
    assert total["due"] > 1000
    assert total["due"] == sum(total["counts"].values())
    for part in ("nodes", "cameras", "deployments"):
        assert sum(each["due"] for each in found[part].values()) == total["due"]
    assert sum(each["due"] for each in found["buckets"]) == total["due"]
    assert found["stepSeconds"] == 10


def test_outcomes_of_one_camera_are_only_its_own(plane: SimControlPlane) -> None:
    found = plane.client.get("/api/v1/outcomes?camera=gate&since=1m").json()
    assert list(found["cameras"]) == ["gate"]
    assert list(found["nodes"]) == ["south-quay"]


def test_what_answers_for_a_camera_is_told_with_what_is_wrong(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    [well] = plane.client.get("/api/v1/answering?camera=crane").json()["items"]
    assert (well["deployment"], well["release"], well["deadlineSeconds"]) == ("harbour-watch", "harbour 1.0.0", 0.25)
    assert well["due"] > 100
    assert well["trouble"] == ""
    fleet.late.add("crane")
    plane.clock.tick(60)
    fleet.history(minutes=1)
    items = plane.client.get("/api/v1/answering?node=north-quay").json()["items"]
    of_box = {each["camera"]: each["trouble"] for each in items}
    assert "too slow here for its deadline of 250 ms" in of_box["crane"]
    assert of_box["berth"] == ""


def test_a_box_tells_what_it_spends(plane: SimControlPlane) -> None:
    items = plane.client.get("/api/v1/nodes/north-quay/stats?limit=3").json()["items"]
    assert len(items) == 3
    assert items[0]["at"] > items[2]["at"]
    assert items[0]["memoryBytes"] > 1 << 20


def test_what_a_box_dropped_within_a_day_is_told_by_class_and_reason(
    plane: SimControlPlane, fleet: HarbourFleet
) -> None:
    full, damaged = "the outbox was full", "the record was damaged on the box's disk"

    def drop(first: int, last: int, dropped: int, reason: str, kind: str = "frame") -> None:
        span = {"first_seq": first, "last_seq": last, "dropped": dropped}
        fleet.say("north-quay", Kind.GAP, {"record_class": kind, "reason": reason, **span})

    drop(1, 50, 40, full)
    drop(51, 60, 2, full)
    plane.clock.tick(60)
    drop(70, 70, 0, damaged)
    items = plane.client.get("/api/v1/nodes/north-quay/gaps").json()["items"]
    assert [(item["recordClass"], item["dropped"], item["reason"]) for item in items] == [
        ("frame", 1, damaged),
        ("frame", 42, full),
    ]
    assert plane.client.get("/api/v1/nodes/south-quay/gaps").json()["items"] == []


def test_a_question_about_too_much_is_refused_with_what_to_ask_instead(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_WINDOWS", 100)
    answer = plane.client.get("/api/v1/outcomes?since=2m")
    assert answer.status_code == 422
    assert "a step of whole minutes, or for one node, camera or deployment" in answer.json()["error"]["message"]
    assert plane.client.get("/api/v1/outcomes?since=2m&camera=gate").status_code == 200
    assert plane.client.get("/api/v1/outcomes?since=1m").json()["total"]["due"] > 500


def test_detections_are_empty_where_nothing_was_detected(plane: SimControlPlane) -> None:
    found = plane.client.get("/api/v1/detections?camera=gate").json()
    assert found == {"apiVersion": "longshore/v1", "kind": "DetectionList", "metadata": {"continue": ""}, "items": []}


def test_detections_are_paged_and_chosen_by_what_was_seen(plane: SimControlPlane, fleet: HarbourFleet) -> None:
    for number in range(5):
        fleet.say("north-quay", Kind.FRAME, seen("boat" if number % 2 else "truck", number))
        plane.clock.tick(1)
    first = plane.client.get("/api/v1/detections?limit=3").json()
    assert [item["frameSeq"] for item in first["items"]] == [4, 3, 2]
    after = first["metadata"]["continue"]
    second = plane.client.get("/api/v1/detections", params={"limit": 3, "continue": after}).json()
    assert ([item["frameSeq"] for item in second["items"]], second["metadata"]["continue"]) == ([1, 0], "")
    boats = plane.client.get("/api/v1/detections?label=boat&zone=water&minScore=0.5&node=north-quay").json()["items"]
    assert [item["frameSeq"] for item in boats] == [3, 1]
    assert boats[0]["boxes"][0]["zones"] == ["water"]
    assert plane.client.get("/api/v1/detections?since=5m&until=3s").json()["items"][0]["frameSeq"] == 1


def test_a_detection_tells_which_things_are_in_it_and_what_they_did(
    plane: SimControlPlane, fleet: HarbourFleet
) -> None:
    crossed = {"what": "crossed", "line": "gate", "direction": "left-to-right", "zone": None, "seconds": None}
    happened = [{**crossed, "label": "boat", "track": 12}]
    known, unknown = seen("boat", 1), seen("boat", 2)  # the second as a box of before 0.2 tells it
    known["boxes"][0]["track"], known["happened"] = 12, happened
    for row in (known, unknown):
        fleet.say("north-quay", Kind.FRAME, row)
    second, first = plane.client.get("/api/v1/detections").json()["items"]
    assert (first["boxes"][0]["track"], first["happened"]) == (12, happened)
    assert (second["boxes"][0]["track"], second["happened"]) == (None, [])


def seen(label: str, number: int) -> dict[str, Any]:
    box = {"x0": 0.1, "y0": 0.1, "x1": 0.2, "y1": 0.2, "score": 0.9, "label": label, "zones": ["water"]}
    return {
        "camera": "crane",
        "deployment": "harbour-watch",
        "release_digest": DIGEST,
        "captured_unix_ns": 1,
        "ts_source": "clock",
        "outcome": "ok_local",
        "latency_seconds": 0.02,
        "ran_on": "local",
        "boxes": [box],
        "frame_seq": number,
        "labels": label,
        "zones": "water",
        "top_score": 0.9,
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/nodes/nobody/stats", 404),
        ("/api/v1/nodes/nobody/gaps", 404),
        ("/api/v1/cameras/nothing/health", 404),
        ("/api/v1/outcomes?since=yesterday", 422),
        ("/api/v1/outcomes?step=0s", 422),
        ("/api/v1/outcomes?since=24h&step=1s", 422),
        ("/api/v1/detections?limit=0", 422),
        ("/api/v1/detections?minScore=2", 422),
        ("/api/v1/detections?continue=here", 422),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(plane: SimControlPlane, path: str, status: int) -> None:
    answer = plane.client.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path", ["outcomes", "detections", "nodes/north-quay/stats", "nodes/north-quay/gaps", "events/stream"]
)
def test_strangers_learn_nothing(plane: SimControlPlane, path: str) -> None:
    assert plane.stranger.get(f"/api/v1/{path}").status_code == 401
