"""What a recipe tells: read whatever it leaves out, timed, thinned out for a plot."""

from __future__ import annotations

import json

import pytest

from controlplane.training import progress
from controlplane.training.progress import Pace, Progress


def told(*lines: dict[str, object]) -> Progress:
    return progress.told(Progress(), lines)


def test_the_newest_of_everything_counts() -> None:
    found = told(
        {"phase": "draw", "step": 10, "steps": 10},
        {"phase": "train", "step": 1, "steps": 40, "epoch": 1, "epochs": 2, "loss": 0.9},
        {"phase": "train", "step": 20, "steps": 40, "metrics": {"mAP50": 0.4}},
        {"step": 22},
    )
    assert (found.phase, found.step, found.steps, found.loss, found.ratio) == ("train", 22, 40, 0.9, 0.55)
    assert (found.epoch, found.epochs, found.metrics) == (1, 2, {"mAP50": 0.4})


def test_the_ratio_is_that_of_the_training() -> None:
    assert told({"phase": "draw", "step": 5, "steps": 10}).ratio == 0
    over = told({"phase": "train", "step": 4, "steps": 4}, {"phase": "export", "step": 0, "steps": 3})
    assert (over.ratio, over.step, over.steps) == (1.0, 0, 3)


@pytest.mark.parametrize(
    "line", [b"[1]", b'{"loss": "x"}', b'{"loss": NaN}', b"{", b'{"metrics": 3}', b"\xff", b"null"]
)
def test_what_cannot_be_read_is_skipped(line: bytes) -> None:
    content = b'{"loss": 0.5}\n' + line + b"\n"
    found = progress.told(Progress(), progress.lines(content))
    assert found.metrics == {}
    assert found.loss in (0.5, None)


def test_a_flood_of_metrics_is_bounded() -> None:
    found = told({"metrics": {f"m{number}": 1.0 for number in range(99)}})
    assert len(found.metrics) == progress.MOST_METRICS


def test_a_line_that_is_not_whole_waits() -> None:
    assert progress.whole_lines(b'{"step": 1}\n{"st') == 12


def test_time_left_follows_the_recent_rate() -> None:
    pace = Pace()
    left = [
        pace.seconds_left(Progress("train", step, 100), float(second)) for second, step in enumerate((0, 1, 2, 3, 4))
    ]
    assert left == [None, None, None, 97.0, 96.0]
    assert pace.seconds_left(Progress("train", 4, 100), 14.0) == 86.0  # no step came: the clock goes on
    assert pace.seconds_left(Progress("export", 0, 3), 15.0) is None  # another phase has another rate


def test_a_start_from_a_checkpoint_is_timed_anew() -> None:
    pace = Pace()
    for second, step in enumerate((10, 20, 30, 40)):
        pace.seconds_left(Progress("train", step, 100), float(second))
    assert pace.seconds_left(Progress("train", 15, 100), 9.0) is None


def test_points_stand_at_the_steps_of_the_training() -> None:
    found = progress.points(
        [
            {"phase": "draw", "step": 99, "steps": 100},
            {"phase": "train", "step": 1, "steps": 4, "loss": 0.8},
            {"phase": "train", "step": 2, "steps": 4, "loss": 0.6, "metrics": {"mAP50": 0.2}},
            {"phase": "evaluate", "step": 1, "metrics": {"mAP50": 0.3}},
        ],
        500,
    )
    assert found.loss == ((1, 0.8), (2, 0.6))
    assert (found.metrics["mAP50"], found.steps) == (((2, 0.2), (2, 0.3)), 4)


def test_what_a_killed_start_told_beyond_its_checkpoint_is_told_anew() -> None:
    lines = [{"step": step, "loss": float(step)} for step in (1, 2, 3, 4)] + [{"step": 3, "loss": 30.0}]
    assert progress.points(lines, 500).loss == ((1, 1.0), (2, 2.0), (3, 3.0), (3, 30.0))


def test_a_long_series_is_thinned_out_to_its_end() -> None:
    series = [(step, float(step)) for step in range(10_000)]
    thin = progress.thinned(series, 500)
    assert (len(thin), thin[-1][0]) == (500, 9999)
    assert thin[0][1] == pytest.approx(9.5)
    assert json.dumps(thin)
