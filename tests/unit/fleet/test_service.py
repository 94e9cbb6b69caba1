"""Objects of the fleet: applied, looked at and deleted, and what that does to the boxes."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.errors import Conflict, NotFound
from controlplane.fleet.desired import DesiredShadow
from controlplane.fleet.reports import Inventory
from protos.errors import Rejected
from tests.sim.fleet import SimFleet, digest
from tests.sim.releases import make


def test_a_camera_is_created_configured_and_left_alone(fleet: SimFleet) -> None:
    fleet.join("quay-1")
    assert fleet.camera("gate", "quay-1") == "created"
    assert fleet.camera("gate", "quay-1") == "unchanged"
    assert fleet.camera("gate", "quay-1", "synthetic://yard") == "configured"
    document = fleet.service.get_camera("gate")
    assert (document["metadata"]["generation"], document["metadata"]["resourceVersion"]) == (2, "2")


def test_a_change_bumps_the_generation_of_the_boxes_it_concerns_and_nudges_them_only(fleet: SimFleet) -> None:
    quay, yard = fleet.join("quay-1"), fleet.join("yard-1")
    before = quay.sync().generation, yard.sync().generation
    fleet.hints()
    fleet.camera("gate", "quay-1")
    assert fleet.hints() == ["quay-1"]
    assert (quay.sync().generation, yard.sync().generation) == (before[0] + 1, before[1])


def test_a_change_that_changes_nothing_bumps_nothing(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.camera("gate", "quay-1")
    generation = quay.sync().generation
    fleet.hints()
    fleet.camera("gate", "quay-1")
    assert fleet.hints() == []
    assert quay.sync().generation == generation


def test_a_moved_camera_leaves_one_box_and_comes_to_the_other(fleet: SimFleet) -> None:
    quay, yard = fleet.join("quay-1"), fleet.join("yard-1")
    fleet.camera("gate", "quay-1")
    fleet.hints()
    fleet.camera("gate", "yard-1")
    assert sorted(fleet.hints()) == ["quay-1", "yard-1"]
    assert quay.sync().desired.cameras == ()
    assert [item.name for item in yard.sync().desired.cameras] == ["gate"]


def test_a_deployment_moves_all_selected_boxes_at_once(fleet: SimFleet) -> None:
    boxes = [fleet.join(f"quay-{number}", site="quay") for number in range(3)]
    other = fleet.join("yard-1", site="yard")
    other.sync()
    fleet.push("1.0.0")
    fleet.push("1.1.0")
    for version in ("1.0.0", "1.1.0"):
        fleet.hints()
        fleet.deploy(version=version, nodeSelector={"matchLabels": {"site": "quay"}})
        assert sorted(fleet.hints()) == ["quay-0", "quay-1", "quay-2"]
        assert [[item.digest for item in box.sync().desired.deployments] for box in boxes] == [[digest(version)]] * 3
        assert other.sync().desired.deployments == ()


def test_a_deployment_of_a_release_nobody_pushed_is_refused_and_the_last_good_one_stays(fleet: SimFleet) -> None:
    fleet.push("1.0.0")
    fleet.deploy(version="1.0.0")
    with pytest.raises(Rejected, match=r"release 9.9.9 of model harbour is not in the registry; push it"):
        fleet.deploy(version="9.9.9")
    assert fleet.service.get_deployment("watch")["spec"]["version"] == "1.0.0"


def test_a_shadow_that_nobody_pushed_is_refused_and_one_that_is_there_reaches_the_boxes(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.push("1.0.0")
    fleet.deploy(version="1.0.0")
    with pytest.raises(Rejected, match=r"release 1.1.0 of model harbour is not in the registry; push it"):
        fleet.deploy(version="1.0.0", shadow={"release": "harbour@1.1.0"})
    fleet.push("1.1.0")
    fleet.deploy(version="1.0.0", shadow={"release": "harbour@1.1.0"})
    assert [item.shadow for item in quay.sync().desired.deployments] == [DesiredShadow(digest("1.1.0"), 0.1)]


def test_a_bad_camera_spec_is_refused_and_the_last_good_one_stays(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.camera("gate", "quay-1", "synthetic://harbour")
    generation = quay.sync().generation
    with pytest.raises(Rejected):
        fleet.camera("gate", "quay-1", "gopher://cam")
    assert quay.sync().generation == generation
    assert quay.sync().desired.cameras[0].source == "synthetic://harbour"


def test_a_node_is_made_by_joining_and_not_by_applying(fleet: SimFleet) -> None:
    with pytest.raises(NotFound, match="longshore token create quay-1"):
        fleet.service.apply_node("quay-1", {"spec": {}})


def test_the_slow_down_switch_and_pause_reach_the_box(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.service.apply_node("quay-1", {"spec": {"slowDown": "300ms", "paused": True}})
    answer = quay.sync()
    assert (answer.desired.slow_down_ms, answer.desired.paused) == (300, True)
    fleet.service.apply_node("quay-1", {"spec": {}})
    assert quay.sync().desired.slow_down_ms == 0


def test_a_new_label_on_a_box_brings_it_into_a_deployment(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.push()
    fleet.deploy(nodeSelector={"matchLabels": {"site": "quay"}})
    assert quay.sync().desired.deployments == ()
    fleet.service.apply_node("quay-1", {"metadata": {"labels": {"site": "quay"}}, "spec": {}})
    assert len(quay.sync().desired.deployments) == 1


def test_a_deleted_camera_and_deployment_leave_the_box(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.push()
    fleet.camera("gate", "quay-1")
    fleet.deploy()
    quay.sync()
    fleet.service.delete_camera("gate")
    fleet.service.delete_deployment("watch")
    answer = quay.sync()
    assert (answer.desired.cameras, answer.desired.deployments) == ((), ())


def test_a_deleted_node_is_gone_and_its_cameras_wait_for_it(fleet: SimFleet) -> None:
    fleet.join("quay-1")
    fleet.camera("gate", "quay-1")
    fleet.service.delete_node("quay-1")
    with pytest.raises(NotFound):
        fleet.service.get_node("quay-1")
    condition = fleet.service.get_camera("gate")["status"]["conditions"][0]
    assert condition["reason"] == "NodeUnknown"
    again = fleet.join("quay-1")
    assert [item.name for item in again.sync().desired.cameras] == ["gate"]


@pytest.mark.parametrize("kind", ["node", "camera", "deployment"])
def test_what_is_not_there_is_not_found(fleet: SimFleet, kind: str) -> None:
    for verb in ("get", "delete"):
        with pytest.raises(NotFound, match=f"there is no {kind} 'x'; see 'longshore get {kind}s'"):
            getattr(fleet.service, f"{verb}_{kind}")("x")


def test_lists_are_selected_by_label_and_cut(fleet: SimFleet) -> None:
    for number in range(3):
        fleet.join(f"quay-{number}", site="quay")
    fleet.join("cloud-1", "cloud")
    names = [item["metadata"]["name"] for item in fleet.service.list_nodes("site=quay", limit=2)]
    assert names == ["quay-0", "quay-1"]
    assert [item["metadata"]["name"] for item in fleet.service.list_nodes("role=cloud")] == ["cloud-1"]
    with pytest.raises(Rejected):
        fleet.service.list_cameras("a b")


def test_two_writers_who_read_the_same_do_not_undo_each_other(fleet: SimFleet) -> None:
    fleet.join("quay-1")
    fleet.camera("gate", "quay-1")
    read = fleet.service.get_camera("gate")
    fleet.camera("gate", "quay-1", "synthetic://yard")
    with pytest.raises(Conflict, match="changed since you read it"):
        fleet.service.apply_camera("gate", read)


def test_status_follows_the_reports(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.push()
    fleet.camera("gate", "quay-1")
    fleet.deploy()
    before = fleet.service.get_deployment("watch")["status"]
    assert before["nodes"] == {"desired": 1, "updated": 0, "failed": 0}
    quay.converge()
    after = fleet.service.get_deployment("watch")["status"]
    assert after["nodes"] == {"desired": 1, "updated": 1, "failed": 0}
    assert [item["status"] for item in after["conditions"]] == ["True", "True"]
    assert fleet.service.get_camera("gate")["status"]["state"] == "running"
    quay.sync()
    node = fleet.service.get_node("quay-1")["status"]
    assert [item["status"] for item in node["conditions"]] == ["True", "True"]
    assert (node["phase"], node["generation"]) == ("Online", node["observedGeneration"])


def test_looking_marks_the_box_as_watched_and_nudges_it_but_not_every_second(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.camera("gate", "quay-1")
    quay.sync()
    generation = quay.sync().generation
    fleet.hints()
    fleet.service.look_at_camera("gate")
    assert fleet.hints() == ["quay-1"]
    answer = quay.sync()
    assert answer.watch_until_unix_ms == fleet.now_ms + 30_000
    assert answer.generation == generation
    fleet.clock.tick(5)
    fleet.service.look_at_camera("gate")
    assert fleet.hints() == []
    fleet.clock.tick(12)
    fleet.service.look_at_node("quay-1")
    assert fleet.hints() == ["quay-1"]
    assert quay.sync().watch_until_unix_ms == fleet.now_ms + 30_000


def test_looking_at_what_is_not_there_is_not_found(fleet: SimFleet) -> None:
    with pytest.raises(NotFound):
        fleet.service.look_at_camera("gate")
    with pytest.raises(NotFound):
        fleet.service.look_at_node("quay-1")


def test_a_camera_of_a_box_that_never_joined_can_be_looked_at(fleet: SimFleet) -> None:
    fleet.camera("gate", "quay-1")
    fleet.service.look_at_camera("gate")
    assert fleet.hints() == []


SECRET = "hunter2-%40✓"


def test_credentials_of_a_camera_go_to_its_box_and_to_nobody_else(fleet: SimFleet) -> None:
    source = f"rtsp://admin:{SECRET}@cam.example/live"
    quay, yard = fleet.join("quay-1"), fleet.join("yard-1")
    fleet.camera("gate", "quay-1", source)
    documents = [fleet.service.get_camera("gate"), *fleet.service.list_cameras(), *fleet.service.list_nodes()]
    assert SECRET not in str(documents)
    assert documents[0]["spec"]["source"] == "rtsp://***@cam.example/live"
    assert quay.sync().desired.cameras[0].source == source
    assert SECRET not in str(yard.sync())


def test_what_get_showed_can_be_applied_and_keeps_the_credentials(fleet: SimFleet) -> None:
    source = f"rtsp://admin:{SECRET}@cam.example/live"
    quay = fleet.join("quay-1")
    fleet.camera("gate", "quay-1", source)
    shown = fleet.service.get_camera("gate")
    shown["spec"]["rate"] = 5
    assert fleet.service.apply_camera("gate", shown).change == "configured"
    camera = quay.sync().desired.cameras[0]
    assert (camera.source, camera.rate) == (source, 5.0)


def test_zones_reach_the_box_of_the_camera_and_change_its_generation(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.camera("gate", "quay-1")
    before = quay.sync().generation
    points = [[0, 0.5], [1, 0.5], [1, 1]]
    spec = {"node": "quay-1", "source": "synthetic://harbour", "zones": [{"name": "water", "points": points}]}
    document = fleet.service.apply_camera("gate", {"spec": spec}).document
    assert document["spec"]["zones"] == [{"name": "water", "points": points}]
    answer = quay.sync()
    (camera,) = answer.desired.cameras
    assert answer.generation == before + 1
    assert [(zone.name, zone.points) for zone in camera.zones] == [("water", ((0, 0.5), (1, 0.5), (1, 1)))]


def test_a_cameras_masks_and_motion_gate_reach_its_box(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    masks = [{"name": "sky", "points": [[0, 0], [1, 0], [1, 0.2]]}]
    spec = {"node": "quay-1", "source": "synthetic://harbour", "masks": masks, "motion": {"gate": True}}
    document = fleet.service.apply_camera("gate", {"spec": spec}).document
    assert (document["spec"]["masks"], document["spec"]["motion"]) == (masks, {"gate": True, "every": "10s"})
    (camera,) = quay.sync().desired.cameras
    assert [mask.name for mask in camera.masks] == ["sky"]
    assert (camera.motion.gate, camera.motion.every_ms) == (True, 10_000)


def test_lines_and_stays_reach_the_box_of_the_camera(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    zone = {"name": "water", "points": [[0, 0.5], [1, 0.5], [1, 1]], "dwellSeconds": 30}
    line = {"name": "gate", "points": [[0.5, 0.9], [0.5, 0.3]]}
    spec = {"node": "quay-1", "source": "synthetic://harbour", "zones": [zone], "lines": [line]}
    document = fleet.service.apply_camera("gate", {"spec": spec}).document
    assert (document["spec"]["zones"], document["spec"]["lines"]) == ([zone], [line])
    (camera,) = quay.sync().desired.cameras
    assert camera.zones[0].dwell_seconds == 30
    assert [(each.name, each.points) for each in camera.lines] == [("gate", ((0.5, 0.9), (0.5, 0.3)))]


def test_classes_reach_the_box_without_another_release(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.push(manifest=make("1.0.0").manifest)
    fleet.deploy()
    assert quay.sync().desired.deployments[0].classes == ()
    fleet.hints()
    fleet.deploy(classes=["boat", "boat"])
    assert fleet.hints() == ["quay-1"]
    (wanted,) = quay.sync().desired.deployments
    assert (wanted.classes, wanted.digest) == (("boat",), digest("1.0.0"))


def test_a_class_the_release_does_not_have_is_refused_with_the_labels_there_are(fleet: SimFleet) -> None:
    fleet.push(manifest=make("1.0.0").manifest)
    said = r"spec.classes: harbour 1.0.0 has no label 'truck'; there are boat, container"
    with pytest.raises(Rejected, match=said):
        fleet.deploy(classes=["boat", "truck"])


def test_a_value_for_a_label_that_the_release_does_not_have_is_refused(fleet: SimFleet) -> None:
    fleet.push(manifest=make("1.0.0").manifest)
    with pytest.raises(Rejected, match=r"spec.terms.values: harbour 1.0.0 has no label 'truck'; there are boat"):
        fleet.deploy(terms={"values": {"truck": 5}})


def test_terms_reach_the_box_and_applying_what_is_shown_changes_nothing(fleet: SimFleet) -> None:
    quay = fleet.join("quay-1")
    fleet.push(manifest=make("1.0.0").manifest)
    costs = {"data": "0.1 EUR/GB", "cloud": "0.0002 EUR/s"}
    fleet.deploy(terms={"values": {"boat": 5}, "money": "2.50 EUR/day", "costs": costs, "stays": "all"})
    (wanted,) = quay.sync().desired.deployments
    assert (wanted.terms.values, wanted.terms.all_stay, wanted.offload.enabled) == ((("boat", 5.0),), True, False)
    shown = fleet.service.get_deployment("watch")
    assert shown["spec"]["terms"]["money"] == "2.5 EUR/day"
    assert fleet.service.apply_deployment("watch", {"spec": shown["spec"]}).change == "unchanged"


def test_a_deployment_that_moves_tells_the_boxes_it_leaves_and_those_it_comes_to_and_nobody_else(
    fleet: SimFleet,
) -> None:
    fleet.push()
    for name, site in (("quay-1", "quay"), ("gate-1", "gate"), ("yard-1", "yard")):
        fleet.join(name, site=site)
    cloud = fleet.join("cloud-1", role="cloud", site="cloud")
    cloud.sync(inventory=Inventory(inference_grpc_url="https://cloud-1:8001"))
    offload: dict[str, Any] = {"offload": {"enabled": True}, "cloudSelector": {"matchLabels": {"site": "cloud"}}}
    fleet.hints()
    fleet.deploy(nodeSelector={"matchLabels": {"site": "quay"}}, **offload)
    assert sorted(fleet.hints()) == ["cloud-1", "quay-1"]
    fleet.deploy(nodeSelector={"matchLabels": {"site": "gate"}}, **offload)
    assert sorted(fleet.hints()) == ["gate-1", "quay-1"]
    fleet.deploy(nodeSelector={"matchLabels": {"site": "gate"}}, offload={"enabled": False})
    assert sorted(fleet.hints()) == ["cloud-1", "gate-1"]
