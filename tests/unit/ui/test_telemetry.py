"""Pages of telemetry: the books of a box, what the fleet lost, and what of it calls somebody."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from controlplane.books.domain import Link, Linked, NodeBooks, Sums
from controlplane.ui import telemetry
from controlplane.ui.fleet_pages import FleetPages, NodePage
from controlplane.ui.page import Asked, View
from controlplane.ui.shell import render
from controlplane.ui.telemetry_pages import list_gaps
from tests.sim.books_data import SimBox
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet

NOW = 1_795_000_000_000


@pytest.fixture
def box(plane: SimControlPlane, harbour: HarbourFleet) -> SimBox:
    made = SimBox(plane.services, "south-quay")
    made.accept("detection", 20)
    made.accept("debug", 3000)
    made.declare("debug", 5, 9)
    made.declare("debug", 11, 12, at_least=True, ago_ms=2 * 86_400_000)
    made.deliver("detection", 1, 17)
    made.tell("detection", oldest_ms=made.now_ms - 400_000)
    made.tell("debug", oldest_ms=made.now_ms)
    made.tell("gap")
    return made


def node(plane: SimControlPlane) -> View:
    return NodePage(plane.services, Asked({"name": "south-quay"}))()


def gaps(plane: SimControlPlane, **query: str) -> View:
    return list_gaps(plane.services, Asked({}, query))


def concerns(plane: SimControlPlane) -> list[tuple[str, str]]:
    """Of the box, on the fleet's page: level and sentence."""
    plane.clock.tick(6)  # its books are read anew
    found: Any = FleetPages()(plane.services, Asked())().values["fleet.concerns"]
    return [(each["level"], each["sentence"]) for each in found if each["subject"] == "south-quay"]


def test_a_box_shows_where_the_records_of_each_class_are(plane: SimControlPlane, box: SimBox) -> None:
    view = node(plane)
    rows: Any = view.values["books.classes"]
    by_class = {each["name"]: each for each in rows}
    assert {key: by_class["detection"][key] for key in ("accepted", "stored", "waiting", "oldest", "state")} == {
        "accepted": "20",
        "stored": "17",
        "waiting": "3",
        "oldest": "7 min ago",
        "state": "under way",
    }
    assert by_class["debug"]["accepted"] == "3\u202f000"
    assert (view.values["books.link"], view.values["books.link.word"]) == ("ok", "connected")
    dropped: Any = view.values["books.dropped"]
    assert [(each["name"], each["records"]) for each in dropped] == [("debug", "≥ 7")]
    page = render(view)
    assert 'href="/gaps?node=south-quay"' in page
    assert "frames in which something was found or happened" in page


def test_a_box_that_told_nothing_says_so(plane: SimControlPlane) -> None:
    values = telemetry.values(NodeBooks("quay-1"), Linked(Link.NEVER), NOW)
    assert (values["books.none"], values["books.any"], values["books.link.word"]) == (True, False, "nothing told yet")


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (Linked(Link.SILENT, NOW - 7_200_000, "waits"), ("bad", "silent, heard 2 h ago", "")),
        (Linked(Link.REFUSED, NOW, "Not authorized"), ("bad", "not taken", "Not authorized")),
        (Linked(Link.BY_FILE, NOW), ("none", "by file", "")),
    ],
)
def test_the_link_of_a_box_is_said_in_a_word(link: Linked, said: tuple[str, str, str]) -> None:
    values = telemetry.values(NodeBooks("quay-1"), link, NOW)
    assert (values["books.link"], values["books.link.word"], values["books.link.why"]) == said


def test_unaccounted_is_said_only_where_something_is() -> None:
    assert telemetry.equation(Sums(12, 9, 1, 2)) == "12 accepted = 9 stored + 1 declared dropped + 2 waiting"
    assert telemetry.equation(Sums(12, 9, 1, 0, 2)).endswith("0 waiting + 2 unaccounted")


def test_the_gaps_of_the_fleet_are_listed_plotted_and_chosen(plane: SimControlPlane, box: SimBox) -> None:
    view = gaps(plane)
    assert [(row["node"], row["numbers"], row["records"]) for row in view.facts["rows"]] == [
        ("south-quay", "5 – 9", "5"),
        ("south-quay", "11 – 12", "≥ 2"),
    ]
    chart: Any = view.values["gaps.chart"]
    assert [column.get("debug", 0) for column in chart["columns"] if column] == [2, 5]
    assert chart["columns"][-1] == {"debug": 5}
    assert len(gaps(plane, since="24h").facts["rows"]) == 1
    assert gaps(plane, node="north-quay").facts["rows"] == []
    assert "No gap of this span fits these filters" in render(gaps(plane, **{"class": "alarm"}))
    assert gaps(plane, since="nonsense", after="nonsense").facts["filters"]["since"] == "7d"


def test_gaps_come_page_by_page_and_keep_their_filters(
    plane: SimControlPlane, box: SimBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.ui.telemetry_pages.ON_A_PAGE", 1)
    first = gaps(plane, node="south-quay", since="30d")
    assert first.facts["older"].startswith("/gaps?since=30d&node=south-quay&after=")
    older = gaps(plane, **dict(parse_qsl(urlsplit(first.facts["older"]).query)))
    assert [row["numbers"] for row in older.facts["rows"]] == ["11 – 12"]
    assert (older.facts["older"], older.facts["newest"]) == ("", "/gaps?since=30d&node=south-quay")


def test_telemetry_that_is_late_at_a_box_that_is_there_calls_somebody(
    plane: SimControlPlane, harbour: HarbourFleet, box: SimBox
) -> None:
    assert ("attention", "telemetry is late: 2996 records wait, the oldest accepted 7 min ago") in concerns(plane)
    plane.services.boxes.presence("south-quay", online=False, boot_id="boot-1")
    assert not any("late" in sentence for _, sentence in concerns(plane))  # it is said to be offline


def test_records_that_are_nowhere_and_two_boxes_under_one_name_are_bad(
    plane: SimControlPlane, harbour: HarbourFleet, box: SimBox
) -> None:
    box.accept("alarm", 1)
    box.tell("alarm", waiting=0)
    for start in ("s2", "s3"):
        SimBox(plane.services, "south-quay", start, "s1").begin()
    told = concerns(plane)
    nowhere = "1 record that it accepted are nowhere; 'longshore verify telemetry south-quay' says which"
    assert ("bad", nowhere) in told
    assert any(level == "bad" and "2 starts of south-quay follow the same one" in said for level, said in told)
    page = render(gaps(plane))
    assert "Not as it should be" in page
    assert "1 unaccounted" in page
