"""`longshore verify telemetry`, `longshore get gaps` and the telemetry of `longshore describe node`."""

from __future__ import annotations

import json

import pytest

from controlplane.books import service
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from protos.ids import NodeId
from tests.sim.books_data import SimBox
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane


def admit(house: SimControlPlane, *names: str) -> None:
    with house.database.begin() as session:
        for name in names:
            admission = Admission(NodeId(name), {}, "edge", rejoin=True)
            IdentityRepository(session).admit_node(admission, int(house.clock.unix() * 1000))


@pytest.fixture
def box(house: SimControlPlane, quay: str) -> SimBox:
    made = SimBox(house.services, quay)
    made.accept("detection", 20)
    made.accept("debug", 30)
    made.declare("debug", 5, 9)
    made.declare("debug", 12, 12, "the record was damaged on the box's disk", at_least=True)
    made.settle()
    return made


def test_a_fleet_that_lost_nothing_is_told_so_with_its_sums(longshore: Run, box: SimBox) -> None:
    shown = longshore("verify", "telemetry")
    assert shown.code == 0
    assert shown.out.splitlines()[1].split() == ["quay-1", "52", "46", "6", "0", "0", "46", "true"]
    assert (
        "1 box: 52 accepted = 46 stored + 6 declared dropped + 0 waiting; 46 records recounted; nothing is missing, "
        "nothing is twice"
    ) in shown.out


def test_what_waits_is_no_deviation(longshore: Run, box: SimBox) -> None:
    box.accept("detection", 3)
    box.tell("detection")
    shown = longshore("verify", "telemetry")
    assert (shown.code, "true, under way" in shown.out) == (0, True)


def test_a_deviation_is_told_with_its_meaning_and_the_exit_code_says_so(longshore: Run, box: SimBox) -> None:
    box.spoil("detection", 7)
    shown = longshore("verify", "telemetry", "quay-1")
    assert shown.code == 1
    assert "quay-1 detection: hole: 1 numbers up to 20 were acknowledged" in shown.out
    assert "(the first: 7)" in shown.out
    assert "2 deviations: docs/telemetry.md says what each means" in shown.out


def test_json_holds_every_box_and_every_deviation(longshore: Run, box: SimBox, house: SimControlPlane) -> None:
    admit(house, "quay-2")
    box.spoil("gap", 1)
    told = json.loads(longshore("verify", "telemetry", "-o", "json").out)
    assert (told["ok"], [each["node"] for each in told["nodes"]]) == (False, ["quay-1", "quay-2"])
    assert {each["code"] for each in told["deviations"]} == {"missing", "hole", "gaps"}
    assert told["total"]["accepted"] == 52


def test_a_large_box_is_recounted_part_by_part_and_shown_as_one(
    longshore: Run, box: SimBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ROWS_AT_ONCE", 5)
    box.spoil("detection", 7)
    told = json.loads(longshore("verify", "telemetry", "-o", "json").out)
    assert (told["nodes"][0]["lines"], told["nodes"][0]["rows"], len(told["deviations"])) == (3, 45, 2)


def test_of_many_boxes_only_those_with_something_to_tell_are_shown(
    longshore: Run, box: SimBox, house: SimControlPlane
) -> None:
    admit(house, *(f"box-{number}" for number in range(60)))
    box.spoil("detection", 7)
    lines = longshore("verify", "telemetry").out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["NODE", "quay-1"]
    assert lines[2] == ""
    assert lines[-1].startswith("61 boxes: 52 accepted")


def test_a_box_that_is_not_there_is_told(longshore: Run, box: SimBox) -> None:
    shown = longshore("verify", "telemetry", "nobody")
    assert (shown.code, "nobody" in shown.err) == (4, True)


def test_an_empty_fleet_has_nothing_to_verify(longshore: Run) -> None:
    shown = longshore("verify", "telemetry")
    assert (shown.code, shown.err.strip()) == (0, "no boxes, so nothing to verify")


def test_help_has_examples(run: Run) -> None:
    assert "longshore verify telemetry quay-1 quay-2" in run("verify", "telemetry", "--help").out
    assert "longshore get gaps --node quay-1" in run("get", "gaps", "--help").out


def test_gaps_are_listed_with_their_numbers(longshore: Run, box: SimBox) -> None:
    lines = longshore("get", "gaps").out.splitlines()
    assert [line.split()[1:5] for line in lines[1:]] == [["quay-1", "debug", "≥", "1"], ["quay-1", "debug", "5", "5–9"]]
    assert lines[1].endswith("the record was damaged on the box's disk")
    told = json.loads(longshore("get", "gaps", "--reason", "full", "-o", "json").out)
    assert [(each["first"], each["last"], each["lowerBound"]) for each in told["items"]] == [(5, 9, False)]
    assert "no gaps" in longshore("get", "gaps", "--class", "alarm").err
    assert longshore("get", "gaps", "--class", "alarms").code == 2
    missing = longshore("get", "gaps", "--node", "quay-l")
    assert (missing.code, "there is no node 'quay-l'" in missing.err, "no gaps" in missing.err) == (4, True, False)
    assert "see 'longshore get gaps --help'" in longshore("describe", "gaps", "x").err


def test_describe_tells_where_the_telemetry_of_a_box_is(longshore: Run, box: SimBox, house: SimControlPlane) -> None:
    box.accept("detection", 3)
    box.tell("detection", oldest_ms=box.now_ms)
    SimBox(house.services, "quay-1", "s2", "s1").begin()
    SimBox(house.services, "quay-1", "s3", "s1").begin()
    out = longshore("describe", "node", "quay-1").out
    table = [line.split() for line in out.partition("\nTelemetry\n")[2].splitlines()]
    assert table[1][:6] == ["detection", "23", "20", "0", "3", "0"]
    assert table[3][:6] == ["debug", "30", "24", "6", "0", "0"]
    assert "Telemetry declared dropped" in out
    assert "≥ 1" in out
    assert "Telemetry link" in out
    assert "2 starts of quay-1 follow the same one (s1)" in out
    assert "telemetry." not in out.partition("Status")[2].partition("\n\n")[0]
