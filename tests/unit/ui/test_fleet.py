"""What the page shows, from documents and figures."""

from __future__ import annotations

import re

import pytest

from controlplane.errors import NotFound
from controlplane.identity.roles import Role
from controlplane.ingest.domain import Kind
from controlplane.insights.service import InsightsService
from controlplane.ui import figures
from controlplane.ui.fleet_pages import FleetPages
from controlplane.ui.live import FRESH_SECONDS, LEISURE, Live, LiveViews
from controlplane.ui.outcomes import LEGEND
from controlplane.ui.page import Asked, View, changed
from controlplane.ui.routes import PAGES
from controlplane.ui.shell import render
from controlplane.ui.stream import EventStream
from protos.errors import Retryable
from protos.outcomes import Outcome
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet


def look(fleet: HarbourFleet) -> View:
    return FleetPages()(fleet.services, Asked())()


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
    assert isinstance(chart, dict)
    columns = chart["columns"]
    assert len(columns) == 60
    assert sum(columns[30].values()) == pytest.approx(30, abs=1)
    assert max(column.get("ok_cloud", 0) for column in columns) > 10
    assert "ok_cloud" not in columns[-1]


def test_the_windows_of_the_chart_are_read_once_and_new_columns_come_from_the_last_minute(
    plane: SimControlPlane, harbour: HarbourFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, counts = [0], InsightsService.counts

    def counting(self: InsightsService, since_ms: int, until_ms: int) -> object:
        read[0] += 1
        return counts(self, since_ms, until_ms)

    monkeypatch.setattr(InsightsService, "counts", counting)
    page = FleetPages()(plane.services, Asked())
    charts = []
    for _ in range(20):
        charts.append(page().values["chart"])
        plane.clock.tick(1.0)
    assert read == [1]
    assert 4 <= len({repr(chart) for chart in charts}) <= 5


def test_a_chart_that_is_drawn_on_is_the_chart_drawn_anew(plane: SimControlPlane, harbour: HarbourFleet) -> None:
    page = FleetPages()(plane.services, Asked())
    for _ in range(23):
        page()
        plane.clock.tick(4.0)
        harbour.tick()
    assert page().values["chart"] == look(harbour).values["chart"]


def test_every_outcome_has_its_place_in_the_legend() -> None:
    assert sorted(outcome for outcome, _, _ in LEGEND) == sorted(Outcome)


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
    assert "has not started to pull" in str(values["node.north-quay.run.harbour-watch.note"])
    assert values["node.north-quay.why"] == ""


def test_why_an_update_failed_stands_next_to_its_run(harbour: HarbourFleet) -> None:
    harbour.refuses["north-quay"] = "variant cpu-fp32 is no ONNX file"
    harbour.report()
    board = look(harbour)
    assert board.values["node.north-quay.run.harbour-watch.is"] == "failed"
    assert board.values["node.north-quay.run.harbour-watch.note"] == (
        "refused the release: variant cpu-fp32 is no ONNX file"
    )
    assert "variant cpu-fp32 is no ONNX file" in render(board)


def test_a_silent_box_is_offline_and_says_since_when(harbour: HarbourFleet) -> None:
    harbour.services.boxes.presence("cloud-1", online=False, boot_id="boot-1")
    values = look(harbour).values
    assert values["node.cloud-1.state"] == "offline"
    assert "last heard" in str(values["node.cloud-1.why"])
    assert values["node.cloud-1.run.harbour-watch.note"] == ""
    assert values["fleet.mood"] == "bad"


def test_a_box_is_described_by_what_it_said_of_itself(harbour: HarbourFleet) -> None:
    card = next(card for card in look(harbour).facts["nodes"] if card["name"] == "north-quay")
    assert card["machine"] == "4 cores · 8.0 GiB · agent 0.1.0"


def test_frames_nobody_answered_ran_nowhere(harbour: HarbourFleet) -> None:
    now = harbour.services.insights.now_ms
    nobody = {"frames": [], "seconds": 0.0}
    said = {"camera": "crane", "deployment": "harbour-watch", "start_ms": now - 2_000, "end_ms": now, "uplink_bytes": 0}
    ended = {"frames_due": 5_000, "counts": {"expired": 5_000}, "box": nobody, "cloud": nobody}
    before = look(harbour).values
    harbour.say("north-quay", Kind.OUTCOMES, {**said, **ended})
    after = look(harbour).values
    assert float(str(after["camera.crane.inTime"])) < 20 < float(str(before["camera.crane.inTime"]))
    for part in ("camera.crane.inCloud", "camera.crane.p95", "all.onBox", "deployment.harbour-watch.onBox"):
        assert after[part] == before[part], part


def test_while_the_broker_is_away_the_page_says_why_figures_stand_still(
    harbour: HarbourFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(harbour).values["fleet.trouble"] == ""
    why = "the broker at 127.0.0.1:8883 is away: connection refused"
    monkeypatch.setattr(type(harbour.services.telemetry), "trouble", why)
    board = look(harbour)
    assert why in str(board.values["fleet.trouble"])
    assert board.values["fleet.mood"] == "attention"
    assert why in render(board)


# ---- what was dropped ----


def drop(fleet: HarbourFleet, records: int, reason: str = "the outbox was full", kind: str = "frame") -> None:
    gap = {"record_class": kind, "first_seq": 1, "last_seq": records, "dropped": records, "reason": reason}
    fleet.say("north-quay", Kind.GAP, gap)


def test_what_a_box_dropped_is_told_with_its_reason_and_what_helps(
    plane: SimControlPlane, harbour: HarbourFleet
) -> None:
    assert look(harbour).values["node.north-quay.lost"] == ""
    drop(harbour, 40)
    drop(harbour, 2)
    plane.clock.tick(3 * 3600)
    drop(harbour, 1, "database or disk is full", "outcomes")
    said = str(look(harbour).values["node.north-quay.lost"])
    assert said.startswith(
        "1 count of outcomes lost, last just now: database or disk is full; "
        "42 detections lost, last 3 h ago: the outbox was full "
    )
    assert "LONGSHORE_AGENT_OUTBOX_BYTES" in said
    assert look(harbour).values["node.south-quay.lost"] == ""


def test_a_loss_is_told_for_a_day(plane: SimControlPlane, harbour: HarbourFleet) -> None:
    drop(harbour, 40)
    plane.clock.tick(86_400 - 60)
    assert "40 detections" in str(look(harbour).values["node.north-quay.lost"])
    plane.clock.tick(120)
    assert look(harbour).values["node.north-quay.lost"] == ""


def test_the_shape_changes_with_objects_and_not_with_figures(harbour: HarbourFleet) -> None:
    before = look(harbour).shape
    harbour.services.fleet.apply_node(
        "north-quay", {"metadata": {"labels": {"site": "harbour", "quay": "north"}}, "spec": {"slowDown": "300ms"}}
    )
    assert look(harbour).shape == before
    harbour.services.fleet.delete_camera("gate")
    assert look(harbour).shape != before


def test_every_value_is_shown_somewhere(harbour: HarbourFleet) -> None:
    board = look(harbour)
    shown = set(re.findall(r'data-[a-z-]+="([^"]+)"', render(board)))
    assert {key for key in board.values if key not in shown} == set()


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
    page = render(look(harbour))
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "hunter2" not in page
    assert " style=" not in page
    assert "onclick" not in page


def test_an_empty_fleet_shows_what_to_do(plane: SimControlPlane) -> None:
    page = render(FleetPages()(plane.services, Asked())())
    assert "longshore token create" in page


def test_a_fleet_without_cameras_or_deployments_shows_what_to_do(harbour: HarbourFleet) -> None:
    for name in ("crane", "gate", "berth"):
        harbour.services.fleet.delete_camera(name)
    harbour.services.fleet.delete_deployment("harbour-watch")
    page = render(look(harbour))
    assert "synthetic://harbour" in page
    assert "longshore push" in page


def test_the_page_is_for_signed_in_people_and_sends_the_others_to_sign_in(plane: SimControlPlane) -> None:
    answer = plane.stranger.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
    assert plane.stranger.get("/ui/pictures/gate").status_code == 401
    assert plane.stranger.post("/ui/look?camera=gate").status_code == 401
    page = plane.client.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


def test_a_picture_that_is_not_there_is_no_error(plane: SimControlPlane, harbour: HarbourFleet) -> None:
    assert plane.client.get("/ui/pictures/gate").status_code == 204
    harbour.show()
    for path in ("/ui/pictures/gate", "/api/v1/cameras/gate/picture"):
        found = plane.client.get(path)
        assert (found.status_code, found.content[:2]) == (200, b"\xff\xd8")
        assert found.headers["x-content-type-options"] == "nosniff"


def test_looking_at_cameras_makes_their_boxes_stream(plane: SimControlPlane, harbour: HarbourFleet) -> None:
    plane.notifier.hints.clear()
    assert plane.client.post("/ui/look?camera=gate&camera=gone").status_code == 204
    assert [(node, until > 0) for node, _, until in plane.notifier.hints] == [("south-quay", True)]


async def test_views_are_shared_and_the_last_good_one_is_kept(harbour: HarbourFleet) -> None:
    taken, now = [0], [100.0]

    def make() -> View:
        taken[0] += 1
        if taken[0] == 2:
            raise Retryable("the database is away")
        return look(harbour)

    live = Live(make, lambda: now[0])
    first = await live.view()
    assert await live.view() is first
    now[0] += FRESH_SECONDS
    assert await live.view() is first
    now[0] += FRESH_SECONDS
    assert await live.view() is not first
    assert taken == [3]


async def test_views_that_take_long_are_made_less_often(harbour: HarbourFleet) -> None:
    now, made = [100.0], [0]

    def make() -> View:
        made[0] += 1
        now[0] += 2.0
        return View("fleet.html", "Fleet", "fleet")

    live = Live(make, lambda: now[0])
    await live.view()
    now[0] += 2.0 * LEISURE - 2.5
    await live.view()
    assert made == [1]
    now[0] += 1.0
    await live.view()
    assert made == [2]


async def test_a_view_is_kept_while_somebody_reads_its_address(harbour: HarbourFleet) -> None:
    views = LiveViews(lambda address: PAGES.maker(harbour.services, address))
    with views.reading("/") as first, views.reading("/") as second:
        assert first is second
    assert len(views) == 0
    with pytest.raises(NotFound), views.reading("/nowhere"):
        pass
    assert len(views) == 0


async def test_the_stream_begins_with_everything_and_tells_new_pictures(harbour: HarbourFleet) -> None:
    live = Live(lambda: look(harbour))
    events = EventStream(live, harbour.services.looking, Role.ADMIN, lambda: Role.ADMIN).events()
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
