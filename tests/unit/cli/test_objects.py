"""Objects on the command line: apply, get, describe, delete, node."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import yaml

from controlplane.fleet.reports import CallCost, DecisionReport, ShadowReport
from controlplane.ingest.domain import Batch, Kind
from protos.ids import NodeId
from tests.sim import releases
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet
from tests.sim.rows import row

FLEET = """
apiVersion: longshore/v1
kind: Camera
metadata: {name: gate, labels: {view: in}}
spec: {node: quay-1, source: "rtsp://admin:hunter2@cam.example/live", rate: 5}
---
kind: Camera
metadata: {name: berth, labels: {view: out}}
spec: {node: quay-1, source: "synthetic://harbour?seed=1"}
---
kind: Deployment
metadata: {name: watch}
spec: {model: harbour, version: 1.0.0}
"""


@pytest.fixture
def fleet(longshore: Run, house: SimControlPlane, quay: str, tmp_path: Path) -> Run:
    """Two cameras on quay-1 and a deployment of harbour 1.0.0."""
    house.push(releases.make("1.0.0"))
    (tmp_path / "fleet.yaml").write_text(FLEET)
    assert longshore("apply", "-f", str(tmp_path / "fleet.yaml")).code == 0
    return longshore


def test_names_alone_are_for_scripts(longshore: Run, quay: str) -> None:
    assert longshore("get", "nodes", "-o", "name").out == "node/quay-1\n"
    assert longshore("get", "cameras", "-o", "name").out == ""
    assert "node/quay-1" in longshore("get", "all", "-o", "name").out.splitlines()
    assert longshore("get", "nodes", "-o", "name", "--watch").code == 1


def test_a_file_with_several_objects_is_applied_and_applied_again_changes_nothing(
    longshore: Run, house: SimControlPlane, quay: str, tmp_path: Path
) -> None:
    house.push(releases.make("1.0.0"))
    (tmp_path / "fleet.yaml").write_text(FLEET)
    first = longshore("apply", "-f", str(tmp_path / "fleet.yaml"))
    assert first.out.splitlines() == ["camera/gate created", "camera/berth created", "deployment/watch created"]
    again = longshore("apply", "-f", str(tmp_path))
    assert again.out.splitlines() == ["camera/gate unchanged", "camera/berth unchanged", "deployment/watch unchanged"]


def test_one_refused_object_stops_no_other_and_fails_the_command(longshore: Run, tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)  # nobody pushed the release
    result = longshore("apply", "-f", str(tmp_path / "fleet.yaml"))
    assert result.code == 1
    assert result.out.splitlines() == ["camera/gate created", "camera/berth created"]
    assert "deployment/watch refused: release 1.0.0 of model harbour is not in the registry" in result.err
    assert "error: 1 of 3 objects were refused" in result.err


def test_objects_come_from_standard_input(longshore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"kind": "Camera", "metadata": {"name": "gate"}, "spec": {"node": "quay-1", "source": "synthetic://x"}}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(body)))
    assert longshore("apply", "-f", "-").out == "camera/gate created\n"


def test_what_get_shows_can_be_edited_and_applied_and_keeps_the_credentials(
    fleet: Run, house: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = fleet("get", "camera", "gate", "-o", "yaml").out
    assert "hunter2" not in shown
    monkeypatch.setattr("sys.stdin", io.StringIO(shown.replace("rate: 5", "rate: 7")))
    assert fleet("apply", "-f", "-").out == "camera/gate configured\n"
    camera = house.services.fleet.get_camera("gate")
    assert (camera["spec"]["rate"], camera["spec"]["source"]) == (7.0, "rtsp://***@cam.example/live")


def test_a_list_that_get_printed_can_be_applied_as_a_whole(fleet: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(fleet("get", "cameras", "-o", "json").out))
    assert fleet("apply", "-f", "-").out.splitlines() == ["camera/berth unchanged", "camera/gate unchanged"]


def test_tables_are_aligned_columns(fleet: Run) -> None:
    lines = fleet("get", "cameras").out.splitlines()
    assert lines[0].split() == ["NAME", "NODE", "STATE", "FPS/DUE", "PICTURE", "SOURCE", "AGE"]
    assert lines[1].split()[:4] == ["berth", "quay-1", "unknown", "-/10"]
    assert lines[2].split()[:4] == ["gate", "quay-1", "unknown", "-/5"]
    assert [line.index("quay-1") for line in lines[1:]] == [lines[0].index("NODE")] * 2
    assert "\x1b" not in "".join(lines)


def test_lists_are_selected_by_label(fleet: Run) -> None:
    assert [line.split()[0] for line in fleet("get", "cam", "-l", "view in (in)").out.splitlines()[1:]] == ["gate"]
    nothing = fleet("get", "cameras", "-l", "view=up")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no cameras\n")


def test_json_and_yaml_say_the_same(fleet: Run) -> None:
    as_json = json.loads(fleet("get", "deployment/watch", "-o", "json").out)
    as_yaml = yaml.safe_load(fleet("get", "deploy", "watch", "-o", "yaml").out)
    assert as_json == as_yaml
    assert as_json["spec"]["objective"] == {"deadline": "250ms", "latencyBudget": "none"}


def test_wide_tables_say_why(fleet: Run) -> None:
    assert "quay-1 has joined and never called" in fleet("get", "deployments", "-o", "wide").out


def test_get_all_shows_every_kind_there_is_something_of(fleet: Run) -> None:
    shown = fleet("get", "all").out
    for word in ("nodes", "cameras", "deployments", "models", "releases", "quay-1", "harbour-1-0-0"):
        assert word in shown


def test_describe_says_what_is_and_why_not_more(fleet: Run) -> None:
    shown = fleet("describe", "deployment", "watch").out
    assert "offload.uplink:" in shown
    assert "Converged" in shown
    assert "0 of 1 box run harbour 1.0.0; quay-1 has joined and never called" in shown
    node = fleet("describe", "node/quay-1").out
    assert "start 'longshore-agent run' on it" in node
    camera = fleet("describe", "camera", "gate").out
    assert "rtsp://***@cam.example/live" in camera
    assert "hunter2" not in camera


def test_describe_tells_who_answers_for_a_camera_and_how_well(longshore: Run, house: SimControlPlane) -> None:
    made = HarbourFleet(house.services)
    made.join()
    made.late.add("crane")
    made.report()
    made.history(minutes=1)
    for what in ("camera/crane", "node/north-quay"):
        shown = longshore("describe", what).out
        assert "Answering, last minute" in shown
        assert "harbour 1.0.0" in shown
        assert "deadline of 250 ms" in shown


def test_describe_tells_which_variant_answers_on_a_box(longshore: Run, house: SimControlPlane) -> None:
    made = HarbourFleet(house.services)
    made.join()
    made.report()
    for what, table in (("deployment/harbour-watch", "Boxes"), ("node/north-quay", "Deployments")):
        titles, first, *_ = longshore("describe", what).out.partition(f"\n{table}\n")[2].splitlines()
        assert first[titles.index("VARIANT") :].startswith("fp32 ")


def test_describe_tells_how_a_shadow_compares(longshore: Run, house: SimControlPlane) -> None:
    made = HarbourFleet(house.services)
    made.join()
    made.shadows["north-quay"] = ShadowReport("sha256:" + "b" * 64, "", 97, 3, 2, 0.012, 0.020)
    made.report()
    _, row, *_ = longshore("describe", "deployment/harbour-watch").out.partition("\nShadow\n")[2].splitlines()
    assert row.split()[0] == "north-quay"
    assert re.split(r" {2,}", row.strip())[2:7] == ["102", "97.0 %", "2", "12.0 ms", "20.0 ms"]


def test_describe_tells_how_a_box_decides(longshore: Run, house: SimControlPlane) -> None:
    made = HarbourFleet(house.services)
    made.join()
    made.decisions["north-quay"] = DecisionReport(
        50,
        local=0.6,
        cloud=0.4,
        load=1.6,
        bits_per_second=3e6,
        rtt_seconds=0.04,
        prices={"bits": 0.25},
        why="it is slow",
    )
    made.report()
    _, row, *_ = longshore("describe", "node/north-quay").out.partition("\nDeciding, last frames\n")[2].splitlines()
    told = ["harbour-watch", "-", "60 %", "0 %", "40 %", "0 %", "0 %", "160 %", "3.0 Mbit/s, 40 ms", "0.25/Mbit"]
    assert re.split(r" {2,}", row.strip()) == [*told, "it is slow"]
    assert "Deciding" not in longshore("describe", "node/south-quay").out


def test_describe_tells_what_a_call_costs_on_a_box(longshore: Run, house: SimControlPlane) -> None:
    made = HarbourFleet(house.services)
    made.join()
    made.costs["north-quay"] = CallCost(0.0104, 0.0021)
    made.report()
    for node, cost in (("north-quay", "10.4·n + 2.1 ms "), ("south-quay", "- ")):
        shown = longshore("describe", f"node/{node}").out
        titles, first, *_ = shown.partition("\nDeployments\n")[2].splitlines()
        assert first[titles.index("CALL OF N") :].startswith(cost)


def test_describe_shows_all_of_a_spec(fleet: Run) -> None:
    shown = fleet("describe", "settings", "fleet").out
    for field in ("detections.retention:", "registry.quota:", "boxes.releases.quota:", "boxes.outbox.quota:"):
        assert field in shown


def test_describe_tells_what_telemetry_a_box_had_to_drop(fleet: Run, house: SimControlPlane) -> None:
    assert "dropped" not in fleet("describe", "node/quay-1").out
    now = int(house.clock.unix() * 1000)
    gap = {"record_class": "frame", "first_seq": 1, "last_seq": 9, "dropped": 7, "reason": "the outbox was full"}
    rows = (row(Kind.GAP, 10, {**gap, "at_ms": now}),)
    house.services.ingest.store([Batch(NodeId("quay-1"), "e1", rows)])
    house.clock.tick(7200)
    shown = fleet("describe", "node/quay-1").out
    assert "Telemetry declared dropped" in shown
    assert re.search(r"frame +7 +1 +.* ago +the outbox was full", shown)


def test_objects_are_deleted_by_name_label_and_file(fleet: Run, tmp_path: Path) -> None:
    assert fleet("delete", "camera", "gate").out == "camera/gate deleted\n"
    assert fleet("delete", "cameras", "-l", "view=out").out == "camera/berth deleted\n"
    gone = fleet("delete", "-f", str(tmp_path / "fleet.yaml"))
    assert gone.code == 4


@pytest.mark.parametrize("verb", ["get", "describe", "delete"])
def test_names_as_get_prints_them_can_be_given_back(fleet: Run, verb: str) -> None:
    names = fleet("get", "cameras", "-o", "name").out.split()
    assert names == ["camera/berth", "camera/gate"]
    done = fleet(verb, *names)
    assert done.code == 0
    assert "berth" in done.out
    assert "gate" in done.out


def test_names_of_two_kinds_are_refused_and_none_is_deleted(fleet: Run) -> None:
    done = fleet("delete", "camera/gate", "deployment/watch")
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: camera and deployment are two kinds; name one kind at a time\n"
    assert fleet("get", "camera", "gate").code == 0


def test_one_object_that_is_gone_keeps_no_other_from_being_deleted(fleet: Run) -> None:
    done = fleet("delete", "camera", "gate", "nobody", "berth")
    assert (done.code, done.out) == (4, "camera/gate deleted\ncamera/berth deleted\n")
    assert done.err.splitlines()[0].startswith("camera/nobody not deleted: ")
    assert done.err.splitlines()[1] == "error: 1 of 3 objects were not deleted"
    assert fleet("get", "cameras").err == "no cameras\n"


def test_a_refusal_counts_for_more_than_an_object_that_is_gone(fleet: Run) -> None:
    done = fleet("delete", "releases", "nobody", "harbour-1-0-0")
    assert (done.code, "deployment watch runs release harbour-1-0-0" in done.err) == (1, True)


def test_a_file_and_names_together_are_not_deleted(fleet: Run, tmp_path: Path) -> None:
    wrong = fleet("delete", "camera", "gate", "-f", str(tmp_path / "fleet.yaml"))
    assert (wrong.code, wrong.out) == (2, "")


def test_a_node_is_not_deleted_without_a_yes(fleet: Run) -> None:
    asked = fleet("delete", "node", "quay-1")
    assert asked.code == 1
    assert "say --yes" in asked.err
    assert fleet("delete", "node", "quay-1", "--yes").out == "node/quay-1 deleted\n"
    assert fleet("get", "node", "quay-1").code == 4


def test_nothing_selected_is_said(fleet: Run) -> None:
    done = fleet("delete", "cameras", "-l", "site=nowhere")
    assert (done.code, done.err) == (0, "no cameras have these labels, so nothing was deleted\n")


def test_the_one_settings_object_needs_no_name(fleet: Run) -> None:
    assert fleet("describe", "settings").out.startswith("Name:         fleet\n")


def test_the_switches_of_a_box(fleet: Run, house: SimControlPlane) -> None:
    assert fleet("node", "slow-down", "quay-1", "300ms").out == "node/quay-1 waits 300ms at each inference\n"
    assert fleet("node", "pause", "quay-1").code == 0
    assert fleet("node", "label", "quay-1", "gpu=a2", "site-").code == 0
    node = house.services.fleet.get_node("quay-1")
    assert node["spec"] == {"paused": True, "slowDown": "300ms"}
    assert node["metadata"]["labels"] == {"gpu": "a2"}
    fleet("node", "slow-down", "quay-1", "off")
    fleet("node", "resume", "quay-1")
    assert house.services.fleet.get_node("quay-1")["spec"] == {"paused": False, "slowDown": "0s"}
    wrong = fleet("node", "slow-down", "quay-1", "300")
    assert (wrong.code, 'must be a duration such as "250ms"' in wrong.err) == (1, True)
    below = fleet("node", "slow-down", "quay-1", "-5ms")
    assert (below.code, "A slow-down is 0 or more, such as 300ms, or off; not -5ms." in below.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: [", "line 1 is not YAML"),
        ("just text", "wrong.yaml, document 1: an object with apiVersion, kind, metadata and spec is needed"),
        (
            "- kind: Camera",
            "document 1: an object with apiVersion, kind, metadata and spec is needed, and this is a list",
        ),
        ("kind: List\nitems: [3]", "document 1, item 1: an object with apiVersion"),
        ("kind: Node\n---\nkind: [", "wrong.yaml, document 2, line 3 is not YAML"),
        ("kind: Node\nkind: Camera", "wrong.yaml, document 1, line 2: 'kind' is given twice"),
        ("kind: Camera\nspec: !!python/object:os.system {}", "means nothing here; write plain YAML"),
        ("metadata: {name: a}", "wrong.yaml, document 1: an object needs a kind"),
        ("a\x00b", "is not YAML: special characters are not allowed"),
        ("[" * 5000, "nested too deeply"),
        ("", "holds no object"),
        ("kind: Boat\nmetadata: {name: a}", "there is no kind 'Boat'; there are nodes, cameras"),
        ("kind: Release\nmetadata: {name: a}", "a Release is made by 'longshore push'"),
        ("kind: Camera\nspec: {}", "wrong.yaml, document 1: a Camera has no metadata.name"),
        ("kind: Camera\nmetadata: {name: a}\nspec: {node: n, source: x}", "spec.source must start with one of"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(longshore: Run, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    result = longshore("apply", "-f", str(tmp_path / "wrong.yaml"))
    assert result.code == 1
    assert said in result.err
    assert result.err.count("\n") == 1
    assert result.err.startswith("error: ")


def test_files_that_cannot_be_read_are_named(longshore: Run, tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name, said in (("missing.yaml", "No such file"), ("binary.yaml", "is not text")):
        result = longshore("apply", "-f", str(tmp_path / name))
        assert (result.code, said in result.err) == (1, True)
