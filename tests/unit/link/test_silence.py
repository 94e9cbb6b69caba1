"""Whether a Sync may be left out: pure, by what was told last and what would be told now."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.link import silence
from protos import fleet_pb2 as wire
from protos.fleet_pb2 import SyncRequest

Change = Callable[[SyncRequest], object]


def report() -> SyncRequest:
    """Of a box at rest, whose beats arrive."""
    return SyncRequest(
        boot_id="boot",
        observed_generation=3,
        clock_unix_ms=1_000,
        silent_seconds=280,
        inventory=wire.Inventory(disk_free_bytes=100_000),
        deployments=[
            wire.DeploymentReport(
                name="watch",
                state="IDLE",
                active_digest="a",
                target_digest="a",
                cost=wire.CallCost(frame_seconds=0.02, call_seconds=0.01),
                decision=wire.DecisionReport(frames=50, local=1.0, load=0.5, prices={"bits": 0.1}, rung="cpu"),
            )
        ],
        cameras=[
            wire.CameraReport(
                name="gate", state="running", frames_per_second=5.0, last_frame_unix_ms=1_000, lowered_rate=4.0
            )
        ],
    )


def changed(*changes: Change) -> SyncRequest:
    made = report()
    for change in changes:
        change(made)
    return made


WAVERS: dict[str, Change] = {
    "time passes": lambda told: setattr(told, "clock_unix_ms", 99_000),
    "a little more of the disk is free": lambda told: setattr(told.inventory, "disk_free_bytes", 115_000),
    "another frame came": lambda told: setattr(told.cameras[0], "last_frame_unix_ms", 99_000),
    "frames come a little slower": lambda told: setattr(told.cameras[0], "frames_per_second", 4.6),
    "a lowered camera gives a little more": lambda told: setattr(told.cameras[0], "lowered_rate", 4.2),
    "other frames go up": lambda told: setattr(told.deployments[0].decision, "cloud", 0.4),
    "a Mbit is dearer": lambda told: told.deployments[0].decision.prices.update(bits=0.7),
    "why is told in other words": lambda told: setattr(told.deployments[0].decision, "why", "the box is slow"),
    "a call costs a little more": lambda told: setattr(told.deployments[0].cost, "frame_seconds", 0.021),
}
NEWS: dict[str, Change] = {
    "the agent started again": lambda told: setattr(told, "boot_id", "another"),
    "another generation is acted on": lambda told: setattr(told, "observed_generation", 4),
    "something is wrong": lambda told: told.problems.add(code="disk-full"),
    "a camera broke": lambda told: setattr(told.cameras[0], "state", "broken"),
    "a camera came": lambda told: told.cameras.add(name="yard"),
    "frames come at half the rate": lambda told: setattr(told.cameras[0], "frames_per_second", 2.5),
    "overload lowers a camera further": lambda told: setattr(told.cameras[0], "lowered_rate", 3.0),
    "it is on another rung": lambda told: setattr(told.deployments[0].decision, "rung", "cloud"),
    "a call costs twice": lambda told: setattr(told.deployments[0].cost, "call_seconds", 0.02),
    "the disk fills": lambda told: setattr(told.inventory, "disk_free_bytes", 75_000),
    "metadata was proven": lambda told: setattr(told.trust, "timestamp_version", 7),
    "beats stopped arriving": lambda told: setattr(told, "silent_seconds", 0),
}
UNDER_WAY: dict[str, Change] = {
    "a release is pulled": lambda told: setattr(told.deployments[0], "state", "PULLING"),
    "what is wanted does not answer": lambda told: setattr(told.deployments[0], "target_digest", "b"),
    "a shadow is compared": lambda told: setattr(told.deployments[0].shadow, "digest", "c"),
}


@pytest.mark.parametrize("change", WAVERS.values(), ids=WAVERS.keys())
def test_what_wavers_is_not_worth_a_sync(change: Change) -> None:
    assert silence.may_stay_silent(report(), changed(change))


@pytest.mark.parametrize("change", NEWS.values(), ids=NEWS.keys())
def test_news_are_told(change: Change) -> None:
    assert not silence.may_stay_silent(report(), changed(change))


@pytest.mark.parametrize("change", UNDER_WAY.values(), ids=UNDER_WAY.keys())
def test_whatever_is_under_way_needs_answers_though_it_is_no_news(change: Change) -> None:
    assert not silence.may_stay_silent(changed(change), changed(change))


def test_a_refused_release_is_at_rest() -> None:
    def refused(told: SyncRequest) -> None:
        told.deployments[0].state, told.deployments[0].target_digest = "FAILED", "b"

    assert silence.may_stay_silent(changed(refused), changed(refused))


def test_a_box_that_has_not_said_so_may_not_be_silent() -> None:
    before = changed(lambda told: setattr(told, "silent_seconds", 0))
    assert not silence.may_stay_silent(before, report())


def test_with_cameras_figures_are_told_once_a_minute() -> None:
    assert silence.longest(report(), 86_400.0) == 60.0
    assert silence.longest(report(), 30.0) == 30.0
    assert silence.longest(SyncRequest(), 86_400.0) == 86_400.0
