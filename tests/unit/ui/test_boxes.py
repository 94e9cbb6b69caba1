"""Pages of one box and one camera, and what needs somebody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controlplane.errors import NotFound
from controlplane.fleet.reports import CameraReport, DecisionReport, Problem, Report
from controlplane.ui import spans
from controlplane.ui.fleet_pages import CameraPage, FleetPages, NodePage
from controlplane.ui.page import Asked, View
from controlplane.ui.shell import render
from protos.ids import NodeId
from protos.problems import NOTICE
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet
from tests.sim.pages import CALM

TRIANGLE = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]


def node(fleet: HarbourFleet, name: str = "north-quay", **query: str) -> View:
    return NodePage(fleet.services, Asked({"name": name}, query))()


def camera(fleet: HarbourFleet, name: str = "crane", **query: str) -> View:
    return CameraPage(fleet.services, Asked({"name": name}, query))()


def concerns(fleet: HarbourFleet) -> list[dict[str, str]]:
    """What the fleet's page says needs somebody."""
    found = FleetPages()(fleet.services, Asked())().values["fleet.concerns"]
    assert isinstance(found, list)
    return found


def attention(fleet: HarbourFleet) -> dict[str, str]:
    """By subject."""
    return {each["subject"]: each["sentence"] for each in concerns(fleet)}


def test_a_box_shows_its_own_cameras_and_figures_alone(harbour: HarbourFleet) -> None:
    view = node(harbour)
    assert [card["name"] for card in view.facts["cameras"]] == ["berth", "crane"]
    assert not any(key.startswith("camera.gate") for key in view.values)
    assert float(str(view.values["all.rate"])) == pytest.approx(20, abs=3)


def test_a_box_shows_how_it_decides_about_the_frames_of_each_deployment(harbour: HarbourFleet) -> None:
    watch = harbour.services.fleet.get_deployment("harbour-watch")["spec"]
    terms = {"money": "2.50 EUR/day", "costs": {"data": "0.1 EUR/GB", "cloud": "0.0002 EUR/s"}}
    harbour.services.fleet.apply_deployment("harbour-watch", {"spec": {**watch, "terms": terms}})
    harbour.decisions["north-quay"] = DecisionReport(
        50, 0.5, 0.1, 0.3, 0.05, 0.05, 1.6, 3e6, 0.04, 9e6, 1.25, {"bits": 0.25, "money": 0.5}, "cloud",
        "No engine runs.", "it is slow",
    )  # fmt: skip
    harbour.report()
    view = node(harbour)
    assert view.facts["decides"] == ["harbour-watch"]
    found = {key.removeprefix("decides.harbour-watch."): value for key, value in view.values.items()}
    shares = [["ok_local", 50], ["stale_track", 10], ["ok_cloud", 30], ["ok_hedge", 5], ["shed", 5]]
    assert (found["bar"], found["cloud"], found["why"]) == (shares, "30", "It is slow")
    assert (found["rung"], found["is"], found["rungWhy"]) == ("the cloud answers", "attention", "No engine runs.")
    assert (found["load"], found["loadIs"], found["link"]) == ("160 %", "bad", "3.0 Mbit/s, 40 ms")
    assert (found["prices"], found["left"]) == ("Mbit 0.25 · money 0.50", "9.0 Mbit this minute · 1.25 EUR today")


def test_an_agent_that_does_not_say_how_it_decides_has_no_such_place(harbour: HarbourFleet) -> None:
    assert node(harbour).facts["decides"] == []


def test_what_a_frame_took_box_and_cloud_and_what_was_sent_is_drawn_under_the_budget(harbour: HarbourFleet) -> None:
    harbour.decisions["north-quay"] = CALM
    harbour.report()
    values = node(harbour).values
    pace, sent = values["decided.harbour-watch.pace"], values["decided.harbour-watch.uplink"]
    assert isinstance(pace, dict)
    assert isinstance(sent, dict)
    assert {name for name, line in pace["lines"].items() if any(value for _, value in line)} == {"box", "cloud"}
    assert sent["limit"] == 8
    assert max(value or 0 for _, value in sent["lines"]["uplink"]) > 0


@pytest.mark.parametrize("span", ["5m", "30m"])
def test_what_a_box_decided_over_time_is_drawn_from_what_it_told(harbour: HarbourFleet, span: str) -> None:
    harbour.decisions["north-quay"] = CALM
    harbour.report()
    values = node(harbour, span=span).values
    routes, rung = values["decided.harbour-watch.routes"], values["decided.harbour-watch.rung"]
    assert isinstance(routes, dict)
    assert isinstance(rung, dict)
    assert {route for column in routes["columns"] for route in column} == {"local", "cloud", "shed"}
    assert ["cloud", "No engine runs on this box: the cloud answers."] in rung["cells"]
    assert ["cpu", "It runs on cpu, as was asked for."] in rung["cells"]
    assert values["decided.harbour-watch.helped"] is True


def test_a_longer_time_is_drawn_from_minutes_and_says_what_a_rung_means(harbour: HarbourFleet) -> None:
    harbour.decisions["north-quay"] = CALM
    harbour.report()
    harbour.services.rollups.roll()
    values = node(harbour, span="3h").values
    rung, load = values["decided.harbour-watch.rung"], values["decided.harbour-watch.load"]
    assert isinstance(rung, dict)
    assert isinstance(load, dict)
    assert next(cell[1] for cell in rung["cells"] if cell) == "The box inferred on its CPU."
    assert [value for _, value in load["lines"]["load"] if value is not None]


def test_where_the_time_goes_adds_up_to_the_latency(harbour: HarbourFleet) -> None:
    values = node(harbour).values
    told = [str(values[f"stages.{stage}"]) for stage, _, _ in spans.STAGES]
    means = [float(each) for each in told if each != "–"]
    assert len(means) >= 3
    assert sum(means) == pytest.approx(float(str(values["stages.total"])), abs=1)


def test_a_longer_span_has_the_same_number_of_columns(harbour: HarbourFleet) -> None:
    short, long = (node(harbour, span=span).values["span.latency"] for span in ("5m", "3h"))
    assert isinstance(short, dict)
    assert isinstance(long, dict)
    assert (long["to"] - long["from"], short["to"] - short["from"]) == (10_800_000, 300_000)
    assert len(long["lines"]["p50"]) == len(short["lines"]["p50"]) == 60


def test_an_unknown_span_is_the_usual_one(harbour: HarbourFleet) -> None:
    assert node(harbour, span="age").facts["span"] == node(harbour).facts["span"]


def test_a_camera_shows_where_it_is_and_its_own_picture_alone(harbour: HarbourFleet) -> None:
    view = camera(harbour)
    assert (view.facts["node"], view.facts["rate"]) == ("north-quay", 10.0)
    assert view.cameras == ("crane",)


def test_zones_are_given_to_the_drawing_as_they_are_stored(harbour: HarbourFleet) -> None:
    stored = harbour.services.fleet.get_camera("crane")
    zones, lines = [{"name": "water", "points": TRIANGLE}], [{"name": "door", "points": TRIANGLE[:2]}]
    spec = {**stored["spec"], "zones": zones, "lines": lines}
    harbour.services.fleet.apply_camera("crane", {"spec": spec})
    facts = camera(harbour).facts
    assert (facts["zones"], facts["lines"]) == (zones, lines)


def test_who_is_not_there_has_no_page(harbour: HarbourFleet) -> None:
    for page, name in ((NodePage, "nobody"), (CameraPage, "none")):
        with pytest.raises(NotFound):
            page(harbour.services, Asked({"name": name}))()


@pytest.mark.parametrize("look", [node, camera])
def test_what_was_typed_elsewhere_is_escaped(harbour: HarbourFleet, look: Callable[[HarbourFleet], View]) -> None:
    for kind, name in (("node", "north-quay"), ("camera", "crane")):
        stored = getattr(harbour.services.fleet, f"get_{kind}")(name)
        body = {"metadata": {"annotations": {"note": "'><script>alert(1)</script>"}}, "spec": stored["spec"]}
        getattr(harbour.services.fleet, f"apply_{kind}")(name, body)
    page = render(look(harbour), "https://fleet.example")
    assert "<script>alert" not in page
    assert "'><" not in page


def test_when_all_is_well_nobody_is_needed(harbour: HarbourFleet) -> None:
    assert attention(harbour) == {}


def test_what_is_worth_knowing_stands_on_the_boxs_page_and_calls_nobody(harbour: HarbourFleet) -> None:
    harbour.problems["north-quay"] = (Problem(NOTICE, "workers (engine) run without cgroup"),)
    harbour.report()
    values = node(harbour).values
    assert attention(harbour) == {}
    assert values["node.north-quay.problems"] == ""
    assert values["node.north-quay.notices"] == "workers (engine) run without cgroup"


def test_a_silent_box_is_told_once_and_its_cameras_are_not_told_beside_it(
    plane: SimControlPlane, harbour: HarbourFleet
) -> None:
    plane.clock.tick(3600)
    for name in ("north-quay", "south-quay", "cloud-1"):
        plane.services.boxes.presence(name, online=False, boot_id="boot-1")
    told = attention(harbour)
    assert "is offline" in told["north-quay"]
    assert "crane" not in told


def test_a_bad_day_is_told_in_sentences_worst_first(harbour: HarbourFleet) -> None:
    harbour.degrade()
    harbour.history(minutes=1)
    harbour.tick()
    levels = [each["level"] for each in concerns(harbour)]
    assert levels == sorted(levels, key=("bad", "attention", "note").index)
    assert "berth" in attention(harbour)


def test_a_camera_whose_frames_are_given_up_does_not_look_well_anywhere(harbour: HarbourFleet) -> None:
    harbour.late.add("crane")
    harbour.history(minutes=1)
    for view in (camera(harbour), node(harbour), FleetPages()(harbour.services, Asked())()):
        assert view.values["camera.crane.shown"] == "late"
        assert "deadline of 250 ms" in str(view.values["camera.crane.late"])
    assert "give the camera a rate of" in attention(harbour)["crane"]
    rows = camera(harbour).values["answers"]
    assert isinstance(rows, list)
    [row] = rows
    assert (row["deployment"], row["release"], row["deadline"]) == ("harbour-watch", "harbour 1.0.0", "250 ms")


def test_a_cameras_chart_draws_the_deadline_of_what_looks_at_it_and_not_that_of_its_box(harbour: HarbourFleet) -> None:
    fleet = harbour.services.fleet
    watch = fleet.get_deployment("harbour-watch")["spec"]
    beside = {**watch, "cameraSelector": {"matchLabels": {"view": "none"}}, "objective": {"deadline": "100ms"}}
    fleet.apply_deployment("beside", {"kind": "Deployment", "metadata": {"name": "beside"}, "spec": beside})
    harbour.report()
    charts = [view.values["span.latency"] for view in (camera(harbour), node(harbour))]
    assert [chart["limit"] for chart in charts if isinstance(chart, dict)] == [250, 100]


def test_a_cameras_page_says_how_many_of_the_wanted_frames_overload_leaves(harbour: HarbourFleet) -> None:
    assert camera(harbour, "gate").values["camera.gate.lowered"] == ""
    told = CameraReport("gate", "running", frames_per_second=10.0, lowered_rate=4.5)
    harbour.services.boxes.sync(NodeId("south-quay"), Report(cameras=(told,)))
    assert camera(harbour, "gate").values["camera.gate.lowered"] == (
        "; 4.5 are due now, because south-quay is asked for more than it answers in time"
    )


def test_terms_that_name_no_camera_are_a_note(harbour: HarbourFleet) -> None:
    watch = harbour.services.fleet.get_deployment("harbour-watch")["spec"]
    harbour.services.fleet.apply_deployment("harbour-watch", {"spec": {**watch, "terms": {"stays": ["gaet"]}}})
    assert "spec.terms names gaet" in attention(harbour)["harbour-watch"]


def test_a_switch_somebody_may_have_forgotten_is_a_note(harbour: HarbourFleet) -> None:
    stored = harbour.services.fleet.get_node("north-quay")
    harbour.services.fleet.apply_node("north-quay", {"spec": {**stored["spec"], "paused": True}})
    assert "is paused" in attention(harbour)["north-quay"]


def test_a_silent_box_gives_no_frames_whatever_it_said_last(harbour: HarbourFleet) -> None:
    fleet = harbour.services.fleet
    assert fleet.get_camera("gate")["status"]["framesPerSecond"] == 10
    harbour.services.boxes.presence("south-quay", online=False, boot_id="boot-1")
    assert fleet.get_camera("gate")["status"]["framesPerSecond"] == 0
    assert [each["framesPerSecond"] for each in fleet.get_node("south-quay")["status"]["cameras"]] == [0]
