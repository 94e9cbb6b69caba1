"""What may stand in a spec, and in which words everything else is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.fleet import selectors, specs
from controlplane.fleet.downloads import Download, Window
from controlplane.fleet.quantities import Money
from controlplane.fleet.specs import CameraSpec, DeploymentSpec, NodeSpec, OffloadSpec, ShadowSpec
from controlplane.fleet.terms import Costs, Terms
from controlplane.fleet.watching import Motion
from controlplane.fleet.zones import Line, Zone
from protos import pace
from protos.errors import Rejected
from protos.ids import CameraName, ModelName, NodeId, Version


def test_an_empty_node_spec_means_no_switch_is_on() -> None:
    assert specs.node_spec({}) == specs.node_spec(None) == NodeSpec(paused=False, slow_down_ms=0)


@given(st.booleans(), st.integers(0, specs.MAX_SLOW_DOWN_MS))
def test_a_node_spec_survives_being_written_and_read(paused: bool, slow_down_ms: int) -> None:
    spec = NodeSpec(paused, slow_down_ms)
    assert specs.node_spec(specs.node_document(spec)) == spec


def test_a_camera_is_due_ten_times_a_second_by_default() -> None:
    spec = specs.camera_spec({"node": "quay-1", "source": "rtsp://cam/live"})
    assert spec == CameraSpec(NodeId("quay-1"), "rtsp://cam/live", 10.0)


def test_a_camera_spec_shows_its_credentials_nowhere() -> None:
    spec = specs.camera_spec({"node": "quay-1", "source": "rtsp://user:hunter2@cam/live"})
    assert "hunter2" not in repr(spec) + str(specs.camera_document(spec))
    assert spec.source == "rtsp://user:hunter2@cam/live"


AMOUNTS = st.integers(1, 10**12).map(lambda millionths: millionths / 10**6)
EUROS = AMOUNTS.map(lambda amount: Money(amount, "EUR"))
TERMS = st.builds(
    Terms,
    values=st.sampled_from([(), (("boat", 5.0), ("truck", 0.25))]),
    camera_values=st.sampled_from([(), ((CameraName("gate"), 2.0),)]),
    per_day=EUROS,
    watts=st.none() | AMOUNTS,
    grams_per_hour=st.none() | AMOUNTS,
    costs=st.builds(Costs, EUROS, EUROS | st.just(Money(0.0, "EUR")), st.none() | AMOUNTS),
    floor_rate=st.floats(0, 60),
    safety=st.booleans(),
    stays=st.sampled_from([(), (CameraName("berth"), CameraName("gate"))]),
) | st.sampled_from([Terms(), Terms(all_stay=True), Terms(watts=15.0), Terms(per_day=Money(2.5, "USD"))])


@given(
    st.builds(
        DeploymentSpec,
        model=st.just(ModelName("harbour")),
        version=st.just(Version("1.0.0+b1")),
        node_selector=st.sampled_from([selectors.EVERYTHING, selectors.parse("site=quay,!old")]),
        camera_selector=st.sampled_from([selectors.EVERYTHING, selectors.parse("view in (gate,berth)")]),
        cloud_selector=st.just(selectors.parse("role=cloud")),
        deadline_ms=st.integers(1, pace.MAX_DEADLINE_MS),
        latency_budget_ms=st.integers(0, pace.MAX_DEADLINE_MS),
        offload=st.builds(OffloadSpec, st.booleans(), st.integers(0, 10**9), st.integers(1, 100)),
        min_score=st.floats(0, 1),
        detections_per_second=st.floats(0, 60),
        classes=st.sampled_from([(), ("boat",), ("truck", "boat")]),
        shadow=st.sampled_from([ShadowSpec(), ShadowSpec((ModelName("harbour"), Version("1.1.0+b1")), 0.25)]),
        download=st.builds(
            Download,
            st.sampled_from([0, 8_000, 2_500_000]),
            st.sampled_from([None, Window(1320, 300), Window(0, 1439, "Europe/Berlin")]),
            st.sampled_from([0, 600_000, 90_500]),
        ),
        terms=TERMS,
    )
)
def test_a_deployment_spec_survives_being_written_and_read(spec: DeploymentSpec) -> None:
    assert specs.deployment_spec(specs.deployment_document(spec)) == spec


def test_a_deployment_needs_model_and_version_and_nothing_else() -> None:
    spec = specs.deployment_spec({"model": "harbour", "version": "1.0.0"})
    assert (spec.deadline_ms, spec.min_score, spec.detections_per_second) == (250, 0.3, 2.0)
    assert spec.offload == OffloadSpec(enabled=True, uplink_bits_per_second=4_000_000, jpeg_quality=80)
    assert spec.node_selector == spec.camera_selector == spec.cloud_selector == selectors.EVERYTHING


GOOD_CAMERA = {"node": "quay-1", "source": "rtsp://cam/live"}
GOOD_DEPLOYMENT = {"model": "harbour", "version": "1.0.0"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("rate: 10", "spec must be an object"),
        ({}, "spec.node is needed"),
        ({"node": "quay-1"}, "spec.source is needed"),
        ({**GOOD_CAMERA, "node": "Quay 1"}, "node id 'Quay 1' must be"),
        ({**GOOD_CAMERA, "node": 1}, "spec.node must be a string"),
        ({**GOOD_CAMERA, "rate": 0}, "spec.rate must be more than 0"),
        ({**GOOD_CAMERA, "rate": 60.5}, "spec.rate must be a number from 0 to 60"),
        ({**GOOD_CAMERA, "rate": "10"}, "spec.rate must be a number"),
        ({**GOOD_CAMERA, "rate": True}, "spec.rate must be a number"),
        ({**GOOD_CAMERA, "rate": float("nan")}, "spec.rate must be a number"),
        (
            {**GOOD_CAMERA, "fps": 10},
            "spec.fps is no field here; there are lines, masks, motion, node, rate, source, zones",
        ),
        ({"node": "quay-1", "sorce": "rtsp://cam/live"}, r"spec.sorce is no field here; did you mean source\?$"),
        ({"node": "quay-1", "url": "rtsp://cam/live"}, "spec.url is no field here; there are lines, .*, source"),
        ({"node": None, "source": "rtsp://cam/live"}, "spec.node is needed"),
    ],
)
def test_a_bad_camera_spec_is_refused_by_field(spec: object, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        specs.camera_spec(spec)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": None}, "spec.version is needed"),
        ({"version": "latest/now"}, "version 'latest/now' must be"),
        ({"version": 1.0}, "spec.version must be a string; put quotes round 1.0"),
        ({"objective": {"deadline": 250}}, 'spec.objective.deadline must be a duration such as "250ms"'),
        ({"objective": {"deadline": "0ms"}}, "spec.objective.deadline must be from 1ms to 60s"),
        ({"objective": {"latencyBudget": "0ms"}}, "latencyBudget must be from 1ms to 60s; none sets no limit"),
        ({"objective": {"latencyBudget": "1.5ms"}}, "latencyBudget must be whole milliseconds, not '1.5ms'; none sets"),
        ({"objective": {"latencyBudget": 60}}, 'spec.objective.latencyBudget must be a duration such as "250ms"'),
        ({"objective": {"p99": "1s"}}, "spec.objective.p99 is no field here; there are deadline, latencyBudget"),
        ({"offload": {"uplink": 4}}, "spec.offload.uplink must be a rate"),
        ({"offload": {"jpegQuality": 80.5}}, "spec.offload.jpegQuality must be a whole number from 1 to 100"),
        ({"offload": {"enabled": "yes"}}, "spec.offload.enabled must be true or false"),
        ({"offload": []}, "spec.offload must be an object"),
        ({"minScore": 1.5}, "spec.minScore must be a number from 0 to 1"),
        ({"shadow": "harbour@1.1.0"}, "spec.shadow must be an object"),
        ({"shadow": {"release": "harbour"}}, "spec.shadow.release 'harbour' must read NAME@VERSION"),
        ({"shadow": {"release": "harbour@1/2"}}, "version '1/2' must be"),
        ({"shadow": {"release": "harbour@1", "share": 0}}, "spec.shadow.share must be more than 0 and at most 1"),
        ({"download": {"rate": 2}}, "spec.download.rate must be a rate"),
        ({"download": {"rate": "0bit/s"}}, "spec.download.rate must be at least 8kbit/s, or none for no cap"),
        ({"download": {"window": "22-5"}}, 'spec.download.window must read "22:00-05:00"'),
        ({"download": {"window": "22:00-24:00"}}, 'spec.download.window must read "22:00-05:00"'),
        ({"download": {"window": "22:00-05:00  UTC"}}, 'spec.download.window must read "22:00-05:00"'),
        ({"download": {"window": 1320}}, "spec.download.window must be a string"),
        ({"download": {"window": "05:00-05:00"}}, "spec.download.window closes when it opens; write always"),
        ({"download": {"window": "22:00-05:00 Mars/Base"}}, "spec.download.window: no time zone 'Mars/Base' is known"),
        ({"download": {"window": "22:00-05:00 ../../etc/passwd"}}, "no time zone '../../etc/passwd' is known"),
        ({"download": {"window": "22:00-05:00 /etc/passwd"}}, "no time zone '/etc/passwd' is known"),
        (
            {"download": {"window": "22:00-23:00", "jitter": "1h"}},
            "spec.download.jitter must be shorter than the window",
        ),
        ({"download": {"jitter": "25h"}}, "spec.download.jitter must be from 0s to 86400s"),
        ({"shadow": {"share": 2}}, "spec.shadow.share must be a number from 0 to 1"),
        ({"nodeSelector": "site=quay"}, "spec.nodeSelector must be an object"),
        ({"terms": {"values": ["boat"]}}, r"spec.terms.values must give labels their value, such as {boat: 5}"),
        ({"terms": {"values": {True: 5}}}, "spec.terms.values must give labels their value"),
        ({"terms": {"values": {"boat": -1}}}, "spec.terms.values.boat must be a number from 0 to 1000"),
        ({"terms": {"values": {"boat": float("nan")}}}, "spec.terms.values.boat must be a number from 0 to 1000"),
        (
            {"terms": {"values": dict.fromkeys(map(str, range(257)), 1)}},
            "spec.terms.values names 257, more than the 256",
        ),
        ({"terms": {"cameraValues": {"gate": "2"}}}, "spec.terms.cameraValues.gate must be a number from 0 to 1000"),
        ({"terms": {"cameraValues": {"The Gate": 2}}}, "camera name 'The Gate'"),
        ({"terms": {"money": 2.5}}, 'spec.terms.money must be an amount in a currency such as "2.50 EUR/day"'),
        ({"terms": {"money": "-2 EUR/day"}}, "spec.terms.money must be an amount in a currency"),
        ({"terms": {"money": "2 EUR/h"}}, "spec.terms.money must be an amount in a currency"),
        ({"terms": {"money": "2 euros/day"}}, "spec.terms.money must be an amount in a currency"),
        ({"terms": {"money": "0 USD/day"}}, "spec.terms.money must be more than 0; none sets no limit"),
        (
            {"terms": {"money": "2 EUR/day"}},
            "spec.terms.costs.data is assumed in USD and other money here in EUR; no rate of exchange is known",
        ),
        (
            {"terms": {"money": "2 EUR/day", "costs": {"data": "0.1 EUR/GB", "cloud": "0.1 CHF/s"}}},
            "spec.terms.costs.cloud is in CHF and other money here in EUR",
        ),
        ({"terms": {"costs": {"data": "0.1 EUR/s"}}}, 'spec.terms.costs.data must be .* such as "2.50 EUR/GB"'),
        ({"terms": {"costs": {"grid": "380 g"}}}, "spec.terms.costs.grid must be grams a kilowatt-hour"),
        ({"terms": {"costs": {"power": "1 g/kWh"}}}, "spec.terms.costs.power is no field here; there are cloud, data"),
        ({"terms": {"power": 15}}, 'spec.terms.power must be a power such as "15 W", not 15'),
        ({"terms": {"power": "15 hp"}}, "spec.terms.power must be a power"),
        ({"terms": {"power": "-15 W"}}, "spec.terms.power must be a power"),
        ({"terms": {"power": "0 W"}}, "spec.terms.power must be more than 0; none sets no limit"),
        ({"terms": {"carbon": "200 g"}}, 'spec.terms.carbon must be grams an hour such as "200 g/h"'),
        ({"terms": {"floorRate": -1}}, "spec.terms.floorRate must be a number from 0 to 60"),
        ({"terms": {"floorRate": 61}}, "spec.terms.floorRate must be a number from 0 to 60"),
        ({"terms": {"safety": "yes"}}, "spec.terms.safety must be true or false"),
        ({"terms": {"stays": "gate"}}, r"spec.terms.stays must be a list of cameras, such as \[gate, berth\], or all"),
        ({"terms": {"stays": ["No Name"]}}, "camera name 'No Name'"),
        ({"terms": {"stay": "all"}}, "spec.terms.stay is no field here; did you mean stays"),
    ],
)
def test_a_bad_deployment_spec_is_refused_by_field(changes: dict[str, object], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        specs.deployment_spec({**GOOD_DEPLOYMENT, **changes})


def test_terms_are_read_in_the_units_people_write() -> None:
    told = {
        "money": "2.50EUR/day",
        "power": "1.2kW",
        "carbon": "0.2 kg/h",
        "costs": {"data": "0.09 EUR/GB", "cloud": "0 EUR/s", "grid": "380 g/kWh"},
        "stays": ["gate", "berth", "gate"],
    }
    found = specs.deployment_spec({**GOOD_DEPLOYMENT, "terms": told}).terms
    assert (found.per_day, found.watts, found.grams_per_hour) == (Money(2.5, "EUR"), 1200.0, 200.0)
    assert found.costs == Costs(Money(0.09, "EUR"), Money(0.0, "EUR"), 380.0)
    assert found.stays == ("berth", "gate")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"paused": "no"}, "spec.paused must be true or false"),
        ({"slowDown": "11s"}, "spec.slowDown must be from 0s to 10s"),
        ({"stop": True}, "spec.stop is no field here; there are paused, slowDown"),
        ({"slow": "1s"}, "spec.slow is no field here; did you mean slowDown"),
    ],
)
def test_a_bad_node_spec_is_refused_by_field(spec: object, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        specs.node_spec(spec)


TRIANGLE = [[0, 0.5], [1, 0.5], [0.5, 1]]


@pytest.mark.parametrize(
    ("zones", "said"),
    [
        ({"name": "a"}, "spec.zones must be a list"),
        ([{"name": "a", "points": TRIANGLE}] * 17, "17 zones are more than the 16 of one camera"),
        ([{"name": "a", "points": TRIANGLE}] * 2, "there are 2 zones called a; give each a name of its own"),
        ([{"points": TRIANGLE}], "spec.zones[0].name is needed"),
        ([{"nam": "a", "points": TRIANGLE}], "spec.zones[0].nam is no field here; did you mean name?"),
        ([{"name": "By the gate", "points": TRIANGLE}], "zone name 'By the gate' must be 1 to 63"),
        ([{"name": "a", "points": TRIANGLE[:2]}], "spec.zones[0].points must be 3 to 32 corners"),
        ([{"name": "a", "points": TRIANGLE * 11}], "spec.zones[0].points must be 3 to 32 corners"),
        ([{"name": "a", "points": [*TRIANGLE, [0, 1.01]]}], "spec.zones[0].points[3] must be [x, y], both from 0"),
        ([{"name": "a", "points": [*TRIANGLE, [0, float("nan")]]}], "points[3] must be [x, y]"),
        ([{"name": "a", "points": [*TRIANGLE, [True, 0]]}], "points[3] must be [x, y]"),
        ([{"name": "a", "points": [[0, 0], [0.5, 0.5], [1, 1]]}], "zone a has no area; give its corners in order"),
        ([{"name": "a", "points": TRIANGLE, "color": "red"}], "spec.zones[0].color is no field here"),
    ],
)
def test_a_zone_that_is_none_is_refused_by_its_place(zones: object, said: str) -> None:
    with pytest.raises(Rejected, match=re.escape(said)):
        specs.camera_spec({**GOOD_CAMERA, "zones": zones})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"masks": [{"name": "a", "points": TRIANGLE}] * 17}, "17 masks are more than the 16 of one camera"),
        ({"masks": [{"name": "a", "points": TRIANGLE}] * 2}, "there are 2 masks called a"),
        ({"masks": [{"name": "a", "points": [[0, 0], [0.5, 0.5], [1, 1]]}]}, "mask a has no area"),
        ({"masks": [{"name": "a", "points": TRIANGLE, "dwellSeconds": 3}]}, "masks[0].dwellSeconds is no field here"),
        ({"masks": [{"name": "A b", "points": TRIANGLE}]}, "mask name 'A b' must be 1 to 63"),
        ({"motion": True}, "spec.motion must be"),
        ({"motion": {"gate": "yes"}}, "spec.motion.gate must be true or false"),
        ({"motion": {"every": "0s"}}, "spec.motion.every must be"),
        ({"motion": {"every": "61s"}}, "spec.motion.every must be"),
        ({"motion": {"sensitivity": 3}}, "spec.motion.sensitivity is no field here; there are every, gate"),
    ],
)
def test_masks_and_motion_that_are_none_are_refused_by_their_place(changes: dict[str, object], said: str) -> None:
    with pytest.raises(Rejected, match=re.escape(said)):
        specs.camera_spec({**GOOD_CAMERA, **changes})


def test_masks_and_motion_survive_being_written_and_read_and_are_off_unless_said() -> None:
    plain = specs.camera_spec(GOOD_CAMERA)
    assert (plain.masks, plain.motion) == ((), Motion(gate=False, every_ms=10_000))
    masks = [{"name": "road", "points": TRIANGLE}]
    spec = specs.camera_spec({**GOOD_CAMERA, "masks": masks, "motion": {"gate": True, "every": "5s"}})
    assert specs.camera_spec(specs.camera_document(spec)) == spec
    assert (spec.masks[0].name, spec.motion) == ("road", Motion(gate=True, every_ms=5_000))


ACROSS = [[0.5, 0.9], [0.5, 0.3]]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"name": "a"}, "spec.lines must be a list"),
        ([{"name": "a", "points": ACROSS}] * 17, "17 lines are more than the 16 of one camera"),
        ([{"name": "a", "points": ACROSS}] * 2, "there are 2 lines called a; give each a name of its own"),
        ([{"name": "By the gate", "points": ACROSS}], "line name 'By the gate' must be 1 to 63"),
        ([{"name": "a", "points": ACROSS[:1]}], "spec.lines[0].points must be two points"),
        ([{"name": "a", "points": [*ACROSS, [0, 0]]}], "spec.lines[0].points must be two points"),
        ([{"name": "a", "points": [[0.5, 0.9], [0.5, -0.3]]}], "spec.lines[0].points[1] must be [x, y], both from 0"),
        ([{"name": "a", "points": [[0.5, 0.9], [0.5, 0.89]]}], "line a is too short to be crossed; draw it across"),
        ([{"name": "a", "points": ACROSS, "direction": "up"}], "spec.lines[0].direction is no field here"),
    ],
)
def test_a_line_that_is_none_is_refused_by_its_place(lines: object, said: str) -> None:
    with pytest.raises(Rejected, match=re.escape(said)):
        specs.camera_spec({**GOOD_CAMERA, "lines": lines})


@pytest.mark.parametrize("seconds", [-1, 86_401, "30s", True])
def test_a_stay_that_is_none_is_refused(seconds: object) -> None:
    zones = [{"name": "water", "points": TRIANGLE, "dwellSeconds": seconds}]
    with pytest.raises(Rejected, match=re.escape("spec.zones[0].dwellSeconds must be a number from 0 to 86400")):
        specs.camera_spec({**GOOD_CAMERA, "zones": zones})


def test_lines_and_stays_survive_being_written_and_read() -> None:
    zones = [{"name": "water", "points": TRIANGLE, "dwellSeconds": 30}, {"name": "quay", "points": TRIANGLE}]
    spec = specs.camera_spec({**GOOD_CAMERA, "zones": zones, "lines": [{"name": "gate", "points": ACROSS}]})
    assert spec.lines == (Line("gate", ((0.5, 0.9), (0.5, 0.3))),)
    assert [zone.dwell_seconds for zone in spec.zones] == [30.0, 0.0]
    document = specs.camera_document(spec)
    assert (document["zones"], document["lines"]) == (zones, [{"name": "gate", "points": ACROSS}])
    assert specs.camera_spec(document) == spec


def test_zones_survive_being_written_and_read() -> None:
    spec = specs.camera_spec({**GOOD_CAMERA, "zones": [{"name": "water", "points": TRIANGLE}]})
    assert specs.camera_spec(specs.camera_document(spec)) == spec
    assert spec.zones == (Zone("water", ((0, 0.5), (1, 0.5), (0.5, 1))),)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("boat", "spec.classes must be a list of labels"),
        ([1], "spec.classes must be a list of labels"),
        ([""], "spec.classes must be a list of labels"),
        ([str(n) for n in range(257)], "257 labels are more than the 256 allowed"),
    ],
)
def test_classes_are_a_list_of_labels(classes: object, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        specs.deployment_spec({**GOOD_DEPLOYMENT, "classes": classes})
