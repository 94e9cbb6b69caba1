"""What `longshore try` proposes: it can be applied as it stands, and asks no more of a box than was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from controlplane.cli.proposing import SOMEWHERE, Tried, as_text, box_of, documents, measured
from controlplane.fleet import specs
from protos import manifest
from protos.pace import Pace
from tests.sim import releases

RELEASE = manifest.parse(releases.make("1.0.0").manifest)
TRIED = Tried(RELEASE, "file:///srv/My%20quay.mp4", 0.4, Pace(2, 900), "south-quay")


def took(decode_ms: float, inference_ms: float) -> dict[str, Any]:
    """Half as long again at its slowest."""
    return {
        "stages": {
            name: {"medianSeconds": ms / 1000, "p95Seconds": 1.5 * ms / 1000}
            for name, ms in (("decode", decode_ms), ("inference", inference_ms))
        }
    }


@pytest.mark.parametrize(
    ("figures", "proposed"),
    [
        (took(1, 7), Pace(10, 250)),
        (took(10, 90), Pace(5, 450)),
        (took(20, 410), Pace(1, 1950)),
        (took(50, 1950), Pace(0.2, 9000)),
        (took(0, 60_000), Pace(0.1, 60_000)),
        ({}, Pace(10, 250)),
    ],
)
def test_rate_and_deadline_leave_room_around_what_was_measured(figures: dict[str, Any], proposed: Pace) -> None:
    assert measured(figures) == proposed


def test_what_is_proposed_is_a_camera_and_a_deployment_of_it_alone() -> None:
    text = as_text(TRIED, documents(TRIED))
    camera, deployment = yaml.safe_load_all(text)
    found = specs.camera_spec(camera["spec"])
    assert (found.node, found.rate, camera["spec"]["source"]) == ("south-quay", 2, TRIED.source)
    wanted = specs.deployment_spec(deployment["spec"])
    assert (wanted.deadline_ms, wanted.min_score) == (900, 0.4)
    assert deployment["spec"]["nodeSelector"]["matchLabels"] == {"node": "south-quay"}
    labels = {"view": camera["metadata"]["name"]}
    assert deployment["spec"]["cameraSelector"]["matchLabels"] == camera["metadata"]["labels"] == labels
    assert "south-quay" in text.partition("apiVersion")[0]


def test_without_a_fleet_the_box_is_left_to_say() -> None:
    alone = replace(TRIED, node="")
    text = as_text(alone, documents(alone))
    assert next(yaml.safe_load_all(text))["spec"]["node"] == SOMEWHERE
    assert "longshore get nodes" in text


def test_a_machine_that_had_other_work_is_told_of() -> None:
    assert "other work (load 1.5 a core)" in as_text(replace(TRIED, load=1.5), documents(TRIED))
    assert "other work" not in as_text(replace(TRIED, load=0.2), documents(TRIED))


def test_pictures_make_no_camera() -> None:
    pictures = replace(TRIED, source="")
    [deployment] = yaml.safe_load_all(as_text(pictures, documents(pictures)))
    assert "cameraSelector" not in deployment["spec"]


def test_a_password_is_no_part_of_a_cameras_name() -> None:
    camera, _ = documents(replace(TRIED, source="rtsp://viewer:secret@10.0.0.7/"))
    assert camera["metadata"]["name"] == "harbour-10-0-0-7"


def box(name: str, role: str, phase: str, cameras: int) -> dict[str, Any]:
    status = {"role": role, "phase": phase, "cameras": [{}] * cameras}
    return {"metadata": {"name": name}, "status": status}


def test_the_box_with_the_fewest_cameras_is_chosen_of_those_that_are_there() -> None:
    fleet = [box("a", "edge", "Online", 2), box("b", "edge", "Online", 1), box("c", "edge", "Offline", 0)]
    assert box_of([*fleet, box("d", "cloud", "Online", 0)]) == "b"
    assert box_of([]) == ""


def test_what_is_proposed_takes_no_name_of_another_source_or_of_a_deployment_by_hand() -> None:
    def names(source: str) -> list[str]:
        return [each["metadata"]["name"] for each in documents(replace(TRIED, source=source))]

    assert names("file:///srv/My%20quay.mp4") == ["harbour-my-quay"] * 2
    assert names("file:///srv/gate.mp4") == ["harbour-gate"] * 2
    assert names("") == ["harbour-try"]


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        ({"harbour-my-quay": "file:///home/My%20quay.mp4"}, "harbour-my-quay-2"),
        ({"harbour-my-quay": "file:///a", "harbour-my-quay-2": "file:///b"}, "harbour-my-quay-3"),
        ({"harbour-my-quay": "file:///a", "harbour-my-quay-2": TRIED.source}, "harbour-my-quay-2"),
        ({"harbour-my-quay": TRIED.source}, "harbour-my-quay"),
        ({"gate": "file:///a"}, "harbour-my-quay"),
    ],
)
def test_a_name_that_another_file_has_gets_a_number(taken: dict[str, str], name: str) -> None:
    proposed = documents(replace(TRIED, taken=taken))
    assert [each["metadata"]["name"] for each in proposed] == [name] * 2


def test_a_camera_is_known_by_its_source_though_its_password_is_masked() -> None:
    tried = replace(TRIED, source="rtsp://viewer:secret@10.0.0.7/live?pwd=x")
    for shown, name in (
        ("rtsp://***@10.0.0.7/live?pwd=***", "harbour-live"),
        ("rtsp://***@10.0.0.8/live?pwd=***", "harbour-live-2"),
    ):
        assert documents(replace(tried, taken={"harbour-live": shown}))[0]["metadata"]["name"] == name


@pytest.mark.parametrize("source", ["", "file:///srv/quay.mp4"])
def test_names_of_what_is_proposed_are_no_longer_than_they_may_be(source: str) -> None:
    long = manifest.parse(releases.make("1.0.0", name="n" * 63).manifest)
    for taken in ({}, {"n" * 63: "file:///other.mp4"}):
        proposed = documents(replace(TRIED, release=long, source=source, taken=taken))
        assert all(len(each["metadata"]["name"]) <= 63 for each in proposed)
