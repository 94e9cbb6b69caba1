"""Commands that look: top, logs, get --watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from controlplane.fleet.looking import LogLine
from controlplane.fleet.reports import CameraReport, Report
from protos.ids import NodeId
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane

QUAY = NodeId("quay-1")


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


def test_top_shows_only_what_is_selected(gate: Run) -> None:
    assert gate("top", "--once", "-l", "site=moon").out.startswith("0 of 0 boxes online   0/0 cameras running")


def test_logs_show_the_newest_lines_of_a_box(gate: Run, house: SimControlPlane) -> None:
    for number in range(3):
        house.services.looking.put_line(QUAY, LogLine(1_795_000_000_000, "WARNING", "agent.node", f"line {number}"))
    shown = gate("logs", "quay-1", "-n", "2")
    assert [line.split(" ", 1)[1] for line in shown.out.splitlines()] == [
        "WARNING agent.node: line 1",
        "WARNING agent.node: line 2",
    ]


def test_logs_of_a_box_nobody_knows_are_not_found(longshore: Run) -> None:
    assert longshore("logs", "nobody").code == 4


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
