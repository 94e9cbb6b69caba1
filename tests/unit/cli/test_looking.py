"""Commands that look: top, logs, get --watch."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest
import yaml

from controlplane.cli import patience
from controlplane.cli.client import Client
from controlplane.cli.commands import logs, snapshot
from controlplane.cli.contexts import Context
from controlplane.fleet.looking import LogLine, Looking, Snapshot, SnapshotWish
from controlplane.fleet.reports import CameraReport, DecisionReport, DeploymentReport, Report
from controlplane.metrics import new_registry
from controlplane.web import create_app
from protos.errors import Retryable
from protos.ids import CameraName, NodeId
from protos.regions import WHOLE, Region
from tests.sim.command import Run, Serving
from tests.sim.control_plane import SimControlPlane

QUAY, GATE = NodeId("quay-1"), CameraName("gate")


@pytest.fixture
def gate(longshore: Run, house: SimControlPlane, quay: str) -> Run:
    """A box with one camera that runs."""
    house.services.fleet.apply_camera("gate", {"spec": {"node": quay, "source": "synthetic://harbour"}})
    house.services.boxes.sync(QUAY, Report(cameras=(CameraReport("gate", "running", frames_per_second=9.9),)))
    return longshore


def test_one_look_at_top_shows_boxes_and_cameras(gate: Run) -> None:
    shown = gate("top", "--once")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0].startswith("1 of 1 boxes online   1/1 cameras running")
    assert lines[2].split()[:3] == ["NODE", "ROLE", "PHASE"]
    assert [line.split()[:4] for line in lines if line.startswith("gate")] == [["gate", "quay-1", "running", "9.9/10"]]


def test_a_camera_that_overload_has_lowered_shows_how_far_and_its_box_why(gate: Run, house: SimControlPlane) -> None:
    why = "More frames came than are answered in time, so one camera gives fewer or smaller ones: gate 5 of 10."
    told = DecisionReport(50, local=1.0, load=0.9, rung="lower_rate", rung_why=why, why="all is answered")
    lowered = CameraReport("gate", "running", frames_per_second=5.0, lowered_rate=5.0)
    house.services.boxes.sync(QUAY, Report(deployments=(DeploymentReport("watch", decision=told),), cameras=(lowered,)))
    assert "5.0/5 of 10" in gate("get", "cameras", "-o", "wide").out
    assert "5.0/5 of 10" in gate("top", "--once").out
    assert f"all is answered. {why}" in gate("describe", "node", "quay-1").out
    shown = yaml.safe_load(gate("get", "camera", "gate", "-o", "yaml").out)["status"]
    assert shown["loweredRate"] == 5.0
    assert "5 of its 10 frames a second" in shown["conditions"][0]["message"]


def test_top_shows_only_what_is_selected(gate: Run) -> None:
    assert gate("top", "--once", "-l", "site=moon").out.startswith("0 of 0 boxes online   0/0 cameras running")


@pytest.fixture(autouse=True)
def _a_box_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_QUIET_SECONDS", 0)


def test_logs_show_what_a_box_sends_because_somebody_looks_and_not_what_was_kept_of_an_earlier_look(
    gate: Run, house: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def line(words: str) -> LogLine:
        return LogLine(1_795_000_000_000, "INFO", "agent.node", words)

    sent = iter(["kept on the box 1", "kept on the box 2"])

    def look(_: object) -> None:
        for words in islice(sent, 1):
            house.services.looking.put_line(QUAY, line(words))

    house.services.looking.put_line(QUAY, line("of an earlier look"))
    monkeypatch.setattr(house.services.fleet, "look_at_node", look)
    shown = gate("logs", "quay-1", "-n", "2").out.splitlines()
    assert [each.split("agent.node: ")[1] for each in shown] == ["kept on the box 1", "kept on the box 2"]


def test_logs_of_a_box_that_never_stops_talking_come_to_an_end(
    gate: Run, house: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(100))
    monkeypatch.setattr(logs, "monotonic", lambda: next(now))
    talk = (LogLine(number, "INFO", "agent.node", "on and on") for number in count(1_795_000_000_000))
    monkeypatch.setattr(
        house.services.fleet, "look_at_node", lambda _: house.services.looking.put_line(QUAY, next(talk))
    )
    assert len(gate("logs", "quay-1").out.splitlines()) == logs._WAIT_SECONDS


def test_logs_show_the_newest_lines_of_a_box(gate: Run, house: SimControlPlane) -> None:
    for number in range(3):
        house.services.looking.put_line(QUAY, LogLine(1_795_000_000_000, "WARNING", "agent.node", f"line {number}"))
    shown = gate("logs", "quay-1", "-n", "2")
    assert [line.split(" ", 1)[1] for line in shown.out.splitlines()] == [
        "WARNING agent.node: line 1",
        "WARNING agent.node: line 2",
    ]


@contextmanager
def answering(looking: Looking, failure: str = "") -> Iterator[list[SnapshotWish]]:
    """A box that answers one wish for a snapshot; the list says which."""
    met: list[SnapshotWish] = []

    def answer() -> None:
        while not (wishes := looking.wishes({GATE})):
            threading.Event().wait(0.001)
        met.extend(wishes)
        jpeg = b"" if failure else b"\xff\xd8\xff a boat"
        looking.put_snapshot(Snapshot(wishes[0].number, GATE, 1_795_000_000_500, jpeg, failure))

    box = threading.Thread(target=answer, daemon=True)
    box.start()
    yield met
    box.join()


def test_a_snapshot_is_saved_under_the_cameras_name(
    gate: Run, house: SimControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with answering(house.services.looking) as met:
        shown = gate("snapshot", "gate")
    assert (shown.code, shown.out) == (0, "gate.jpg: gate at 2026-11-18T11:06:40.500Z, 0.0 kB\n")
    assert (tmp_path / "gate.jpg").read_bytes() == b"\xff\xd8\xff a boat"
    assert [(wish.max_side, wish.quality, wish.region) for wish in met] == [(1920, 90, WHOLE)]


def test_a_snapshot_of_a_region_goes_where_it_is_told_to(gate: Run, house: SimControlPlane, tmp_path: Path) -> None:
    target, wished = tmp_path / "boat.jpg", ("--region", "0.41,0.52,0.58,0.71", "--size", "300", "--quality", "50")
    with answering(house.services.looking) as met:
        assert gate("snapshot", "gate", *wished, "-o", str(target)).code == 0
    assert target.read_bytes() == b"\xff\xd8\xff a boat"
    assert [(wish.max_side, wish.quality, wish.region) for wish in met] == [(300, 50, Region(0.41, 0.52, 0.58, 0.71))]


def test_a_snapshot_that_cannot_be_had_says_why_and_writes_nothing(
    gate: Run, house: SimControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_TRIES", 1)
    target = tmp_path / "gate.jpg"
    with answering(house.services.looking, "the capture worker is being started again"):
        shown = gate("snapshot", "gate", "-o", str(target))
    assert (shown.code, "is being started again" in shown.err) == (3, True)
    shown = gate("snapshot", "gate", "--region", "1,1,0,0", "-o", str(target))
    assert (shown.code, "region" in shown.err) == (1, True)
    assert gate("snapshot", "nowhere").code == 4
    assert not target.exists()


def test_a_snapshot_of_a_box_that_is_offline_is_not_waited_for(offline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "sleep", lambda _: None)
    shown = offline("snapshot", "gate")
    assert (shown.code, "longshore describe camera gate" in shown.err) == (3, True)


def test_logs_of_a_box_nobody_knows_are_not_found(longshore: Run) -> None:
    assert longshore("logs", "nobody").code == 4


@pytest.fixture
def offline(gate: Run, house: SimControlPlane) -> Run:
    """The box said a line, and then nothing for a good hour."""
    house.services.looking.put_line(QUAY, LogLine(1_795_000_000_000, "INFO", "agent.node", "the last word"))
    house.clock.tick(5000)
    assert house.services.boxes.notice_silence() == [QUAY]
    return gate


def test_logs_of_a_box_that_is_offline_say_how_old_they_are(offline: Run) -> None:
    shown = offline("logs", "quay-1")
    assert shown.out.endswith("INFO    agent.node: the last word\n")
    assert re.fullmatch(r"quay-1 is offline since \S+ \S+ \(.* ago\); its lines are from before then\n", shown.err)


def test_rates_of_a_box_that_is_offline_are_not_shown_as_if_live(offline: Run) -> None:
    top = offline("top", "--once").out.splitlines()
    assert next(line.split() for line in top if line.startswith("quay-1")) == [
        "quay-1",
        "edge",
        "Offline",
        "0/1",
    ] + 8 * ["-"]
    assert next(line.split() for line in top if line.startswith("gate")) == [
        "gate",
        "quay-1",
        "unknown",
        "-/10",
    ] + 6 * ["-"]
    assert offline("get", "cameras").out.splitlines()[1].split()[:4] == ["gate", "quay-1", "unknown", "-/10"]
    node = offline("describe", "node", "quay-1").out
    assert "9.9" not in node
    assert "Cameras as last heard" in node
    assert "9.9" not in offline("describe", "camera", "gate").out
    items = json.loads(offline("top", "-o", "json").out)["items"]
    assert [item["framesPerSecond"] for item in items if item["kind"] == "CameraMetrics"] == [None]


def test_top_in_json_has_the_shape_of_every_list(gate: Run) -> None:
    document = json.loads(gate("top", "-o", "json", "-l", "site=quay").out)
    assert (document["apiVersion"], document["kind"]) == ("longshore/v1", "MetricsList")
    assert [(item["kind"], item["metadata"]["name"]) for item in document["items"]] == [("NodeMetrics", "quay-1")]
    assert yaml.safe_load(gate("top", "-o", "yaml").out)["items"][1]["framesPerSecond"] == 9.9


def test_following_outlives_a_restart_of_the_control_plane_and_gives_no_line_twice(
    house: SimControlPlane, quay: str, free_port: int
) -> None:
    """A control plane that started again counts lines anew and gets the newest ones again."""

    def say(looking: Looking, *numbers: int) -> None:
        for number in numbers:
            looking.put_line(QUAY, LogLine(1_795_000_000_000 + number, "INFO", "agent", f"line {number}"))

    def told(lines: logs._Lines) -> list[str]:
        return [line["message"] for line in lines.newer(0)]

    say(house.services.looking, 1, 2, 3)
    with Client(Context(f"http://127.0.0.1:{free_port}", house.token)) as client:
        lines = logs._Lines(client, quay)
        with Serving(create_app(house.services), free_port):
            assert told(lines) == ["line 1", "line 2", "line 3"]
        with pytest.raises(Retryable):
            told(lines)
        for numbers, new in (((2, 3, 4), ["line 4"]), ((4, 5), ["line 5"])):  # the second time nobody saw it go
            started = replace(house.services, looking=Looking(), metrics=new_registry())
            say(started.looking, *numbers)
            with Serving(create_app(started), free_port):
                assert told(lines) == new
                assert told(lines) == []


def test_following_waits_for_the_first_line(gate: Run, house: SimControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_WAIT_SECONDS", 0)
    asked: list[object] = []

    def awaited(ask: Callable[[], object], _: object) -> object:
        if asked:
            raise KeyboardInterrupt
        asked.append(ask)
        house.services.looking.put_line(QUAY, LogLine(1_795_000_000_000, "INFO", "agent.node", "at last"))
        return ask()

    monkeypatch.setattr(logs, "awaited", awaited)
    shown = gate("logs", "quay-1", "-f")
    assert (shown.code, shown.out.endswith("agent.node: at last\n")) == (130, True)


def test_what_a_box_says_gives_a_terminal_no_orders(gate: Run, house: SimControlPlane) -> None:
    house.services.looking.put_line(QUAY, LogLine(1_795_000_000_000, "INFO", "a", "red\x1b[31m\nforged"))
    report = Report(cameras=(CameraReport("gate", "stalled", reason="\x1b]0;owned\x07"),))
    house.services.boxes.sync(QUAY, report)
    assert "red\\x1b[31m\\x0aforged\n" in gate("logs", "quay-1").out
    for words in (("get", "cameras", "-o", "wide"), ("describe", "camera", "gate"), ("describe", "node", "quay-1")):
        assert "\x1b" not in gate(*words).out


def test_a_control_plane_that_is_away_is_asked_ever_more_seldom_and_spoken_of_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers: Iterator[object] = iter([*[Retryable("nobody answers")] * 7, "here"])

    def ask() -> object:
        answer = next(answers)
        if isinstance(answer, Retryable):
            raise answer
        return answer

    pauses: list[float] = []
    assert patience.awaited(ask, pauses.append) == "here"
    assert pauses == [1, 2, 4, 8, 15, 15, 15]
    assert capsys.readouterr().err.splitlines() == ["waiting: nobody answers", "the control plane answers again"]


def test_a_watch_outlives_a_restart_and_the_end_of_what_it_was_asked_for(
    run: Run, house: SimControlPlane, quay: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.services.fleet.apply_camera("gate", {"spec": {"node": quay, "source": "synthetic://harbour"}})
    monkeypatch.setenv("LONGSHORE_URL", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("LONGSHORE_TOKEN", house.token)
    with ExitStack() as running:
        running.enter_context(Serving(create_app(house.services), free_port))

        def restart() -> None:
            house.services.fleet.delete_camera("gate")
            running.enter_context(Serving(create_app(replace(house.services, metrics=new_registry())), free_port))

        steps: Iterator[Callable[[], object]] = iter([running.close, restart])

        def next_step(_: float) -> None:
            step = next(steps, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        monkeypatch.setattr("controlplane.cli.commands.get.sleep", next_step)
        shown = run("get", "camera", "gate", "-w")
    assert shown.code == 130
    assert [line.split()[:2] for line in shown.out.splitlines()[1:]] == [["gate", "quay-1"], ["gate", "deleted"]]
    assert [line.partition(":")[0] for line in shown.err.splitlines()[:2]] == [
        "waiting",
        "the control plane answers again",
    ]


def test_all_kinds_at_once_are_not_watched(longshore: Run) -> None:
    assert longshore("get", "all", "-w").code == 2


def test_a_watch_prints_again_only_what_changed(
    gate: Run, house: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: None,
            lambda: house.services.boxes.sync(QUAY, Report(cameras=(CameraReport("gate", "stalled"),))),
            lambda: house.services.fleet.delete_camera("gate"),
        ]
    )

    def next_step(_: float) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr("controlplane.cli.commands.get.sleep", next_step)
    shown = gate("get", "cameras", "--watch")
    assert shown.code == 130
    assert [line.split()[:3] for line in shown.out.splitlines()] == [
        ["NAME", "NODE", "STATE"],
        ["gate", "quay-1", "running"],
        ["gate", "quay-1", "stalled"],
        ["gate", "deleted"],
    ]


def test_a_watch_is_a_table(longshore: Run) -> None:
    refused = longshore("get", "nodes", "--watch", "-o", "json")
    assert (refused.code, "--watch prints a table" in refused.err) == (1, True)


def test_the_version_of_the_control_plane_is_asked_for(longshore: Run, url: str) -> None:
    assert longshore("version").out.splitlines()[1].endswith(f" at {url}")
