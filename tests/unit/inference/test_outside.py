"""The doctor beyond the box: control plane, clock, broker, cameras; facts in, sentences with a way out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import outside, stored
from agent.main import cli
from agent.outside import Camera, Outside, diagnose
from protos.fleet_pb2 import BrokerEndpoint
from tests.sim import past

WELL = Outside(
    url="https://fleet.example:8443",
    fleet_address="fleet.example:8444",
    clock_offset=0.4,
    broker="fleet.example:8883",
    has_desired=True,
    cameras=(Camera("gate", "rtsp://***@10.0.0.9/live", 640, 360, 0.4),),
)
NEW = replace(WELL, has_desired=False)


def test_what_is_well_is_told_as_such() -> None:
    assert {finding.level for finding in diagnose(WELL)} == {"ok"}
    assert {finding.subject for finding in diagnose(WELL)} == {"control plane", "clock", "broker", "camera gate"}


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (replace(WELL, url_error="no answer within 5 s"), "note", "goes on with what it was told last"),
        (replace(NEW, url_error="no answer within 5 s"), "broken", "has not been told yet"),
        (replace(WELL, url_error="it shows a certificate", untrusted=True), "broken", "fleet.example:8443"),
        (replace(WELL, fleet_error="Connection refused"), "note", "fleet.example:8444 (gRPC)"),
        (replace(NEW, fleet_error="Connection refused"), "broken", "through to that port"),
        (replace(WELL, clock_offset=7200.0), "note", "2 hours behind"),
        (replace(WELL, broker_error="Connection refused"), "note", "waits in the outbox"),
        (replace(WELL, broker=""), "note", "none is told"),
        (replace(WELL, cameras=(Camera("gate", "rtsp://***@x", error="auth failed: …"),)), "broken", "auth failed"),
    ],
)
def test_what_is_not_well_is_told_with_the_way_out(facts: Outside, level: str, words: str) -> None:
    found = [finding for finding in diagnose(facts) if finding.level != "ok"]
    assert [finding.level for finding in found] == [level]
    assert words in found[0].sentence


def test_desired_state_is_read_beside_a_running_agent_and_nothing_is_changed(tmp_path: Path) -> None:
    box = past.box(tmp_path / "box")
    before = {path: path.read_bytes() for path in box.glob("state.db*")}
    assert {camera.name for camera in stored.desired_state(box).cameras} == {"berth", "crane", "yard"}
    assert {path: path.read_bytes() for path in box.glob("state.db*")} == before
    assert stored.desired_state(tmp_path).generation == 0


def test_each_camera_gives_a_picture_or_a_reason_and_no_password_shows(tmp_path: Path) -> None:
    sources = ["synthetic://harbour?seed=3", "rtsp://viewer:hunter2@127.0.0.1:9/live", "file:///no/such.mp4"]
    found = outside.gather(tmp_path, sources).cameras
    assert (found[0].width, found[0].height, found[0].error) == (640, 360, "")
    assert found[1].error.startswith("refused")
    assert found[2].error.startswith("not found")
    assert "hunter2" not in str(diagnose(Outside(cameras=found)))


def test_a_device_that_the_running_agent_has_is_left_to_it(tmp_path: Path) -> None:
    state = stored.desired_state(past.box(tmp_path / "box"))
    state.cameras[0].source = "device:///dev/video0"
    asked = outside._asked(state, (), "77")
    assert [camera.name for camera, _ in asked if "process 77" in camera.skipped] == [state.cameras[0].name]


def test_a_control_plane_and_a_broker_that_are_away_are_told_by_their_addresses(tmp_path: Path) -> None:
    found = outside.gather(past.box(tmp_path / "box", 9, 9))
    assert (found.url, found.url_error) == ("https://127.0.0.1:9", "Connection refused")
    assert (found.fleet_address, found.fleet_error) == ("127.0.0.1:9", "Connection refused")
    assert found.broker_error
    assert outside._greet(BrokerEndpoint(host="127.0.0.1", port=9), tmp_path) == "Connection refused"


def test_doctor_answers_in_json_for_scripts(tmp_path: Path) -> None:
    ports = [part for name in ("http", "grpc", "metrics") for part in (f"--{name}-port", "0")]
    asked = ["doctor", "--state-dir", str(tmp_path), *ports, "-o", "json", "--camera", "synthetic://harbour"]
    done = CliRunner().invoke(cli, asked)
    told = json.loads(done.output)
    assert told["ok"] is True
    assert done.exit_code == 0
    assert any(finding["subject"] == "camera 1" and "640×360" in finding["sentence"] for finding in told["findings"])
    broken = CliRunner().invoke(cli, [*asked, "--camera", "file:///no/such.mp4"])
    assert (broken.exit_code, json.loads(broken.output)["ok"]) == (1, False)
