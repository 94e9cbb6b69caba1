"""`longshore get detections`: chosen, paged, and whole as JSON and CSV."""

from __future__ import annotations

import csv
import json

import pytest
import yaml

from agent.telemetry import records
from agent.telemetry.classes import RecordClass
from agent.telemetry.records import Waiting
from agent.types import Box
from controlplane.cli import client
from controlplane.cli.commands import detections
from controlplane.ingest import wire
from protos.ids import NodeId
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane
from tests.sim.telemetry import CROSSED, DWELT, finished

BOAT = Box(0.1, 0.2, 0.3, 0.4, 0.91, "boat", ("water", "gate"), track=12)
TRUCK = Box(0.5, 0.2, 0.6, 0.4, 0.5, 'truck, "red"')


@pytest.fixture(autouse=True)
def seen(house: SimControlPlane, quay: str) -> None:
    """One result a second: both, a truck, nothing, and again."""
    now = int(house.clock.unix())
    crowds = ((BOAT, TRUCK), (TRUCK,), ())
    rows = [
        Waiting(
            RecordClass.DETECTION,
            n,
            records.frame(
                finished(
                    n,
                    boxes=crowds[n % 3],
                    captured_unix_ns=(now - n) * 10**9,
                    happened=(CROSSED, DWELT) if n == 6 else (),
                )
            ).body,
        )
        for n in range(1, 121)
    ]
    house.services.ingest.store([wire.batch(NodeId(quay), records.batch("e1", rows), now * 1000)])


def test_a_table_shows_the_newest_and_says_that_there_are_more(longshore: Run) -> None:
    shown = longshore("get", "detections")
    lines = shown.out.splitlines()
    assert lines[0].split()[:4] == ["AT", "CAMERA", "NODE", "DEPLOYMENT"]
    assert len(lines) == 51
    assert 'truck, "red" 0.50' in lines[1]
    assert "the newest 50; --limit shows more" in shown.err


def test_what_is_asked_for_is_shown(longshore: Run) -> None:
    lines = longshore("get", "detections", "--label", "boat", "--zone", "gate", "--limit", "3").out.splitlines()
    assert len(lines) == 4
    assert all("boat 0.91" in line and "truck" not in line and "water,gate" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"what": "entered"}, "boat #3 entered berth"),
        ({"what": "left", "seconds": 12.4}, "boat #3 left berth 12 s"),
    ],
)
def test_what_things_do_is_told_in_words(what: dict[str, object], said: str) -> None:
    happening = {"label": "boat", "track": 3, "line": None, "zone": "berth", "seconds": None, **what}
    assert detections.told(happening) == said


def test_csv_is_whole_with_a_line_for_each_box(longshore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 7)
    rows = list(csv.DictReader(longshore("get", "detections", "-o", "csv").out.splitlines()))
    assert tuple(rows[0]) == detections.COLUMNS
    assert len({row["frame"] for row in rows}) == 120
    assert len(rows) == 40 * (2 + 1 + 1)
    assert {row["label"] for row in rows} == {"boat", 'truck, "red"', ""}
    assert {row["zones"] for row in rows} == {"water gate", ""}
    assert {(row["label"], row["track"]) for row in rows} == {("boat", "12"), ('truck, "red"', ""), ("", "")}
    said = "boat #12 crossed gate left-to-right; boat #3 dwelt in berth 30 s"
    assert {row["frame"]: row["happened"] for row in rows if row["happened"]} == {"6": said}


def test_json_is_one_document_whole(longshore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 7)
    found = json.loads(longshore("get", "detections", "-o", "json", "--min-score", "0.9").out)
    assert found["kind"] == "DetectionList"
    assert len(found["items"]) == 40
    assert found["items"][0]["boxes"][0]["zones"] == ["water", "gate"]
    assert json.loads(longshore("get", "detections", "--camera", "none", "-o", "json").out)["items"] == []


def test_yaml_says_what_json_says(longshore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 7)
    for words in ([], ["--label", "whale"]):
        shown = [longshore("get", "detections", "-o", form, *words).out for form in ("yaml", "json")]
        assert yaml.safe_load(shown[0]) == json.loads(shown[1])


def test_nothing_found_is_said_with_what_to_try(longshore: Run) -> None:
    shown = longshore("get", "detections", "--camera", "nowhere")
    assert (shown.code, shown.out) == (0, "")
    assert "no detections; ask for more with --since" in shown.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--since", "yesterday"], 1, 'since must be how long ago, such as "5m"'),
        (["--since", "1h", "--until", "2h"], 1, "since must lie before until"),
        (["--min-score", "2"], 2, "--min-score"),
        (["gate"], 2, "unexpected extra argument"),
    ],
)
def test_what_makes_no_sense_is_refused(longshore: Run, words: list[str], code: int, said: str) -> None:
    shown = longshore("get", "detections", *words)
    assert shown.code == code
    assert said in shown.err


def test_it_has_help_of_its_own(run: Run) -> None:
    assert "longshore get detections --camera gate --label boat" in run("get", "detections", "--help").out


def test_many_boxes_of_a_label_are_one_word_with_their_number_and_the_best_score() -> None:
    boxes = [{"label": label, "score": score} for label, score in (("boat", 0.5), ("person", 0.62), ("boat", 0.91))]
    assert (detections.seen(boxes), detections.seen([])) == ("2 boat 0.91, person 0.62", "-")
