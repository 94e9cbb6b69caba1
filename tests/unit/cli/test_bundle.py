"""`longshore support-bundle`: everything about a box, and none of the secrets planted wherever one could be."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from controlplane.cli import bundle
from controlplane.fleet.looking import LogLine
from protos.ids import NodeId
from tests.sim.command import Result, Run
from tests.sim.control_plane import SimControlPlane

CAMERA_PASSWORD, QUERY_PASSWORD = "open-sesame-1", "open-sesame-2"
JOIN_TOKEN = "LS1." + "a" * 64 + ".abcdefgh." + "S" * 43
BEARER, API_TOKEN, SAID = "eyJhbGciOiJIUzI1NiJ9.x", "lsk_aB3dEfGh1234567890", "open-sesame-3"
PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGOPENSESAME4\n-----END PRIVATE KEY-----"
SECRETS = (CAMERA_PASSWORD, QUERY_PASSWORD, "S" * 43, BEARER, API_TOKEN[4:], SAID, "OPENSESAME4")
LINES = (
    f"cannot open rtsp://admin:{SAID}@10.0.0.9/live",
    f"joined with {JOIN_TOKEN}",
    f"Authorization: Bearer {BEARER}",
    f"token {API_TOKEN} and {PEM}",
)


@pytest.fixture
def planted(longshore: Run, quay: str, house: SimControlPlane) -> Run:
    def apply(name: str, source: str, annotations: dict[str, str]) -> None:
        head: dict[str, Any] = {"apiVersion": "longshore/v1", "kind": "Camera"}
        metadata = {"name": name, "annotations": annotations}
        spec = {"node": quay, "source": source, "rate": 5}
        house.services.fleet.apply_camera(name, {**head, "metadata": metadata, "spec": spec})

    apply("gate", f"rtsp://admin:{CAMERA_PASSWORD}@10.0.0.7/live", {"password": SAID})
    apply("yard", f"rtsp://10.0.0.8/live?user=a&password={QUERY_PASSWORD}", {"note": f"Bearer {BEARER}"})
    for number, text in enumerate(LINES):
        house.services.looking.put_line(NodeId(quay), LogLine(number, "info", "agent", text))
    return longshore


def packed(run: Run, folder: Path) -> tuple[Result, dict[str, str]]:
    target = folder / "quay.tar.gz"
    result = run("support-bundle", "quay-1", "-o", str(target))
    with tarfile.open(target) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return result, {name.partition("/")[2]: file.read().decode() for name, file in files.items() if file}


def test_everything_about_a_box_is_in_it_and_no_secret(planted: Run, house: SimControlPlane, tmp_path: Path) -> None:
    result, files = packed(planted, tmp_path)
    assert result.code == 0
    assert stat.S_IMODE((tmp_path / "quay.tar.gz").stat().st_mode) == 0o600
    everything = "\n".join(files.values())
    for secret in (*SECRETS, house.token):
        assert secret not in everything
    assert json.loads(files["node.json"])["metadata"]["name"] == "quay-1"
    told = json.loads(files["desired.json"])["desired"]
    assert [camera["name"] for camera in told["cameras"]] == ["gate", "yard"]
    assert "rtsp://***@10.0.0.7/live" in files["desired.json"]
    assert "cannot open rtsp://***@10.0.0.9/live" in files["logs.json"]
    wanted = {
        "stats.json",
        "gaps.json",
        "outcomes.json",
        "detections.json",
        "audit.json",
        "settings.json",
        "nodes.json",
    }
    wanted |= {"cameras/gate.json", "cameras.json", "deployments.json", "server-version.json", "command.json"}
    assert wanted <= set(files)
    assert [name for name, content in files.items() if content.startswith('{\n  "error"')] == []


def test_without_the_redaction_the_secrets_would_be_seen(
    planted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above greps for is really there to be found."""
    monkeypatch.setattr("protos.bundle.redacted", lambda document: document)
    everything = "\n".join(packed(planted, tmp_path)[1].values())
    for secret in (SAID, "S" * 43, BEARER, API_TOKEN[4:], "OPENSESAME4"):
        assert secret in everything
    assert CAMERA_PASSWORD not in everything  # these never leave the control plane at all
    assert QUERY_PASSWORD not in everything


def test_of_a_detection_the_best_boxes_are_kept_and_the_others_counted() -> None:
    boxes = [{"label": "boat", "score": each / 100} for each in range(50)]
    (kept,) = bundle._briefly({"kind": "DetectionList", "items": [{"camera": "gate", "boxes": boxes}]})["items"]
    assert ([box["score"] for box in kept["boxes"]], kept["boxesFound"], kept["camera"]) == (
        [0.49, 0.48, 0.47],
        50,
        "gate",
    )


def test_a_box_that_is_not_there_makes_no_file(longshore: Run, tmp_path: Path) -> None:
    assert longshore("support-bundle", "nobody", "-o", str(tmp_path / "x.tar.gz")).code == 4
    assert not (tmp_path / "x.tar.gz").exists()


def test_a_file_that_is_there_is_not_written_over(longshore: Run, quay: str, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_text("mine")
    assert longshore("support-bundle", quay, "-o", str(tmp_path / "x.tar.gz")).code == 1
    assert (tmp_path / "x.tar.gz").read_text() == "mine"
