"""What the page shows, from documents and figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.ui import figures
from controlplane.ui.board import Board, changed
from controlplane.ui.live import FRESH_SECONDS, Live, snapshot
from controlplane.ui.routes import EventStream, render
from protos.errors import Retryable
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet


@pytest.fixture
def plane(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    made = SimControlPlane(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def harbour(plane: SimControlPlane) -> HarbourFleet:
    fleet = HarbourFleet(plane.services)
    fleet.join()
    fleet.history(minutes=6)
    fleet.report()
    return fleet


def look(fleet: HarbourFleet) -> Board:
    return snapshot(fleet.services.fleet, fleet.services.insights)


def test_figures_agree_with_what_the_boxes_said(harbour: HarbourFleet) -> None:
    values = look(harbour).values
    assert values["fleet.boxes"] == "3 of 3 boxes online"
    assert values["fleet.mood"] == "well"
    assert float(str(values["all.rate"])) == pytest.approx(30, abs=0.5)
    assert float(str(values["all.inTime"])) > 97
    assert values["node.north-quay.run.harbour-watch.release"] == "harbour 1.0.0"
    assert values["camera.gate.state"] == "running"


def test_the_chart_covers_five_minutes_and_shows_when_the_cloud_helped(harbour: HarbourFleet) -> None:
    chart = look(harbour).values["chart"]
    assert isinstance(chart, list)
    columns = chart[1]
    assert len(columns) == 60
    assert sum(columns[30].values()) == pytest.approx(30, abs=1)
    assert max(column.get("ok_cloud", 0) for column in columns) > 10
    assert "ok_cloud" not in columns[-1]


def test_bars_hold_shares_of_a_hundred(harbour: HarbourFleet) -> None:
    bar = look(harbour).values["all.bar"]
    assert isinstance(bar, list)
    assert sum(share for _, share in bar) == pytest.approx(100, abs=0.1)


def test_a_box_that_runs_another_release_is_not_said_to_run_the_wanted_one(harbour: HarbourFleet) -> None:
    harbour.runs["north-quay"] = "sha256:" + "cd" * 32
    harbour.report()
    values = look(harbour).values
    assert values["node.north-quay.run.harbour-watch.release"] == "release cdcdcdcd"
    assert values["node.north-quay.state"] == "updating"
    assert "has not started to pull" in str(values["node.north-quay.why"])


def test_a_silent_box_is_offline_and_says_since_when(harbour: HarbourFleet) -> None:
    harbour.services.boxes.presence("cloud-1", online=False, boot_id="boot-1")
    values = look(harbour).values
    assert values["node.cloud-1.state"] == "offline"
    assert "last heard" in str(values["node.cloud-1.why"])
    assert values["fleet.mood"] == "attention"


def test_the_shape_changes_with_objects_and_not_with_figures(harbour: HarbourFleet) -> None:
    before = look(harbour).shape
    harbour.services.fleet.apply_node(
        "north-quay", {"metadata": {"labels": {"site": "harbour", "quay": "north"}}, "spec": {"slowDown": "300ms"}}
    )
    assert look(harbour).shape == before
    harbour.services.fleet.delete_camera("gate")
    assert look(harbour).shape != before


def test_only_what_changed_is_told() -> None:
    assert changed({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == {"b": 3, "c": 4}


def test_everything_is_escaped_and_no_script_or_style_stands_in_the_page(harbour: HarbourFleet) -> None:
    harbour.services.fleet.apply_camera(
        "evil",
        {
            "metadata": {"annotations": {"longshore/note": "<script>alert(1)</script>"}},
            "spec": {"node": "north-quay", "source": "rtsp://admin:hunter2@10.0.0.9/live"},
        },
    )
    page = render(look(harbour), "https://here:8443")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "hunter2" not in page
    assert " style=" not in page
    assert "onclick" not in page


def test_an_empty_fleet_shows_what_to_do(plane: SimControlPlane) -> None:
    page = render(snapshot(plane.services.fleet, plane.services.insights), "https://here:8443")
    assert "longshore token create" in page


def test_a_fleet_without_cameras_or_deployments_shows_what_to_do(harbour: HarbourFleet) -> None:
    for name in ("crane", "gate", "berth"):
        harbour.services.fleet.delete_camera(name)
    harbour.services.fleet.delete_deployment("harbour-watch")
    page = render(look(harbour), "https://here:8443")
    assert "synthetic://harbour" in page
    assert "longshore push" in page


def test_the_page_is_for_signed_in_people_and_sends_the_others_to_sign_in(plane: SimControlPlane) -> None:
    answer = plane.stranger.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
    assert plane.stranger.get("/ui/pictures/gate").status_code == 401
    page = plane.client.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


def test_a_picture_that_is_not_there_is_no_error(plane: SimControlPlane, harbour: HarbourFleet) -> None:
    assert plane.client.get("/ui/pictures/gate").status_code == 204
    harbour.show()
    found = plane.client.get("/ui/pictures/gate")
    assert (found.status_code, found.content[:2]) == (200, b"\xff\xd8")


def test_looking_at_cameras_makes_their_boxes_stream(plane: SimControlPlane, harbour: HarbourFleet) -> None:
    plane.notifier.hints.clear()
    assert plane.client.post("/ui/look?camera=gate&camera=gone").status_code == 204
    assert [(node, until > 0) for node, _, until in plane.notifier.hints] == [("south-quay", True)]


async def test_snapshots_are_shared_and_the_last_good_one_is_kept(harbour: HarbourFleet) -> None:
    taken, now = [0], [100.0]

    def take() -> Board:
        taken[0] += 1
        if taken[0] == 2:
            raise Retryable("the database is away")
        return look(harbour)

    live = Live(take, lambda: now[0])
    first = await live.board()
    assert await live.board() is first
    now[0] += FRESH_SECONDS
    assert await live.board() is first
    now[0] += FRESH_SECONDS
    assert await live.board() is not first
    assert taken == [3]


async def test_the_stream_begins_with_everything_and_tells_new_pictures(harbour: HarbourFleet) -> None:
    live = Live(lambda: look(harbour))
    events = EventStream(live, harbour.services.looking).events()
    kinds = [(await anext(events)).partition("\n")[0] for _ in range(2)]
    assert kinds == ["event: shape", "event: values"]
    harbour.show()
    while True:
        event = await anext(events)
        if event.startswith("event: pictures"):
            break
    assert '"gate":' in event
    await events.aclose()  # type: ignore[attr-defined]  # an async generator


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (figures.percent(0, 0), "–"),
        (figures.percent(99_999, 100_000), "99.9"),
        (figures.percent(1, 100_000), "0.1"),
        (figures.percent(5, 5), "100"),
        (figures.milliseconds(0.0312), "31"),
        (figures.milliseconds(0.0043), "4.3"),
        (figures.milliseconds(0), "–"),
        (figures.size(512), "512 B"),
        (figures.size(236 << 20), "236 MiB"),
        (figures.size(5 << 40), "5.0 TiB"),
        (figures.bit_rate(0), "0 kbit/s"),
        (figures.bit_rate(4.2e6), "4.2 Mbit/s"),
        (figures.ago(3), "just now"),
        (figures.ago(44), "40 s ago"),
        (figures.ago(600), "10 min ago"),
        (figures.ago(7200), "2 h ago"),
        (figures.ago(200_000), "2 days ago"),
        (figures.since(None, 0), "never"),
        (figures.since("1970-01-01T00:00:00.000Z", 600_000), "10 min ago"),
        (figures.plural(1, "box", "boxes"), "1 box"),
    ],
)
def test_numbers_are_written_as_people_read_them(said: str, wanted: str) -> None:
    assert said == wanted
