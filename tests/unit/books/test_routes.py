"""The books over HTTP."""

from __future__ import annotations

import pytest

from tests.sim.books_data import SimBox
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet


@pytest.fixture
def box(plane: SimControlPlane) -> SimBox:
    HarbourFleet(plane.services).join()
    made = SimBox(plane.services, "north-quay")
    made.accept("detection", 10)
    made.accept("debug", 30)
    made.declare("debug", 1, 5)
    made.deliver("detection", 1, 6)
    return made


def test_a_box_tells_its_books_by_class_with_what_it_dropped_and_how_its_link_is(
    plane: SimControlPlane, box: SimBox
) -> None:
    oldest = box.now_ms - 400_000
    box.tell("detection", oldest_ms=oldest)
    box.tell("debug", oldest_ms=oldest + 5)
    box.tell("gap")
    found = plane.client.get("/api/v1/nodes/north-quay/telemetry").json()
    assert [each["recordClass"] for each in found["classes"]] == ["detection", "debug", "gap"]
    assert {key: found["classes"][0][key] for key in ("accepted", "stored", "dropped", "waiting", "state")} == {
        "accepted": 10,
        "stored": 6,
        "dropped": 0,
        "waiting": 4,
        "state": "under way",
    }
    assert (found["total"]["accepted"], found["total"]["oldestWaiting"][-5:]) == (41, found["told"][-5:])
    (dropped,) = found["dropped"]
    assert (dropped["recordClass"], dropped["records"], dropped["gaps"]) == ("debug", 5, 1)
    assert found["link"]["state"] == "silent"
    assert found["conflicts"] == []
    assert plane.client.get("/api/v1/nodes/nobody/telemetry").status_code == 404


def test_gaps_of_the_fleet_are_paged_and_chosen(plane: SimControlPlane, box: SimBox) -> None:
    other = SimBox(plane.services, "south-quay", "t1")
    other.accept("metric", 9)
    plane.clock.tick(100)
    other.declare("metric", 2, 3, "the record was damaged on the box's disk", at_least=True)
    plane.clock.tick(1)
    box.declare("debug", 6, 6)

    def items(query: str) -> list[tuple[str, int, int]]:
        return [
            (each["node"], each["first"], each["last"])
            for each in plane.client.get(f"/api/v1/gaps{query}").json()["items"]
        ]

    all_of_them = [("north-quay", 6, 6), ("south-quay", 2, 3), ("north-quay", 1, 5)]
    assert items("") == all_of_them
    assert items("?node=south-quay") == items("?class=metric") == items("?reason=damaged") == all_of_them[1:2]
    assert items("?since=50s") == all_of_them[:2]
    first = plane.client.get("/api/v1/gaps?limit=2").json()
    assert first["items"][1]["lowerBound"]
    after = first["metadata"]["continue"]
    rest = plane.client.get("/api/v1/gaps", params={"limit": 2, "continue": after}).json()
    assert [each["first"] for each in rest["items"]] == [1]
    assert rest["metadata"]["continue"] == ""
    assert plane.client.get("/api/v1/gaps?continue=nonsense").status_code == 422


def test_a_refused_record_stands_among_the_gaps_as_one(plane: SimControlPlane, box: SimBox) -> None:
    box.accept("gap", 1)
    box.deliver("gap", 2, 2)
    (refused,) = [each for each in plane.client.get("/api/v1/gaps").json()["items"] if each["refused"]]
    assert (refused["dropped"], refused["reason"]) == (1, "refused: of no kind that is known")


def test_the_books_of_the_fleet_add_up_over_boxes_and_name_those_that_are_not_at_rest(
    plane: SimControlPlane, box: SimBox
) -> None:
    box.settle()
    other = SimBox(plane.services, "south-quay", "t1")
    other.accept("metric", 9)
    other.deliver("metric", 1, 7)
    other.tell("metric")
    found = plane.client.get("/api/v1/telemetry/books").json()
    assert found["total"]["accepted"] == 41 + 9
    assert {name: each["waiting"] for name, each in found["open"].items()} == {"south-quay": 2}
    plane.services.fleet.delete_node("south-quay")
    plane.clock.tick(6)
    assert plane.client.get("/api/v1/telemetry/books").json()["open"] == {}


def test_what_a_dark_box_never_brought_is_told_of_the_fleet_when_its_outbox_is_gone(
    plane: SimControlPlane, box: SimBox
) -> None:
    box.tell("detection")
    box.tell("debug")
    plane.clock.tick(100)
    SimBox(plane.services, "north-quay", "s2", "").begin()
    kept = plane.services.books.fleet()
    assert kept.total.unaccounted == 4 + 25
    assert kept.open["north-quay"].total.waiting == 0


def test_conflicts_of_the_fleet_are_told(plane: SimControlPlane, box: SimBox) -> None:
    assert plane.client.get("/api/v1/conflicts").json()["items"] == []
    box.clash("detection", 3)
    SimBox(plane.services, "south-quay", "t2", "t1").begin()
    SimBox(plane.services, "south-quay", "t3", "t1").begin()
    items = plane.client.get("/api/v1/conflicts").json()["items"]
    assert {(each["node"], each["kind"]) for each in items} == {("north-quay", "record"), ("south-quay", "start")}
    assert [each["kind"] for each in plane.client.get("/api/v1/conflicts?node=south-quay").json()["items"]] == ["start"]
    assert len(plane.client.get("/api/v1/telemetry/books").json()["conflicts"]) == 2


def test_a_verification_is_told_with_its_deviations(plane: SimControlPlane, box: SimBox) -> None:
    box.settle()
    box.spoil("detection", 5)
    found = plane.client.get("/api/v1/nodes/north-quay/telemetry/verification").json()
    assert {each["code"] for each in found["deviations"]} == {"missing", "hole"}
    assert (found["lines"], found["metadata"]["continue"]) == (3, "")
