"""What the pages of models, releases, deployments, events and tokens show, from values."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from controlplane.fleet import specs, terms
from controlplane.insights.domain import Lost
from controlplane.registry.difference import Side, difference
from controlplane.registry.domain import StoredModel, StoredRelease
from controlplane.ui import deployments, differences, events, models, plots, tokens
from controlplane.ui.deployment_pages import one_deployment
from controlplane.ui.events import Filters
from controlplane.ui.fleet_pages import FleetPages
from controlplane.ui.page import Asked
from controlplane.ui.registry_pages import ReleasePage
from controlplane.ui.shell import render
from protos import manifest as manifests
from protos.errors import Rejected
from protos.manifest import Manifest
from tests.sim import releases
from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import DEPLOYMENT, HarbourFleet
from tests.sim.holders import Holders

HOUR = 3_600_000


@pytest.fixture
def harbour(plane: SimControlPlane) -> SimControlPlane:
    fleet = HarbourFleet(plane.services)
    fleet.join()
    fleet.report()
    return plane


def stored(plane: SimControlPlane, version: str) -> StoredRelease:
    return plane.push(releases.make(version))


# ---- models and releases ----


def test_a_release_says_which_deployments_run_it(harbour: SimControlPlane) -> None:
    newer = stored(harbour, "1.1.0")
    documents = harbour.services.fleet.list_deployments()
    (model,) = models.models(harbour.registry.models(), documents)
    assert (model["name"], model["releases"], model["newest"]["version"]) == ("harbour", 2, "1.1.0")
    assert [user["name"] for user in model["deployments"]] == [DEPLOYMENT]
    older, wanted = (models.release_line(each, documents) for each in (newer, harbour.registry.releases()[0]))
    assert older["deployments"] == []
    assert wanted["deployments"][0]["desired"] == 3


def test_a_release_knows_the_one_before_it_and_a_manifest_nobody_can_read_hides_no_page(
    harbour: SimControlPlane,
) -> None:
    newer = stored(harbour, "1.1.0")
    siblings = harbour.registry.releases()
    shown = models.release(newer, manifests.parse(newer.manifest), siblings)
    assert (shown["before"], shown["input"], shown["classes"]) == ("harbour-1-0-0", "320 × 320", ["boat", "container"])
    unreadable = models.release(siblings[0], None, siblings)
    assert (unreadable["readable"], unreadable["before"], unreadable["classes"]) == (False, "", [])


def page_of(plane: SimControlPlane, name: str) -> str:
    return " ".join(render(ReleasePage(plane.services, Asked({"name": name}))()).split())


def test_the_page_of_a_release_tells_what_it_is_worth(harbour: SimControlPlane) -> None:
    page = page_of(harbour, "harbour-1-0-0")
    assert "mAP50 on 512 pictures with 20,716 objects" in page
    assert '<polyline points="' in page
    assert "Sent as JPEG, in 12 ways" in page
    assert page.count('<td class="right number">320</td>') == 4
    assert "careful priors" not in page


def test_the_page_of_a_release_that_nobody_evaluated_says_what_boxes_do_then_and_how_to_measure(
    harbour: SimControlPlane,
) -> None:
    page = page_of(harbour, stored(harbour, "1.1.0").name)
    assert "No evaluation: boxes take careful priors" in page
    assert "longshore package RELEASE --evaluate LABELLED" in page
    assert "polyline" not in page


def test_a_release_that_looks_at_no_pictures_is_not_said_to_want_an_evaluation(harbour: SimControlPlane) -> None:
    harbour.push(releases.make("1.0.0", name="speech", task="tensor"))
    assert "careful priors" not in page_of(harbour, "speech-1-0-0")


def test_a_model_without_releases_is_still_a_model() -> None:
    shown = models.model(StoredModel("old", "u", 0, 1, 1, {}, ()), [])
    assert (shown["newest"], shown["lines"]) == (None, [])


def test_a_graph_is_told_in_bars_and_the_rare_operators_are_summed_up() -> None:
    operators = {f"Op{number}": 1 + (5000 >> number) for number in range(15)}
    outline = {"opset": 17, "producer": "", "nodes": 1234, "parameters": 227_750, "weights": {"float32": 227_750}}
    shown = models.graph({**outline, "inputs": [], "outputs": [], "operators": operators})
    assert shown["operators"][0] == {"name": "Op0", "count": 5001, "share": 100.0}
    assert shown["operators"][-1]["name"] == "3 other kinds"
    assert (shown["nodes"], shown["weights"]) == ("1,234", "228 k float32")


# ---- differences ----


def side(manifest: Manifest, **figures: str) -> Side:
    return Side("x", manifest, figures=figures)


MADE = manifests.parse(releases.make("1.0.0").manifest)


@pytest.mark.parametrize(
    ("name", "before", "after", "delta", "verdict"),
    [
        ("mAP50", "0.922", "0.941", "+0.019", "better"),
        ("boat · AP50", "0.9", "0.857", "−0.043", "worse"),
        ("latency · ms", "31", "28.5", "−2.5", "better"),
        ("seeds", "7", "8", "+1", ""),
    ],
)
def test_a_figure_is_better_or_worse_only_where_its_name_says_which(
    name: str, before: str, after: str, delta: str, verdict: str
) -> None:
    found = differences.difference(difference(side(MADE, **{name: before}), side(MADE, **{name: after})))
    (row,) = found["sections"][0]["rows"]
    assert (row["delta"], row["verdict"]) == (delta, verdict)


def test_what_breaks_who_uses_the_older_one_is_said_first() -> None:
    import dataclasses

    moved = dataclasses.replace(MADE, labels=("container", "boat"), task="classification")
    said = differences.breaks(difference(side(MADE), side(moved)))
    assert "0 was 'boat', 1 was 'container'" in said[0]
    assert "classification" in said[1]
    assert differences.breaks(difference(side(MADE), side(MADE))) == []


# ---- deployments ----


def test_the_form_of_a_deployment_writes_the_same_spec_again(harbour: SimControlPlane) -> None:
    stored = harbour.services.fleet.get_deployment(DEPLOYMENT)
    written = deployments.document(deployments.fields_of(stored))
    assert specs.deployment_spec(written["spec"]) == specs.deployment_spec(stored["spec"])
    assert harbour.services.fleet.apply_deployment(DEPLOYMENT, written).change == "unchanged"


TERMS_SAID = {"Worth", "Limits of a box", "Stays on its box", "Least rate", "Safety"}
WHOLE_TERMS: dict[str, object] = {
    "values": {"boat": 5, "container": 0.5},
    "cameraValues": {"gate": 2},
    "money": "2.50 EUR/day",
    "power": "15 W",
    "carbon": "200 g/h",
    "costs": {"data": "0.5 EUR/GB", "cloud": "0.0002 EUR/s", "grid": "380 g/kWh"},
    "floorRate": 0.5,
    "safety": True,
    "stays": ["berth", "crane"],
}


def test_the_form_loses_no_field_whatever_it_holds(harbour: SimControlPlane) -> None:
    """Each field as nobody has it by default, with cloud help off: the form writes the whole spec."""
    fleet = harbour.services.fleet
    whole = {
        **fleet.get_deployment(DEPLOYMENT)["spec"],
        "nodeSelector": {"matchLabels": {"site": "harbour"}},
        "cameraSelector": {"matchLabels": {"view": "gate"}},
        "cloudSelector": {"matchLabels": {"role": "helper"}},
        "objective": {"deadline": "400ms", "latencyBudget": "60ms"},
        "offload": {"enabled": False, "uplink": "1Mbit/s", "jpegQuality": 55},
        "minScore": 0.55,
        "detectionsPerSecond": 7,
        "classes": ["boat"],
        "events": False,
        "shadow": {"release": "harbour@1.0.0", "share": 0.25},
        "download": {"rate": "2Mbit/s", "window": "22:00-05:00 Europe/Berlin", "jitter": "10m"},
        "terms": WHOLE_TERMS,
    }
    standard = terms.terms_to_spec(terms.AS_EVER)
    assert all(WHOLE_TERMS[key] != value for key, value in standard.items()), "a term is not tried here"
    assert set(whole) == set(specs.deployment_document(specs.deployment_spec(whole))), "a field is not tried here"
    stored = fleet.apply_deployment(DEPLOYMENT, {"spec": whole}).document
    written = deployments.document(deployments.fields_of(stored))
    assert fleet.apply_deployment(DEPLOYMENT, written).change == "unchanged"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"rate": "none", "window": "always", "jitter": "0s"}, "at any time"),
        ({"rate": "2Mbit/s", "window": "always", "jitter": "10m"}, "at any time, up to 2Mbit/s a box, spread over 10m"),
        ({"rate": "none", "window": "22:00-05:00", "jitter": "0s"}, "22:00-05:00 where the box is"),
        ({"rate": "none", "window": "22:00-05:00 UTC", "jitter": "0s"}, "22:00-05:00 UTC"),
    ],
)
def test_a_page_says_when_and_how_fast_boxes_fetch(harbour: SimControlPlane, rules: dict[str, str], said: str) -> None:
    spec = {**harbour.services.fleet.get_deployment(DEPLOYMENT)["spec"], "download": rules}
    item = harbour.services.fleet.apply_deployment(DEPLOYMENT, {"spec": spec}).document
    assert dict(deployments.deployment(item, [], [])["facts"])["Download"] == said


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, {}),
        ({"values": {"boat": 5}, "cameraValues": {"gate": 2}}, {"Worth": "boat=5, gate=2"}),
        ({"power": "15 W", "carbon": "200 g/h"}, {"Limits of a box": "15 W, 200 g/h of CO2"}),
        ({"stays": "all"}, {"Stays on its box": "every camera"}),
        ({"floorRate": 0, "safety": True}, {"Least rate": "0 frames/s a camera", "Safety": "prices do not apply"}),
    ],
)
def test_a_page_says_the_terms_that_somebody_set(
    harbour: SimControlPlane, told: dict[str, object], said: dict[str, str]
) -> None:
    spec = {**harbour.services.fleet.get_deployment(DEPLOYMENT)["spec"], "terms": told}
    item = harbour.services.fleet.apply_deployment(DEPLOYMENT, {"spec": spec}).document
    facts = dict(deployments.deployment(item, [], [])["facts"])
    assert {name: facts[name] for name in facts if name in said or name in TERMS_SAID} == said


def test_all_that_stay_are_all_in_the_form_too() -> None:
    form = {**deployments.DEFAULTS, "name": "d", "model": "m", "version": "1"}
    assert "terms" not in deployments.document(form)["spec"]
    assert deployments.document({**form, "termsStays": "all"})["spec"]["terms"] == {"stays": "all"}


def test_a_camera_that_only_the_terms_know_is_told_before_anything_is_applied(harbour: SimControlPlane) -> None:
    spec = {**harbour.services.fleet.get_deployment(DEPLOYMENT)["spec"], "terms": {"stays": ["gaet", "berth"]}}
    shown = deployments.preview(harbour.services.fleet.preview_deployment("new", {"spec": spec}))
    assert shown["warnings"] == ["spec.terms names gaet, which this deployment does not see; check the name."]


def test_the_yaml_of_a_form_is_what_apply_takes() -> None:
    form = {**deployments.DEFAULTS, "name": "d", "model": "m", "version": "1.10", "nodeSelector": "site in (a,b),gpu"}
    read = yaml.safe_load(deployments.as_yaml(deployments.document(form)))
    assert read["spec"]["version"] == "1.10"
    assert {each["key"] for each in read["spec"]["nodeSelector"]["matchExpressions"]} == {"site", "gpu"}
    assert "classes" not in read["spec"]


@pytest.mark.parametrize(
    ("field", "text", "why"),
    [
        ("nodeSelector", "site=a b", "spec.nodeSelector"),
        ("minScore", "high", "spec.minScore must be a number"),
        ("termsValues", "boat", r"spec.terms.values must read NAME=NUMBER"),
        ("termsCameraValues", "gate=much", "spec.terms.cameraValues.gate must be a number, not 'much'"),
        ("termsFloorRate", "often", "spec.terms.floorRate must be a number"),
    ],
)
def test_what_is_wrong_in_a_form_names_its_field(field: str, text: str, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        deployments.document({**deployments.DEFAULTS, "name": "d", field: text})


def test_a_preview_shows_boxes_with_their_cameras_and_warns(harbour: SimControlPlane) -> None:
    spec = {**harbour.services.fleet.get_deployment(DEPLOYMENT)["spec"]}
    chosen = harbour.services.fleet.preview_deployment("new", {"spec": spec})
    shown = deployments.preview(chosen)
    assert shown["summary"] == "2 boxes, 3 cameras"
    assert {box["name"]: box["cameras"] for box in shown["boxes"]}["north-quay"] == ["berth", "crane"]
    assert (shown["cloud"], shown["warnings"]) == (["cloud-1"], [])
    nowhere = {"matchLabels": {"site": "nowhere"}}
    lost = {"spec": {**spec, "nodeSelector": nowhere, "cloudSelector": nowhere}}
    nobody = deployments.preview(harbour.services.fleet.preview_deployment("new", lost))
    assert [sentence.split(".")[0] for sentence in nobody["warnings"]] == [
        "No box matches",
        "Cloud help is on and no cloud node matches: nobody will help",
    ]


def test_boxes_in_trouble_stand_first_and_a_pull_says_how_far(harbour: SimControlPlane) -> None:
    fleet = harbour.services.fleet
    item, nodes = fleet.get_deployment(DEPLOYMENT), fleet.list_nodes()
    item["status"]["boxes"][2] |= {"step": "Failed", "message": "refused it"}
    item["status"]["boxes"][1] |= {"step": "Updating", "state": "PULLING"}
    node = next(each for each in nodes if each["metadata"]["name"] == item["status"]["boxes"][1]["node"])
    node["status"]["deployments"][0] |= {"bytesDone": 25, "bytesTotal": 100}
    rows = deployments.boxes(item, nodes, harbour.registry.releases())
    assert [row["state"] for row in rows] == ["bad", "busy", "ok"]
    assert (rows[1]["percent"], rows[1]["doing"], rows[2]["runs"]) == (25, "pulling", "1.0.0")
    assert rows[2]["variant"] == "fp32"


def test_how_a_shadow_compares_is_a_sentence_of_each_box(harbour: SimControlPlane) -> None:
    fleet = harbour.services.fleet
    item, nodes = fleet.get_deployment(DEPLOYMENT), fleet.list_nodes()
    told = {"digest": "sha256:bb", "answered": 100, "agreedShare": 0.97, "failed": 2, "message": ""}
    told |= {"inferSeconds": 0.012, "activeInferSeconds": 0.02}
    waits = {**told, "answered": 0, "failed": 0, "message": "waits: the box has 3 MiB of memory left"}
    for number, shadow in enumerate((told, waits, {**waits, "message": ""})):
        item["status"]["boxes"][number]["shadow"] = shadow
    assert {row["shadow"] for row in deployments.boxes(item, nodes, [])} == {
        "Shadow: agrees on 97.0 % of 100 frames, at most 12.0 ms a frame against 20.0 ms, 2 failed",
        "Shadow: it waits: the box has 3 MiB of memory left",
        "Shadow: it has seen no frame yet",
    }


def test_a_classifier_on_cameras_is_said_to_show_nothing_on_its_page_and_the_fleets(harbour: SimControlPlane) -> None:
    services, words = harbour.services, "cameras show nothing of weather 1.0.0"

    def page() -> str:
        return render(one_deployment(services, Asked({"name": DEPLOYMENT})))

    assert "cameras show nothing" not in page()
    harbour.push(releases.make("1.0.0", name="weather", task="classification"))
    spec = {**services.fleet.get_deployment(DEPLOYMENT)["spec"], "model": "weather", "version": "1.0.0"}
    services.fleet.apply_deployment(DEPLOYMENT, {"spec": spec})
    assert words in page()
    assert words in str(FleetPages()(services, Asked())().values["fleet.concerns"])


def test_a_deployment_can_be_rolled_forward_and_back(harbour: SimControlPlane) -> None:
    for version in ("1.1.0", "1.2.0"):
        harbour.clock.tick(1)
        stored(harbour, version)
    item = harbour.services.fleet.get_deployment(DEPLOYMENT)
    item["spec"]["version"] = "1.1.0"
    shown = deployments.deployment(item, [], harbour.registry.releases())["versions"]
    assert [(each["version"], each["current"], each["way"]) for each in shown] == [
        ("1.2.0", False, "forward"),
        ("1.1.0", True, "back"),
        ("1.0.0", False, "back"),
    ]


# ---- events ----


def frame(at_ms: int, *labels: str) -> events.Facts:
    boxes = [{"label": label, "score": 0.5 + index / 10, "zones": ["quay"]} for index, label in enumerate(labels)]
    told = {"ranOn": "local", "latencySeconds": 0.031, "deployment": "d", "camera": "gate", "node": "south"}
    return events.detection({"boxes": boxes, **told}, at_ms)


def test_a_detection_is_told_in_words() -> None:
    shown = frame(0, "boat", "boat", "person")
    assert (shown["title"], shown["tags"]) == ("2 × boat, person", ["in quay"])
    assert shown["sentence"] == "best 0.70 · answered on the box in 31 ms · d"
    assert shown["at"] == "1970-01-01T00:00:00.000Z"


def test_what_happened_at_lines_and_in_zones_stands_before_where_things_are() -> None:
    crossed, dwelt = {"what": "crossed", "line": "door", "zone": None}, {"what": "dwelt", "line": None, "zone": "quay"}
    boxes = [{"label": "boat", "score": 0.9, "zones": ["quay"]}]
    row = {"boxes": boxes, "happened": [crossed, crossed, dwelt], "ranOn": "local", "latencySeconds": 0.03}
    shown = events.detection({**row, "deployment": "d", "camera": "gate", "node": "south"}, 0)
    assert shown["tags"] == ["crossed door", "dwelt quay", "in quay"]


def test_pages_of_events_follow_each_other_without_a_hole_or_a_repeat() -> None:
    all_events = [frame(moment // 3, "boat") for moment in range(160)]  # three in each millisecond
    seen, filters = [], Filters()
    while True:
        _, until = filters.span(10_000_000)
        page = events.page([each for each in all_events if each["at_ms"] < until], filters)
        seen += [each["at_ms"] for each in page["events"]]
        if not page["older"]:
            break
        filters = Filters(before=page["older"].rpartition("before=")[2])
    assert seen == sorted((each["at_ms"] for each in all_events), reverse=True)


def test_filters_stand_in_the_address_and_what_only_detections_have_hides_the_rest() -> None:
    filters = Filters(label="boat", since="7d", camera="gate")
    assert filters.address(before="5") == "/events?since=7d&camera=gate&label=boat&before=5"
    assert [filters.wants(kind) for kind in ("detection", "camera", "gap")] == [True, False, False]
    assert Filters(kind="gap").wants("gap")
    assert filters.any
    assert not Filters().any
    assert Filters().address() == "/events"


@pytest.mark.parametrize("wrong", [Filters(since="soon"), Filters(before="x")])
def test_a_span_nobody_understands_is_refused(wrong: Filters) -> None:
    with pytest.raises(Rejected):
        wrong.span(0)


def test_days_are_a_span_and_a_score_lies_between_nothing_and_one() -> None:
    assert Filters(since="7d").span(8 * 24 * HOUR)[0] == 24 * HOUR
    with pytest.raises(Rejected, match="0 to 1"):
        Filters(minScore="2").score()


def test_cameras_and_gaps_are_events_too() -> None:
    shown = events.camera({"camera": "gate", "state": "retrying", "reason": "timed out", "node": "n"}, 0)
    assert (shown["title"], shown["state"], shown["sentence"]) == ("gate is retrying", "bad", "timed out")
    lost = events.gap(Lost("n", "frame", "the outbox was full", 7, 0))
    assert lost["title"] == "7 detections lost"


# ---- plots ----


def test_a_plot_holds_all_points_between_round_numbers() -> None:
    shown = plots.plot({"loss": [(0, 0.93), (10, 0.41)], "empty": []})
    assert shown is not None
    assert shown["y"] == ["1", "0.5", "0"]
    assert shown["lines"][0]["path"] == "M0 70L1000 590"
    assert [line["name"] for line in shown["lines"]] == ["loss"]
    assert plots.plot({"loss": [(0, float("nan"))]}) is None


def test_a_long_line_is_thinned_keeping_its_ends_and_one_point_can_be_seen() -> None:
    points = [(float(step), 1.0) for step in range(10_000)]
    kept = plots.thinned(points)
    assert (len(kept), kept[0], kept[-1]) == (plots.MOST_POINTS, points[0], points[-1])
    shown = plots.plot({"loss": [(3, 2.0)]})
    assert shown is not None
    assert shown["lines"][0]["path"].startswith("M0 ")


# ---- tokens ----


def test_open_join_tokens_stand_first() -> None:
    token: dict[str, Any] = {"id": "1", "nodeId": None, "role": "edge", "labels": {}, "used": None, "usedBy": None}
    later, soon = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"
    used = {**token, "id": "2", "used": soon, "usedBy": "quay", "expires": later}
    rows = tokens.join_tokens([used, {**token, "expires": soon}, {**token, "id": "3", "expires": later}], soon)
    assert [(row["id"], row["state"]) for row in rows] == [("3", "open"), ("1", "expired"), ("2", "used")]


def test_what_waits_for_signatures_is_on_the_pages_with_what_it_would_change(harbour: SimControlPlane) -> None:
    holders = Holders(harbour)
    name = holders.proposed(holders.with_bo("root", holders.root))["id"][:12]
    concerns = FleetPages()(harbour.services, Asked())().values["fleet.concerns"]
    assert isinstance(concerns, list)
    told = {each["subject"]: each["sentence"] for each in concerns}
    assert told[f"proposal {name}"].startswith("by admin waits for others to sign root.json")
    page = harbour.client.get("/releases").text
    assert f"longshore keys sign {name}" in page
    assert "root: 1 of 1 → 2 of 2 must sign" in page
    holders.plane.services.trust.take(holders.with_bo("root", holders.root, holders.bo))
    assert "root.json" in harbour.client.get("/releases").text
