"""`longshore doctor`: facts in, findings with a way out; and one look at a served control plane."""

from __future__ import annotations

import fcntl
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controlplane.cli.checkup import Here, Server, diagnose
from protos.problems import NOTICE
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane

HERE = Here(state=".longshore", free_bytes=50 << 30, mosquitto="/usr/sbin/mosquitto")
WELL = Server("https://fleet.example:8443", "recognised", version="0.2.0", offset=0.2, hears_boxes=True)


def box(name: str, phase: str = "Online", version: str = "0.2.0", **status: Any) -> dict[str, Any]:
    status = {"phase": phase, "inventory": {"agentVersion": version}, "problems": [], **status}
    return {"metadata": {"name": name}, "status": status}


def test_a_fleet_that_is_well_has_nothing_to_note() -> None:
    notice = {"code": NOTICE, "message": "workers (engine) run without cgroup"}
    boxes = [box("quay-1", version="0.1.0", problems=[notice])]
    findings = diagnose("0.2.0", replace(WELL, nodes=boxes), "", HERE)
    assert {finding.level for finding in findings} == {"ok"}
    assert any(finding.sentence == "1 of 1 are online" for finding in findings)


@pytest.mark.parametrize(
    ("server", "level", "words"),
    [
        (replace(WELL, error="nobody answers"), "broken", "nobody answers"),
        (replace(WELL, token_error="this API token is not known"), "broken", "longshore login https://fleet"),
        (replace(WELL, offset=-300.0), "note", "300 s ahead of"),
        (replace(WELL, hears_boxes=False), "note", "--broker-url"),
        (replace(WELL, version="0.4.0"), "note", "more than one release apart"),
        (replace(WELL, nodes=[box("quay-1", version="0.4.1")]), "note", "its agent: 0.4.1"),
        (
            replace(WELL, nodes=[box("quay-1", "Offline", lastSeen="2026-11-23T21:49:03Z")]),
            "note",
            "longshore-agent doctor",
        ),
        (replace(WELL, nodes=[box("quay-1", problems=[{"message": "disk full"}])]), "note", "disk full"),
    ],
)
def test_what_is_not_well_comes_first_with_the_way_out(server: Server, level: str, words: str) -> None:
    first = diagnose("0.2.0", server, "", HERE)[0]
    assert first.level == level
    assert words in first.sentence


@pytest.mark.parametrize(
    ("here", "words"),
    [
        (replace(HERE, free_bytes=1 << 20), "wants 2 GiB"),
        (replace(HERE, mosquitto=""), "apt-get install mosquitto"),
        (replace(HERE, taken={"port 8443 (HTTPS)": " by nginx (pid 7); 'longshore up' needs another"}), "by nginx"),
    ],
)
def test_what_would_hinder_up_here_is_noted(here: Here, words: str) -> None:
    first = diagnose("0.2.0", WELL, "", here)[0]
    assert (first.level, words in first.sentence) == ("note", True)


def test_a_served_control_plane_is_looked_at(longshore: Run, quay: str) -> None:
    result = longshore("doctor", "-o", "json")
    told = json.loads(result.out)
    levels = {finding["subject"]: finding["level"] for finding in told["findings"]}
    assert (result.code, told["ok"]) == (0, True)
    assert levels["control plane"] == levels["token"] == levels["version"] == "ok"
    assert "clock" in levels  # whatever the fake clock of the house says, the header has the real one


def test_a_wrong_token_is_broken_and_the_exit_code_says_so(longshore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_TOKEN", "lsk_wrong")
    result = longshore("doctor")
    assert result.code == 1
    assert result.out.startswith("BROKEN  token")
    assert "lsk_wrong" not in result.out


def test_without_a_context_this_machine_is_looked_at_all_the_same(run: Run, tmp_path: Path) -> None:
    result = run("doctor", "--state", str(tmp_path))
    assert result.code == 0
    assert "no control plane is named" in result.out
    assert str(tmp_path) in result.out


def test_a_taken_port_is_told_and_a_running_up_is_no_trouble(run: Run, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8443))
            taken.listen()
        except OSError:
            pass  # somebody else has it already, which is what this is about
        assert "--https-port" in run("doctor", "--state", str(tmp_path)).out
    with (tmp_path / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert f"'longshore up' runs on {tmp_path}" in run("doctor", "--state", str(tmp_path)).out


def test_version_says_how_far_apart_versions_may_be(longshore: Run, house: SimControlPlane) -> None:
    assert "one release apart" in longshore("version").out
