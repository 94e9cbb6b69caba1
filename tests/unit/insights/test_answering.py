"""Why a camera that gives pictures shows nothing, in words."""

from __future__ import annotations

import pytest

from controlplane.insights.answering import Answering, Objective, answering, by_camera, objectives
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
    slow = answers({Outcome.SHED: 50, Outcome.EXPIRED: 10, Outcome.OK_LOCAL: 0}, frame_ms=410, answered=10)
    assert slow.trouble == (
        "people-watch is too slow here for its deadline of 250 ms: 100 % of the frames are given up, one takes 410 ms "
        "on the box; give it a longer deadline (650ms), give the camera a lower rate, or take a smaller or int8 model"
    )


def test_where_nothing_came_back_at_all_no_time_is_made_up() -> None:
    told = answers({Outcome.SHED: 50}).trouble
    assert "the box answered none" in told
    assert "a longer deadline," in told


def test_frames_that_fit_one_by_one_but_not_together_do_not_ask_for_a_deadline_they_have() -> None:
    told = answers({Outcome.SHED: 30, Outcome.OK_LOCAL: 30}, frame_ms=90, answered=30).trouble
    assert "50 % of the frames" in told
    assert "one takes 90 ms" in told
    assert "too much to do" in told
    assert "longer deadline" not in told


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.SUPERSEDED, "cannot keep up"),
        (Outcome.CLOUD_LATE, "uplink"),
        (Outcome.ERROR, "longshore logs"),
        (Outcome.STALE_TRACK, "tracker alone"),
    ],
)
def test_what_most_frames_came_to_decides_what_is_said(outcome: Outcome, said: str) -> None:
    assert said in answers({outcome: 40, Outcome.SHED: 10, Outcome.OK_LOCAL: 10}).trouble


@pytest.mark.parametrize("counts", [{}, {Outcome.SHED: 9}, {Outcome.OK_LOCAL: 90, Outcome.SHED: 10}])
def test_little_lost_or_little_seen_is_no_trouble(counts: dict[Outcome, int]) -> None:
    assert answers(counts).trouble == ""


def test_each_deployment_of_a_camera_is_judged_by_itself_and_gone_ones_are_not_told() -> None:
    known = objectives(
        {
            "metadata": {"name": name},
            "spec": {"model": name, "version": "1.0.0", "objective": {"deadline": deadline}},
        }
        for name, deadline in (("boats", "250ms"), ("people", "1500ms"))
    )
    none = Latencies()
    windows = [
        Window(0, 2_000, {Outcome.OK_LOCAL: 20}, "quay-1", "gate", "boats", none, none, 0),
        Window(0, 2_000, {Outcome.SHED: 20}, "quay-1", "gate", "people", none, none, 0),
        Window(2_000, 4_000, {Outcome.OK_LOCAL: 20}, "quay-1", "gate", "boats", none, none, 0),
        Window(0, 2_000, {Outcome.OK_LOCAL: 20}, "quay-1", "gate", "deleted", none, none, 0),
    ]
    found = by_camera(answering(parts(windows), known))["gate"]
    assert [(each.objective.release, each.objective.deadline_ms, each.sums.due) for each in found] == [
        ("boats 1.0.0", 250, 40),
        ("people 1.0.0", 1500, 20),
    ]
    assert [bool(each.trouble) for each in found] == [False, True]
