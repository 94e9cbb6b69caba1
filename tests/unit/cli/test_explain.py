"""`longshore explain`: every field that can be written has a meaning, and its default is the real one; and frames."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from controlplane.cli import explaining, kinds
from controlplane.cli.commands import explain
from controlplane.fleet import specs
from controlplane.fleet.accounts import ActionScore, FrameAccount, FrameAccounts, FrameWish
from controlplane.fleet.looking import Looking
from controlplane.fleet.reports import CameraReport, Report
from controlplane.web import create_app
from protos.ids import CameraName, NodeId
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane

WRITABLE = {
    "Node": specs.node_document(specs.node_spec({})),
    "Camera": specs.camera_document(specs.camera_spec({"node": "n", "source": "synthetic://harbour"})),
    "Deployment": specs.deployment_document(specs.deployment_spec({"model": "m", "version": "1"})),
}


@pytest.fixture
def openapi(house: SimControlPlane) -> dict[str, Any]:
    document: dict[str, Any] = create_app(house.services).openapi()
    return document


def leaves(openapi: dict[str, Any], schema: Any, path: str) -> Iterator[tuple[str, explaining.Field, Any]]:
    for field, inner in explaining.fields_of(openapi, schema):
        yield f"{path}.{field.name}", field, inner
        yield from leaves(openapi, inner, f"{path}.{field.name}")


@pytest.mark.parametrize("kind", WRITABLE)
def test_every_field_of_a_spec_says_what_it_means(openapi: dict[str, Any], kind: str) -> None:
    found = explaining.found(openapi, kinds.named(kind), "spec")
    silent = [path for path, field, _ in leaves(openapi, found, "spec") if not field.told and "Expressions" not in path]
    assert silent == []


@pytest.mark.parametrize("kind", WRITABLE)
def test_the_fields_are_those_that_are_taken_and_their_defaults_the_real_ones(
    openapi: dict[str, Any], kind: str
) -> None:
    def compare(schema: Any, real: Any) -> None:
        told = {field.name: inner for field, inner in explaining.fields_of(openapi, schema)}
        assert set(told) >= set(real)
        for name, value in real.items():
            if isinstance(value, dict) and value:
                compare(told[name], value)
            elif "default" in told[name] and not isinstance(value, dict):
                assert told[name]["default"] == value, name

    compare(explaining.found(openapi, kinds.named(kind), "spec"), WRITABLE[kind])


def test_every_kind_can_be_explained(longshore: Run) -> None:
    for kind in kinds.KINDS:
        told = longshore("explain", kind.plural)
        assert (told.code, told.out.splitlines()[0]) == (0, f"{kind.name}  <object>")


def test_a_field_is_told_with_type_default_and_bounds(longshore: Run) -> None:
    told = longshore("explain", "deployment.spec.offload").out
    assert "jpegQuality  <integer>\n    of the pictures that it sends; at least 1; at most 100; default 80" in told


def test_all_fields_below_are_shown_on_wish(longshore: Run) -> None:
    told = longshore("explain", "camera", "--recursive").out
    assert "    source  <string>  needed" in told
    assert "conditions  <list of object>" in told


def test_a_field_that_is_none_is_answered_with_the_nearest(longshore: Run) -> None:
    refused = longshore("explain", "camera.spec.rat")
    assert (refused.code, "did you mean rate?" in refused.err) == (1, True)
    assert "holds no fields" in longshore("explain", "camera.spec.rate.x").err


# ---- frames ----

QUAY, GATE = NodeId("quay-1"), CameraName("gate")
ACCOUNT = FrameAccount(
    deployment="watch",
    seq=17,
    captured_unix_ms=1_795_000_000_500,
    chosen="cloud",
    why="It was sent to the cloud: worth 0.730, 97% likely in time; the box: worth 0.040 less.",
    scores=(
        ActionScore("local", 0.48, 0.8, 0.0, 0.48, "worth 0.040 less"),
        ActionScore("cloud", 0.73, 0.97, 0.21, 0.52, ""),
    ),
    features={"slack_seconds": 0.2371},
    outcome="ok_cloud",
    latency_ms=124.2,
    ran_on="cloud-1",
    uplink_bytes=13_000,
)


@pytest.fixture
def gate(longshore: Run, house: SimControlPlane, quay: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A box with one camera that runs, and a command that waits for nothing in vain."""
    house.services.fleet.apply_camera("gate", {"spec": {"node": quay, "source": "synthetic://harbour"}})
    house.services.boxes.sync(QUAY, Report(cameras=(CameraReport("gate", "running"),)))
    monkeypatch.setattr(explain, "sleep", lambda _: None)
    return longshore


@contextmanager
def answering(looking: Looking, *accounts: FrameAccount, failure: str = "") -> Iterator[list[FrameWish]]:
    """A box that answers one question about a frame; the list says which."""
    met: list[FrameWish] = []

    def answer() -> None:
        while not (wishes := looking.frame_wishes({GATE})):
            threading.Event().wait(0.001)
        met.extend(wishes)
        looking.put_accounts(FrameAccounts(wishes[0].number, GATE, accounts, failure))

    box = threading.Thread(target=answer, daemon=True)
    box.start()
    yield met
    box.join()


def test_a_frame_is_explained_by_what_was_weighed_and_one_sentence(gate: Run, house: SimControlPlane) -> None:
    with answering(house.services.looking, ACCOUNT) as met:
        shown = gate("explain", "frame", "quay-1/gate#17")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0].startswith("quay-1/gate#17 for watch, captured ")
    assert lines[0].endswith(": in the cloud by cloud-1 after 124 ms, 13.0 kB sent")
    assert [" ".join(line.split()) for line in lines[2:5]] == [
        "ACTION WORTH ON TIME PRICE SCORE WHY NOT",
        "local 0.480 80% 0.000 0.480 worth 0.040 less",
        "cloud 0.730 97% 0.210 0.520 -",
    ]
    assert lines[6:] == [ACCOUNT.why, "It met slack_seconds 0.2371"]
    assert [(wish.seq, wish.deployment) for wish in met] == [(17, "")]


def test_the_newest_frame_needs_no_number_and_no_box(gate: Run, house: SimControlPlane) -> None:
    here = replace(ACCOUNT, deployment="count", chosen="local", ran_on="local", outcome="ok_local", scores=())
    twice = (ACCOUNT, replace(here, size="small", why_size="no time for what comes"))
    with answering(house.services.looking, *twice) as met:
        shown = gate("explain", "frame", "gate", "--deployment", "watch")
    assert [line.split(",")[0] for line in shown.out.splitlines() if "captured" in line] == [
        "quay-1/gate#17 for watch",
        "quay-1/gate#17 for count",
    ]
    assert "It was run in the size small, as in a larger one: no time for what comes.\n" in shown.out
    assert [(wish.seq, wish.deployment) for wish in met] == [(0, "watch")]


ONE_LARGER = ", as in a larger one: no time for what comes"


@pytest.mark.parametrize(
    ("account", "told"),
    [
        (
            replace(ACCOUNT, size="small", why_size="no time for what comes"),
            f"It was also started on the box, in the size small{ONE_LARGER}; the cloud was first.",
        ),
        (
            replace(ACCOUNT, size="small", features={"confidence": 0.4}),
            "It was also run on the box, in the size small; the cloud's answer was waited for, and told.",
        ),
        (
            replace(ACCOUNT, size="small", ran_on="local", outcome="ok_hedge", features={"confidence": 0.4}),
            "It was also run on the box, in the size small.",
        ),
        (
            replace(ACCOUNT, chosen="cascade", size="small", why_size="no time for what comes"),
            f"It was run in the size small{ONE_LARGER}.",
        ),
    ],
)
def test_a_frame_that_went_up_says_what_became_of_its_copy_on_the_box(
    gate: Run, house: SimControlPlane, account: FrameAccount, told: str
) -> None:
    with answering(house.services.looking, account):
        shown = gate("explain", "frame", "gate")
    assert [line for line in shown.out.splitlines() if " in the size " in line] == [told]


def test_a_frame_that_the_box_never_started_tells_no_size(gate: Run, house: SimControlPlane) -> None:
    with answering(house.services.looking, ACCOUNT):
        assert " in the size " not in gate("explain", "frame", "gate").out


def test_a_frame_in_json_is_the_answer_as_it_came(gate: Run, house: SimControlPlane) -> None:
    with answering(house.services.looking, ACCOUNT):
        told = json.loads(gate("explain", "frame", "gate#17", "-o", "json").out)
    assert (told["node"], told["accounts"][0]["scores"][1]["onTime"]) == ("quay-1", 0.97)


def test_a_frame_that_is_not_known_any_more_is_one_sentence(gate: Run, house: SimControlPlane) -> None:
    with answering(house.services.looking, failure="frame 17 of gate is not known any more; ask for another"):
        shown = gate("explain", "frame", "quay-1/gate#17")
    assert (shown.code, shown.err) == (4, "error: frame 17 of gate is not known any more; ask for another\n")
    elsewhere = gate("explain", "frame", "quay-2/gate#17")
    assert (elsewhere.code, elsewhere.err) == (
        4,
        "error: camera gate is on quay-1, not on quay-2; ask for quay-1/gate\n",
    )


def test_a_box_that_does_not_answer_is_not_waited_for_without_end(gate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "_WAIT", 0.01)
    shown = gate("explain", "frame", "gate")
    assert (shown.code, "'longshore describe node quay-1' says how it is" in shown.err) == (3, True)


@pytest.mark.parametrize("name", ["quay-1/gate#", "a/b/c", "#7", "gate#-1", ""])
def test_what_names_no_frame_is_refused_with_what_would(longshore: Run, name: str) -> None:
    refused = longshore("explain", "frame", name)
    assert (refused.code, "NODE/CAMERA#NUMBER" in refused.err) == (1, True)


def test_a_kind_takes_no_frame(longshore: Run) -> None:
    assert longshore("explain", "camera", "quay-1/gate").code == 2
