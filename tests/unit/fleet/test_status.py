"""Conditions say in a sentence what is and why not more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.fleet import status
from controlplane.fleet.objects import CLOUD, EDGE, Camera, Condition, Deployment, Fleet, Meta, Node, Releases
from controlplane.fleet.reports import CameraReport, DeploymentReport, Report, TrustReport
from controlplane.fleet.selectors import EVERYTHING, parse
from controlplane.fleet.specs import CameraSpec, DeploymentSpec, NodeSpec
from controlplane.fleet.status import Step
from controlplane.fleet.terms import Terms
from protos.ids import CameraName, DeploymentName, Digest, ModelName, NodeId, Version

NEW, OLD = "sha256:" + "1" * 64, "sha256:" + "0" * 64
RELEASES: Releases = {(ModelName("harbour"), Version("1.0.0")): Digest(NEW)}
META = Meta(uid="u", created_unix_ms=1)
WATCH = Deployment(DeploymentName("watch"), META, DeploymentSpec(ModelName("harbour"), Version("1.0.0")))
GATE = Camera(CameraName("gate"), META, CameraSpec(NodeId("quay-1"), "synthetic://gate"))


def box(name: str = "quay-1", *reports: DeploymentReport, online: bool = True, seen: int = 1_795_000_000_000) -> Node:
    report = Report(deployments=reports)
    return Node(NodeId(name), META, EDGE, NodeSpec(), online=online, last_seen_unix_ms=seen, report=report)


def told(state: str, active: str = OLD, target: str = NEW, **more: object) -> DeploymentReport:
    return DeploymentReport("watch", state, active, target, **more)  # type: ignore[arg-type]  # fields by name


def converged(*nodes: Node, deployment: Deployment = WATCH, releases: Releases = RELEASES) -> Condition:
    fleet = Fleet(nodes, (), (deployment,), releases)
    return status.deployment_conditions(deployment, status.boxes(deployment, fleet), fleet)[1]


def test_a_deployment_that_is_deleted_between_two_looks_has_no_boxes() -> None:
    """PostgreSQL shows each look what is stored by then."""
    assert status.boxes(WATCH, Fleet((box(),), (), (), RELEASES)) == []


@pytest.mark.parametrize(
    ("node", "step", "said"),
    [
        (box("b"), Step.UPDATING, "has not started to pull the release"),
        (box("b", told("PULLING", bytes_done=300_000, bytes_total=1_200_000)), Step.UPDATING, "(25 % of 1.2 MB)"),
        (box("b", told("PULLING", message="the wire broke")), Step.UPDATING, "is pulling the release: the wire broke"),
        (
            box("b", told("PULLING", message="waits for its window, which opens at 22:00 (UTC)", held=True)),
            Step.WAITING,
            "waits for its window, which opens at 22:00 (UTC)",
        ),
        (box("b", told("PULLING", held=True), online=False), Step.WAITING, "is offline"),
        (box("b", told("PULLING", target=OLD, held=True)), Step.UPDATING, "is pulling the release"),
        (box("b", told("WARMING")), Step.UPDATING, "is warming the release up"),
        (box("b", told("CONFIRMING", active=NEW)), Step.UPDATING, "before it confirms it"),
        (box("b", told("IDLE", active=NEW)), Step.UPDATED, "runs the release"),
        (box("b", told("IDLE", active=NEW), online=False), Step.UPDATED, "runs the release"),
        (box("b", told("FAILED", message="it gives NaN")), Step.FAILED, "refused the release: it gives NaN"),
        (box("b", told("IDLE", refused_digests=(NEW,))), Step.FAILED, "refused the release"),
        (box("b", told("IDLE", active=NEW, refused_digests=(OLD,))), Step.UPDATED, "runs the release"),
        (box("b", told("FAILED", target=OLD)), Step.UPDATING, "has not started"),
        (box("b", online=False), Step.WAITING, "is offline, last heard 2026-11-18 11:06:40 UTC"),
        (box("b", online=False, seen=0), Step.WAITING, "has joined and never called; start 'longshore-agent run'"),
    ],
)
def test_the_progress_of_a_box_is_said_in_words(node: Node, step: Step, said: str) -> None:
    found = status.progress(node, WATCH, Fleet((node,), (), (WATCH,), RELEASES))
    assert found.step is step
    assert said in found.message


def test_a_deployment_has_converged_when_every_selected_box_runs_it() -> None:
    condition = converged(box("a", told("IDLE", active=NEW)), box("b", told("IDLE", active=NEW)))
    assert (condition.status, condition.message) == ("True", "all of 2 boxes run harbour 1.0.0")


def test_a_deployment_names_the_box_that_holds_it_up_and_why() -> None:
    condition = converged(box("a", told("IDLE", active=NEW)), box("b", told("FAILED", message="it gives NaN")))
    assert (condition.status, condition.reason) == ("False", "Failed")
    assert condition.message == "1 of 2 boxes run harbour 1.0.0; b refused the release: it gives NaN"


def test_a_deployment_whose_boxes_wait_for_their_window_says_when_it_opens() -> None:
    waits = told("PULLING", message="waits for its window, which opens at 22:00 (UTC)", held=True)
    condition = converged(box("a", told("IDLE", active=NEW)), box("b", waits))
    assert (condition.status, condition.reason) == ("False", "Waiting")
    assert condition.message == "1 of 2 boxes run harbour 1.0.0; b waits for its window, which opens at 22:00 (UTC)"


def test_a_failure_is_named_before_a_wait() -> None:
    condition = converged(box("a"), box("b", told("FAILED")), box("c", online=False))
    assert condition.reason == "Failed"
    assert "b refused" in condition.message


def test_many_boxes_are_counted_instead_of_named() -> None:
    condition = converged(*(box(f"b{number}") for number in range(9)))
    assert condition.message.startswith("0 of 9 boxes run harbour 1.0.0; b0 has not started")
    assert condition.message.endswith("; and 6 more")


def test_a_deployment_that_selects_nothing_says_so() -> None:
    narrow = replace(WATCH, spec=replace(WATCH.spec, node_selector=parse("site=moon")))
    condition = converged(box("a"), deployment=narrow)
    assert (condition.status, condition.reason) == ("False", "NoBoxSelected")
    assert "no box matches the selectors (site=moon)" in condition.message


def test_a_deployment_without_its_release_says_how_to_get_it() -> None:
    condition = converged(box("a"), releases={})
    assert condition.reason == "ReleaseMissing"
    assert "push it with 'longshore push DIR'" in condition.message


def test_a_deployment_is_ready_when_some_release_answers_on_every_box() -> None:
    fleet = Fleet((box("a", told("PULLING")), box("b", told("PULLING", active=""))), (), (WATCH,), RELEASES)
    ready = status.deployment_conditions(WATCH, status.boxes(WATCH, fleet), fleet)[0]
    assert (ready.status, ready.message) == ("False", "no release answers on b")


def test_a_release_that_finds_no_boxes_says_why_cameras_show_nothing_of_it() -> None:
    fleet = Fleet((box("quay-1", told("IDLE", active=NEW)),), (GATE,), (WATCH,), RELEASES)
    steps = status.boxes(WATCH, fleet)
    kinds = [each.type for each in status.deployment_conditions(WATCH, steps, fleet)]
    assert kinds == ["Ready", "Converged"]
    served = replace(fleet, served_only={(WATCH.spec.model, WATCH.spec.version): "classification"})
    told_too = status.deployment_conditions(WATCH, steps, served)[-1]
    assert (told_too.type, told_too.status, told_too.reason) == ("Watching", "False", "ServedOnly")
    assert "longshore try harbour@1.0.0" in told_too.message
    blind = replace(served, cameras=())
    assert len(status.deployment_conditions(WATCH, steps, blind)) == 2, "served to applications, as was meant"


def test_a_deployment_whose_cameras_are_all_gone_says_so_and_one_without_a_choice_of_cameras_does_not() -> None:
    chosen = replace(WATCH, spec=replace(WATCH.spec, camera_selector=parse("view=gate")))
    there = replace(GATE, meta=replace(META, labels={"view": "gate"}))
    fleet = Fleet((box("quay-1", told("IDLE", active=NEW)),), (there,), (chosen,), RELEASES)
    assert [each.type for each in status.deployment_conditions(chosen, [], fleet)] == ["Ready", "Converged"]
    gone = replace(fleet, cameras=(GATE,))
    blind = status.deployment_conditions(chosen, [], gone)[-1]
    assert (blind.type, blind.status, blind.reason) == ("Watching", "False", "NoCameraSelected")
    assert "no camera of 1 box matches cameraSelector (view=gate)" in blind.message
    assert len(status.deployment_conditions(WATCH, [], gone)) == 2


@pytest.mark.parametrize(
    ("terms", "reason", "said"),
    [
        (
            Terms(stays=(CameraName("gaet"),)),
            "UnknownCamera",
            "spec.terms names gaet, which this deployment does not see",
        ),
        (Terms(camera_values=((CameraName("gaet"), 2.0),)), "UnknownCamera", "check the name"),
        (Terms(floor_rate=12.0), "FloorAboveRate", "is above the rate of gate, so overload never lowers"),
        (Terms(stays=(CameraName("gate"),), floor_rate=10.0), "", ""),
        (Terms(), "", ""),
    ],
)
def test_terms_that_miss_their_cameras_are_told(terms: Terms, reason: str, said: str) -> None:
    agreed = replace(WATCH, spec=replace(WATCH.spec, terms=terms))
    fleet = Fleet((box("quay-1", told("IDLE", active=NEW)),), (GATE,), (agreed,), RELEASES)
    found = [each for each in status.deployment_conditions(agreed, [], fleet) if each.type == "TermsFit"]
    assert [each.reason for each in found] == ([reason] if reason else [])
    assert all(said in each.message and each.status == "False" for each in found)


def test_terms_that_miss_their_cameras_in_two_ways_say_both() -> None:
    agreed = replace(WATCH, spec=replace(WATCH.spec, terms=Terms(stays=(CameraName("gaet"),), floor_rate=60.0)))
    fleet = Fleet((box("quay-1", told("IDLE", active=NEW)),), (GATE,), (agreed,), RELEASES)
    (fit,) = [each for each in status.deployment_conditions(agreed, [], fleet) if each.type == "TermsFit"]
    assert (fit.status, fit.reason) == ("False", "UnknownCamera")
    first, second = fit.message.split(". ")
    assert first == "spec.terms names gaet, which this deployment does not see; check the name"
    assert second.startswith("spec.terms.floorRate of 60 is above the rate of gate")


def test_the_step_of_a_box_tells_the_variant_that_answers() -> None:
    node = box("a", told("IDLE", active=NEW, variant="int8"))
    assert status.progress(node, WATCH, Fleet((node,), (), (WATCH,), RELEASES)).variant == "int8"


def test_a_node_has_converged_when_it_acts_on_the_newest_generation_and_runs_everything() -> None:
    done = replace(
        box("a", told("IDLE", active=NEW)),
        desired_generation=3,
        report=Report(observed_generation=3, deployments=(told("IDLE", active=NEW),)),
    )
    fleet = Fleet((done,), (), (WATCH,), RELEASES)
    assert status.node_conditions(done, fleet)[1].status == "True"
    late = replace(done, desired_generation=4)
    condition = status.node_conditions(late, fleet)[1]
    assert (condition.reason, condition.message) == ("Behind", "a acts on generation 3 of 4")


@pytest.mark.parametrize(
    ("node", "reason", "said"),
    [
        (None, "NodeUnknown", "make a token with 'longshore token create quay-1'"),
        (replace(box(), role=CLOUD), "NodeIsCloud", "runs no cameras"),
        (box(online=False), "NodeOffline", "is offline"),
        (box(), "Starting", "gate is starting: quay-1 has not said why yet"),
        (
            replace(box(), report=Report(cameras=(CameraReport("gate", "retrying", "401"),))),
            "Retrying",
            "retrying: 401",
        ),
        (
            replace(box(), report=Report(cameras=(CameraReport("gate", "running"),))),
            "Running",
            "gets pictures from gate",
        ),
    ],
)
def test_a_camera_says_why_it_shows_no_pictures(node: Node | None, reason: str, said: str) -> None:
    condition = status.camera_conditions(GATE, node)[0]
    assert condition.reason == reason
    assert said in condition.message
    assert condition.status == ("True" if reason == "Running" else "False")


def test_a_camera_that_overload_has_lowered_says_what_it_gives_of_what_was_asked_for() -> None:
    lowered = replace(box(), report=Report(cameras=(CameraReport("gate", "running", lowered_rate=5.04),)))
    ready = status.camera_conditions(GATE, lowered)[0]
    assert (ready.status, ready.message) == (
        "True",
        "quay-1 gets pictures from gate, 5.04 of its 10 frames a second: more came than were answered in time",
    )
    assert status.lowered_rate(GATE, lowered) == 5.04


@pytest.mark.parametrize("told", [0.0, 10.0, 12.0])
def test_a_camera_that_gives_all_that_its_spec_asks_for_is_not_called_lowered(told: float) -> None:
    """An agent of before 0.2 tells 0, and the spec may be changed since a report."""
    node = replace(box(), report=Report(cameras=(CameraReport("gate", "running", lowered_rate=told),)))
    assert status.lowered_rate(GATE, node) is None
    assert status.camera_conditions(GATE, node)[0].message == "quay-1 gets pictures from gate"


def test_nothing_is_known_of_the_rate_of_a_silent_box() -> None:
    report = Report(cameras=(CameraReport("gate", "running", lowered_rate=5.0),))
    assert status.lowered_rate(GATE, replace(box(online=False), report=report)) is None
    assert status.lowered_rate(GATE, None) is None


def test_a_refused_camera_spec_is_a_condition_of_its_own() -> None:
    report = Report(cameras=(CameraReport("gate", "running", refused_spec="rate 99 is more than the camera gives"),))
    ready, accepted = status.camera_conditions(GATE, replace(box(), report=report))
    assert ready.status == "True"
    assert (accepted.type, accepted.status) == ("SpecAccepted", "False")
    assert "keeps the last good one: rate 99" in accepted.message


def test_a_condition_keeps_its_moment_until_its_status_changes() -> None:
    first = status.dated([Condition("Ready", "True", "Online", "calls in", 0)], {}, 100)
    assert first[0].since_unix_ms == 100
    kept = status.transitions(first)
    later = status.dated([Condition("Ready", "True", "Other", "other words", 0)], kept, 200)
    assert later[0].since_unix_ms == 100
    changed = status.dated([Condition("Ready", "False", "Offline", "is offline", 0)], kept, 300)
    assert changed[0].since_unix_ms == 300


def test_phases_of_a_node() -> None:
    assert [status.phase(item).value for item in (box(), box(online=False), box(online=False, seen=0))] == [
        "Online",
        "Offline",
        "Joined",
    ]
    assert EVERYTHING.matches(box().labels)


TRUSTING = TrustReport(1, 7, 1_795_000_000_000, 1_795_086_400_000)
UNSIGNED = frozenset({(ModelName("harbour"), Version("1.0.0"))})


def trusting(node: Node, told: TrustReport | None, clock_unix_ms: int = 1_795_000_000_000) -> Node:
    return replace(node, report=replace(node.report, trust=told, clock_unix_ms=clock_unix_ms))


def test_a_box_that_asks_for_a_signature_waits_for_one_and_the_command_is_said() -> None:
    for node in (box("b"), box("b", told("PULLING", message="not signed"))):
        fleet = Fleet((node,), (), (WATCH,), RELEASES, unsigned=UNSIGNED)
        found = status.progress(trusting(node, TRUSTING), WATCH, fleet)
        assert found.step is Step.WAITING
        assert "run 'longshore sign harbour@1.0.0'" in found.message


def test_what_runs_unsigned_runs_on_and_an_older_agent_asks_for_nothing() -> None:
    running, older = trusting(box("b", told("IDLE", active=NEW)), TRUSTING), box("b", told("PULLING"))
    for node, step in ((running, Step.UPDATED), (older, Step.UPDATING)):
        fleet = Fleet((node,), (), (WATCH,), RELEASES, unsigned=UNSIGNED)
        assert status.progress(node, WATCH, fleet).step is step


@pytest.mark.parametrize(
    ("told_of_it", "clock", "reasons"),
    [
        (None, 0, []),
        (TrustReport(1), 0, ["Never"]),
        (TRUSTING, 1_795_000_000_000, ["Fresh"]),
        (TRUSTING, 1_795_086_400_000, ["Expired"]),
    ],
)
def test_how_fresh_the_metadata_of_a_box_is_goes_by_its_own_clock(
    told_of_it: TrustReport | None, clock: int, reasons: list[str]
) -> None:
    node = trusting(box(), told_of_it, clock)
    conditions = status.node_conditions(node, Fleet((node,), (), (), RELEASES))
    assert [each.reason for each in conditions if each.type == status.TRUST_FRESH] == reasons
