"""The fleet over HTTP: Kubernetes-like objects, one-sentence refusals, and no credentials anywhere."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.fleet.accounts import ActionScore, FrameAccount, FrameAccounts
from controlplane.fleet.looking import LogLine, Picture, Snapshot
from controlplane.fleet.reports import CameraReport, Report
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from protos.ids import CameraName, NodeId
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimBrowser, SimControlPlane

GATE = {"spec": {"node": "quay-1", "source": "rtsp://admin:hunter2@cam.example/live"}}


@pytest.fixture
def house(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    made = SimControlPlane(tmp_path, clock, sync_interval_seconds=15)
    with made.database.begin() as session:
        admission = Admission(NodeId("quay-1"), {"site": "quay"}, "edge", rejoin=True)
        IdentityRepository(session).admit_node(admission, int(clock.unix() * 1000))
    yield made
    made.close()


@pytest.fixture
def api(house: SimControlPlane) -> SimBrowser:
    return house.client


def test_an_object_has_kubernetes_shape(api: SimBrowser) -> None:
    node = api.get("/api/v1/nodes/quay-1").json()
    assert (node["apiVersion"], node["kind"]) == ("longshore/v1", "Node")
    assert set(node["metadata"]) == {
        "name",
        "labels",
        "annotations",
        "uid",
        "generation",
        "resourceVersion",
        "creationTimestamp",
    }
    assert node["spec"] == {"paused": False, "slowDown": "0s"}
    assert {item["type"] for item in node["status"]["conditions"]} == {"Ready", "Converged"}


def test_put_creates_then_configures_then_changes_nothing(api: SimBrowser) -> None:
    answers = [api.put("/api/v1/cameras/gate", json=body) for body in (GATE, {"spec": {**GATE["spec"], "rate": 5}})]
    answers.append(api.put("/api/v1/cameras/gate", json=answers[-1].json()))
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert [answer.headers["Longshore-Change"] for answer in answers] == ["created", "configured", "unchanged"]


def test_objects_are_listed_by_label_and_deleted(api: SimBrowser) -> None:
    for name, view in (("gate", "in"), ("berth", "out")):
        api.put(f"/api/v1/cameras/{name}", json={**GATE, "metadata": {"labels": {"view": view}}})
    listed = api.get("/api/v1/cameras", params={"labelSelector": "view=in"}).json()["items"]
    assert [item["metadata"]["name"] for item in listed] == ["gate"]
    assert len(api.get("/api/v1/cameras", params={"limit": 1}).json()["items"]) == 1
    assert api.delete("/api/v1/cameras/gate").status_code == 204
    assert api.get("/api/v1/cameras/gate").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/nodes/x", None, 404, "there is no node 'x'; see 'longshore get nodes'"),
        ("PUT", "/nodes/x", {"spec": {}}, 404, "longshore token create x"),
        ("PUT", "/cameras/gate", {"spec": {"node": "quay-1"}}, 422, "spec.source is needed"),
        ("PUT", "/cameras/gate", [], 422, "the body must be an object"),
        ("PUT", "/cameras/Gate", GATE, 422, "Camera name 'Gate' must be"),
        ("PUT", "/nodes/quay-1", {"metadata": {"labels": {"role": "cloud"}}}, 422, "join it anew to change its role"),
        ("PUT", "/deployments/w", {"spec": {"model": "m", "version": "1"}}, 422, "push it with 'longshore push DIR'"),
        ("GET", "/cameras?labelSelector=a%20b", None, 422, "label selector|label key"),
        ("GET", "/nodes?limit=0", None, 422, ""),
        ("GET", "/cameras/gate/picture", None, 404, "there is no camera 'gate'"),
    ],
)
def test_a_refusal_is_one_sentence(
    api: SimBrowser, method: str, path: str, body: object, status: int, said: str
) -> None:
    answer = api.request(method, f"/api/v1{path}", json=body)
    assert answer.status_code == status
    message = answer.json()["error"]["message"]
    assert any(each in message for each in said.split("|"))
    assert "\n" not in message


@pytest.mark.parametrize(
    "body", [{"metadata": {"annotations": {"n": "\ud800"}}, **GATE}, {"spec": {"\ud800": 1}}, {"\ud800": 1}]
)
def test_half_a_character_is_refused_and_spoils_no_list(api: SimBrowser, body: dict[str, object]) -> None:
    answer = api.put(
        "/api/v1/cameras/gate", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )  # as \ud800, which JSON allows
    assert (answer.status_code, "half a character" in answer.text) == (422, True)
    assert api.get("/api/v1/cameras").status_code == 200


def test_a_write_against_something_older_is_a_conflict(api: SimBrowser) -> None:
    read = api.put("/api/v1/cameras/gate", json=GATE).json()
    api.put("/api/v1/cameras/gate", json={"spec": {**GATE["spec"], "rate": 5}})
    assert api.put("/api/v1/cameras/gate", json=read).status_code == 409


def test_a_uid_outlives_changes_and_not_its_object(api: SimBrowser) -> None:
    first = api.put("/api/v1/cameras/gate", json=GATE).json()
    changed = api.put("/api/v1/cameras/gate", json={"spec": {**GATE["spec"], "rate": 5}}).json()
    assert changed["metadata"]["uid"] == first["metadata"]["uid"]
    api.delete("/api/v1/cameras/gate")
    anew = api.put("/api/v1/cameras/gate", json=GATE).json()
    assert anew["metadata"]["uid"] != first["metadata"]["uid"]
    assert anew["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    answer = api.put("/api/v1/cameras/gate", json=first)
    assert (answer.status_code, "made anew" in answer.json()["error"]["message"]) == (409, True)


def test_nothing_is_open_to_strangers(house: SimControlPlane) -> None:
    for path in ("nodes", "nodes/quay-1", "cameras", "cameras/gate/picture", "deployments", "nodes/quay-1/logs"):
        assert house.stranger.get(f"/api/v1/{path}").status_code == 401
    assert house.stranger.put("/api/v1/cameras/gate", json=GATE).status_code == 401
    assert house.stranger.delete("/api/v1/nodes/quay-1").status_code == 401


def test_the_newest_picture_comes_with_what_is_known_of_it(house: SimControlPlane, api: SimBrowser) -> None:
    api.put("/api/v1/cameras/gate", json=GATE)
    house.services.looking.put_picture(
        Picture(CameraName("gate"), 1_795_000_000_500, b"\xff\xd8\xffjpeg", "ok_local", 41.5)
    )
    answer = api.get("/api/v1/cameras/gate/picture")
    assert (answer.status_code, answer.content) == (200, b"\xff\xd8\xffjpeg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["longshore-outcome"] == "ok_local"
    assert answer.headers["longshore-captured"] == "2026-11-18T11:06:40.500Z"
    later = api.get("/api/v1/cameras/gate/picture", params={"after": answer.headers["longshore-number"], "wait": 0})
    assert later.status_code == 503
    assert "longshore describe camera gate" in later.json()["error"]["message"]


def test_asking_for_a_picture_or_lines_marks_the_box_as_watched(house: SimControlPlane, api: SimBrowser) -> None:
    api.put("/api/v1/cameras/gate", json=GATE)
    house.notifier.hints.clear()
    api.get("/api/v1/cameras/gate/picture", params={"wait": 0})
    assert [(str(node), until) for node, _, until in house.notifier.hints] == [
        ("quay-1", int(house.clock.unix() * 1000) + 30_000)
    ]
    house.clock.tick(20)
    api.get("/api/v1/nodes/quay-1/logs")
    assert len(house.notifier.hints) == 2


def answered(house: SimControlPlane, failure: str = "") -> threading.Thread:
    """A box that answers the next wish for a snapshot of the gate; started."""

    def run() -> None:
        looking = house.services.looking
        while not (wishes := looking.wishes({CameraName("gate")})):
            threading.Event().wait(0.001)
        wish = wishes[0]
        told = f"{wish.max_side} {wish.quality} {wish.region}".encode()
        jpeg = b"" if failure else b"\xff\xd8\xff" + told
        looking.put_snapshot(Snapshot(wish.number, wish.camera, 1_795_000_000_500, jpeg, failure))

    house.services.boxes.sync(NodeId("quay-1"), Report(cameras=(CameraReport("gate", "running"),)))
    box = threading.Thread(target=run, daemon=True)
    box.start()
    return box


def test_a_snapshot_is_what_was_asked_for_and_says_when_it_was(house: SimControlPlane, api: SimBrowser) -> None:
    api.put("/api/v1/cameras/gate", json=GATE)
    house.notifier.hints.clear()
    box = answered(house)
    answer = api.get("/api/v1/cameras/gate/snapshot", params={"region": "0.2,0.3,0.4,9", "size": 800, "quality": 70})
    box.join()
    assert answer.status_code == 200
    assert answer.content == b"\xff\xd8\xff800 70 Region(x0=0.2, y0=0.3, x1=0.4, y1=1.0)"
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["longshore-captured"] == "2026-11-18T11:06:40.500Z"
    assert len(house.notifier.hints) == 1, "the box is told that somebody looks"


@pytest.mark.parametrize("region", ["here", "0.1,0.2,0.3", "0.5,0.5,0.4,0.6", "2,2,3,3", "nan,0,1,1", "0,0,1,inf"])
def test_a_region_of_nothing_is_refused_at_once(api: SimBrowser, region: str) -> None:
    api.put("/api/v1/cameras/gate", json=GATE)
    answer = api.get("/api/v1/cameras/gate/snapshot", params={"region": region})
    assert answer.status_code == 422
    assert "region" in answer.json()["error"]["message"]


def test_why_there_is_no_snapshot_is_said(house: SimControlPlane, api: SimBrowser) -> None:
    api.put("/api/v1/cameras/gate", json=GATE)
    box = answered(house, failure="camera gate does not run")
    answer = api.get("/api/v1/cameras/gate/snapshot")
    box.join()
    assert answer.status_code == 503
    assert "camera gate does not run" in answer.json()["error"]["message"]
    silent = api.get("/api/v1/cameras/gate/snapshot", params={"wait": 0})
    assert silent.status_code == 503
    assert "longshore describe camera gate" in silent.json()["error"]["message"]
    assert api.get("/api/v1/cameras/nowhere/snapshot").status_code == 404


def accounted(house: SimControlPlane, failure: str = "") -> threading.Thread:
    """A box that answers the next question about a frame of the gate; started."""

    def run() -> None:
        looking = house.services.looking
        while not (wishes := looking.frame_wishes({CameraName("gate")})):
            threading.Event().wait(0.001)
        wish = wishes[0]
        scores = (ActionScore("cloud", 0.7, 0.9, 0.2, 0.5, ""),)
        why = f"{wish.seq} {wish.deployment}"
        account = FrameAccount("watch", 17, 1_795_000_000_500, "cloud", why, scores, features={"slack_seconds": 0.2})
        found = () if failure else (account,)
        looking.put_accounts(FrameAccounts(wish.number, wish.camera, found, failure))

    house.services.boxes.sync(NodeId("quay-1"), Report(cameras=(CameraReport("gate", "running"),)))
    box = threading.Thread(target=run, daemon=True)
    box.start()
    return box


def test_the_account_of_a_frame_says_what_was_weighed(house: SimControlPlane, api: SimBrowser) -> None:
    api.put("/api/v1/cameras/gate", json=GATE)
    house.notifier.hints.clear()
    box = accounted(house)
    asked = {"seq": 17, "deployment": "watch", "node": "quay-1"}
    answer = api.get("/api/v1/cameras/gate/account", params=asked)
    box.join()
    assert answer.status_code == 200
    told = answer.json()
    assert (told["node"], told["camera"]) == ("quay-1", "gate")
    (account,) = told["accounts"]
    assert (account["captured"], account["why"]) == ("2026-11-18T11:06:40.500Z", "17 watch")
    assert account["scores"] == [
        {"action": "cloud", "worth": 0.7, "onTime": 0.9, "price": 0.2, "score": 0.5, "whyNot": ""}
    ]
    assert account["features"] == {"slack_seconds": 0.2}
    assert len(house.notifier.hints) == 1, "the box is told that somebody looks"


def test_a_frame_that_nobody_knows_is_not_found_and_says_why(house: SimControlPlane, api: SimBrowser) -> None:
    api.put("/api/v1/cameras/gate", json=GATE)
    box = accounted(house, failure="frame 17 of gate is not known any more")
    answer = api.get("/api/v1/cameras/gate/account", params={"seq": 17})
    box.join()
    assert (answer.status_code, "not known any more" in answer.json()["error"]["message"]) == (404, True)
    elsewhere = api.get("/api/v1/cameras/gate/account", params={"node": "quay-2"})
    assert (elsewhere.status_code, "ask for quay-1/gate" in elsewhere.json()["error"]["message"]) == (404, True)
    silent = api.get("/api/v1/cameras/gate/account", params={"wait": 0})
    assert (silent.status_code, "longshore describe node quay-1" in silent.json()["error"]["message"]) == (503, True)
    assert api.get("/api/v1/cameras/nowhere/account").status_code == 404
    assert api.get("/api/v1/cameras/gate/account", params={"seq": -1}).status_code == 422


def test_log_lines_go_on_where_they_stopped(house: SimControlPlane, api: SimBrowser) -> None:
    for number in range(3):
        house.services.looking.put_line(NodeId("quay-1"), LogLine(1_795_000_000_000, "INFO", "agent", f"line {number}"))
    lines = api.get("/api/v1/nodes/quay-1/logs").json()["items"]
    assert [line["message"] for line in lines] == ["line 0", "line 1", "line 2"]
    assert set(lines[0]) == {"time", "level", "logger", "message", "number"}
    rest = api.get("/api/v1/nodes/quay-1/logs", params={"after": lines[1]["number"]}).json()["items"]
    assert [line["message"] for line in rest] == ["line 2"]


def test_a_cameras_credentials_are_in_no_answer_and_no_log(
    house: SimControlPlane, api: SimBrowser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        api.put("/api/v1/cameras/gate", json=GATE),
        api.get("/api/v1/cameras/gate"),
        api.get("/api/v1/cameras"),
        api.get("/api/v1/nodes/quay-1"),
        api.get("/metrics"),
        api.get("/api/v1/cameras/gate/picture", params={"wait": 0}),
        api.put("/api/v1/cameras/gate", json={"spec": {**GATE["spec"], "rate": 99}}),
        api.put("/api/v1/cameras/gate", json={"spec": {"node": "quay-1", "source": "http://admin:hunter2@cam/"}}),
        api.put("/api/v1/cameras/gate", json={"spec": {"node": "quay-1", "source": "rtsp://admin:hunter2@@cam:x/"}}),
        api.put("/api/v1/cameras/gate", json={"spec": {"source": ["rtsp://admin:hunter2@cam/"]}}),
        api.delete("/api/v1/cameras/gate"),
    ]
    for answer in answers:
        assert "hunter2" not in answer.text + str(answer.headers)
    assert "hunter2" not in caplog.text


def test_every_answer_of_an_object_or_a_list_has_a_body_in_openapi(api: SimBrowser) -> None:
    document = api.get("/api/v1/openapi.json").json()
    bare = {"/blobs/{sha256}", "/releases/{name}/manifest", "/releases/{name}/card", "/cameras/{name}/picture"}
    bare |= {"/cameras/{name}/snapshot", "/blobs/{sha256}/chunks"}  # bytes
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not {"fleet", "registry"} & set(operation["tags"]) or method == "head" or path[7:] in bare:
                continue
            for status, answer in operation["responses"].items():
                schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
                assert "$ref" in schema or status == "204", f"{method} {path} {status}"


def test_openapi_documents_every_object_and_what_may_be_put(api: SimBrowser) -> None:
    document = api.get("/api/v1/openapi.json").json()
    for kind in ("nodes", "cameras", "deployments"):
        one = document["paths"][f"/api/v1/{kind}/{{name}}"]
        assert set(one) >= {"get", "put", "delete"}
        spec = one["put"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["spec"]
        assert spec["properties"]
    assert "source" in document["components"]["schemas"]["CameraSpec"]["properties"]


def test_a_preview_names_what_a_deployment_would_choose_and_stores_nothing(api: SimBrowser) -> None:
    body = {"spec": {"model": "harbour", "version": "9.9.9", "nodeSelector": {"matchLabels": {"site": "nowhere"}}}}
    answer = api.post("/api/v1/deployments/planned/preview", json=body)
    assert (answer.status_code, answer.json()["nodes"], answer.json()["cameras"]) == (200, [], [])
    assert api.get("/api/v1/deployments/planned").status_code == 404
    assert api.post("/api/v1/deployments/planned/preview", json={"spec": {}}).status_code == 422


def test_a_preview_tells_a_sentence_for_each_thing_that_will_not_do_what_was_meant(
    api: SimBrowser, house: SimControlPlane
) -> None:
    house.push(releases.make("1.0.0"))
    api.put("/api/v1/cameras/gate", json={"spec": {**GATE["spec"], "rate": 10}})
    terms = {"stays": ["gaet"], "cameraValues": {"birth": 2}, "values": {"bota": 5}, "floorRate": 60}
    body = {"spec": {"model": "harbour", "version": "1.0.0", "classes": ["bus"], "terms": terms}}
    told = api.post("/api/v1/deployments/planned/preview", json=body).json()["warnings"]
    assert told == [
        "Not online now: quay-1. They follow when they call in again.",
        "Cloud help is on and no cloud node matches: nobody will help.",
        "spec.classes: harbour 1.0.0 has no label 'bus'; there are boat, container.",
        "spec.terms.values: harbour 1.0.0 has no label 'bota'; there are boat, container.",
        "spec.terms names birth, gaet, which this deployment does not see; check the name.",
        "spec.terms.floorRate of 60 is above the rate of gate, so overload never lowers these; "
        "lower it or raise their rate.",
    ]


def test_a_value_of_a_label_that_the_release_lacks_is_refused_with_those_there_are(
    api: SimBrowser, house: SimControlPlane
) -> None:
    house.push(releases.make("1.0.0"))
    body = {"spec": {"model": "harbour", "version": "1.0.0", "terms": {"values": {"bota": 5}}}}
    answer = api.put("/api/v1/deployments/planned", json=body)
    assert answer.status_code == 422
    assert "spec.terms.values: harbour 1.0.0 has no label 'bota'; there are boat, container" in answer.text
    assert api.get("/api/v1/deployments/planned").status_code == 404
