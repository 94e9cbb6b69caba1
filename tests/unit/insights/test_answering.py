"""Why a camera that gives pictures shows nothing, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.insights.answering import Answering, Objective, by_camera
from controlplane.insights.domain import Latencies, Sums, Window, parts
from protos.outcomes import Outcome, Stage

OBJECTIVE = Objective("people-watch", "people 1.0.0", 250)


def answers(counts: dict[Outcome, int], *, frame_ms: float = 0.0, answered: int = 0) -> Answering:
    """Of `answered` frames that took `frame_ms` each in the engine."""
    box = Latencies((answered,), answered * frame_ms / 1000)
    stages: dict[str, float] = {Stage.INFER: answered * frame_ms / 1000}
    return Answering(
        "mine",
        "south-quay",
        OBJECTIVE,
        Sums({str(each): frames for each, frames in counts.items()}, box, stages=stages),
    )


def test_a_model_slower_than_its_deadline_is_named_with_its_time_and_a_deadline_that_fits() -> None:
    slow = answers({Outcome.SHED: 500, Outcome.EXPIRED: 100, Outcome.OK_LOCAL: 0}, frame_ms=410, answered=10)
    assert slow.trouble == (
        "people-watch is too slow here for its deadline of 250 ms: 100 % of the frames are given up, one takes 410 ms "
        "on the box; give the camera a rate of 1 and the deployment a deadline of 1250ms, or take a smaller or int8 "
        "model"
    )


def test_what_is_advised_cures_or_is_not_advised_again() -> None:
    """At 986 ms a frame and 15 frames a second only a lower rate helps, once the deadline is long enough."""
    slow = answers({Outcome.SHED: 840, Outcome.OK_LOCAL: 60}, frame_ms=986, answered=60)
    assert "give the camera a rate of 0.5 and the deployment a deadline of 3000ms" in slow.trouble
    followed = replace(slow, objective=replace(OBJECTIVE, deadline_ms=3000))
    assert "the box has too much to do: give the camera a rate of 0.5, let the cloud help" in followed.trouble
    assert "a deadline of 3000ms" not in followed.trouble.replace("the deadline of 3000 ms", "")


def test_a_rate_that_the_camera_keeps_already_is_not_advised() -> None:
    """At two frames a second: one of 70 ms waits for others, one of 200 ms for a longer deadline."""
    crowded = answers({Outcome.SHED: 60, Outcome.OK_LOCAL: 60}, frame_ms=70, answered=60)
    assert "give its cameras a lower rate, let the cloud help" in crowded.trouble
    short = answers({Outcome.SHED: 60, Outcome.OK_LOCAL: 60}, frame_ms=200, answered=60)
    assert "give the deployment a deadline of 600ms, or take" in short.trouble


def test_where_nothing_came_back_at_all_no_time_is_made_up() -> None:
    told = answers({Outcome.SHED: 50}).trouble
    assert "the box answered none" in told
    assert "give the camera a lower rate and the deployment a longer deadline ('longshore try' measures both)" in told


def test_frames_that_fit_one_by_one_but_not_together_do_not_ask_for_a_deadline_they_have() -> None:
    told = answers({Outcome.SHED: 30, Outcome.OK_LOCAL: 30}, frame_ms=70, answered=30).trouble
    assert "50 % of the frames" in told
    assert "one takes 70 ms" in told
    assert "too much to do" in told
    assert "and the deployment a deadline" not in told


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.SUPERSEDED, "cannot keep up"),
        (Outcome.CLOUD_LATE, "how busy the cloud node is and how its uplink fares"),
        (Outcome.ERROR, "longshore logs"),
    ],
)
def test_what_most_frames_came_to_decides_what_is_said(outcome: Outcome, said: str) -> None:
    assert said in answers({outcome: 40, Outcome.SHED: 10, Outcome.OK_LOCAL: 10}).trouble


@pytest.mark.parametrize(
    "counts",
    [{}, {Outcome.SHED: 9}, {Outcome.OK_LOCAL: 90, Outcome.SHED: 10}, {Outcome.STALE_TRACK: 590, Outcome.OK_LOCAL: 10}],
)
def test_little_lost_or_little_seen_is_no_trouble(counts: dict[Outcome, int]) -> None:
    assert answers(counts).trouble == ""


def test_a_quiet_camera_is_late_only_if_the_frames_that_were_looked_at_are() -> None:
    told = answers({Outcome.STALE_TRACK: 500, Outcome.OK_LOCAL: 40, Outcome.SHED: 60}).trouble
    assert "60 % of the frames are given up" in told


def test_each_deployment_of_a_camera_is_judged_by_itself_and_gone_ones_are_not_told() -> None:
    known = [
        {
            "metadata": {"name": name},
            "spec": {"model": name, "version": "1.0.0", "objective": {"deadline": deadline}},
        }
        for name, deadline in (("boats", "250ms"), ("people", "1500ms"))
    ]
    none = Latencies()
    windows = [
        Window(0, 2_000, {Outcome.OK_LOCAL: 20}, "quay-1", "gate", "boats", none, none, 0),
        Window(0, 2_000, {Outcome.SHED: 20}, "quay-1", "gate", "people", none, none, 0),
        Window(2_000, 4_000, {Outcome.OK_LOCAL: 20}, "quay-1", "gate", "boats", none, none, 0),
        Window(0, 2_000, {Outcome.OK_LOCAL: 20}, "quay-1", "gate", "deleted", none, none, 0),
    ]
    found = by_camera(parts(windows), known)["gate"]
    assert [(each.objective.release, each.objective.deadline_ms, each.sums.due) for each in found] == [
        ("boats 1.0.0", 250, 40),
        ("people 1.0.0", 1500, 20),
    ]
    assert [bool(each.trouble) for each in found] == [False, True]
