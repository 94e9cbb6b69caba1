"""What is read out of how frames ended, and what a proof of swaps calls missed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bench.bench_swap import Phase, missed
from bench.dataplane.box import Holding
from bench.dataplane.seen import Reader, Seen, gaps, outcomes

CALM = Phase(30.0, 0.5, {"ok_local": 1200}, 2000, {}, 210.0, 230.0, 90.0)
HELD = Holding(200.0, 12, 19_000, 60, 3)


def frame(camera: str, ended: float, outcome: str = "ok_local", frames: int = 1) -> Seen:
    return Seen(camera, "watch", outcome, ended - 0.05, ended - 0.03, ended, frames=frames)


def test_gaps_are_between_answers_of_one_camera_and_what_was_not_answered_makes_one_longer() -> None:
    seen = [
        frame("quay", 1.0),
        frame("gate", 1.1),
        frame("quay", 1.2, "expired"),
        frame("quay", 1.4),
        frame("gate", 1.3),
    ]
    assert sorted(gaps(seen)) == pytest.approx([0.2, 0.4])


def test_frames_that_were_never_announced_count_by_their_number() -> None:
    seen = [frame("quay", 1.0), frame("quay", 1.0, "superseded", frames=3)]
    assert outcomes(seen) == {"ok_local": 1, "superseded": 3}


def test_overhead_is_what_neither_decoder_nor_wait_nor_model_took() -> None:
    stages = {"decode": 0.010, "queue": 0.030, "infer": 0.020}
    seen = Seen("quay", "watch", "ok_local", captured=1.0, came=1.012, ended=1.053, stages=stages)
    assert seen.engine_wait == pytest.approx(0.018)
    assert seen.overhead == pytest.approx(0.002 + 0.003)


def test_a_line_that_is_still_being_written_is_read_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "frames.log"
    reader = Reader(path)
    assert reader.new() == []
    line = msgspec.json.encode(frame("quay", 1.0)) + b"\n"
    path.write_bytes(line + line[:10])
    assert len(reader.new()) == 1
    path.write_bytes(line + line)
    assert [each.camera for each in reader.new()] == ["quay"]


def test_nothing_is_missed_where_the_swaps_change_nothing() -> None:
    assert missed(CALM, replace(CALM, p99_gap_ms=380.0), HELD, replace(HELD, taken_mb=207.0), 5.0) == []


@pytest.mark.parametrize(
    ("during", "left", "sentence"),
    [
        (replace(CALM, outcomes={"expired": 1}), HELD, "1 frames ended as expired"),
        (replace(CALM, failures={"closed": 2}), HELD, "2 requests failed: closed"),
        (replace(CALM, p99_gap_ms=410.0), HELD, "the p99 gap grew by 200 ms, of less than 200"),
        (CALM, replace(HELD, taken_mb=230.0), "30.0 MB more are held than before"),
        (CALM, replace(HELD, descriptors=61), "descriptors: 61, 60 before"),
    ],
)
def test_each_thing_that_is_missed_is_said(during: Phase, left: Holding, sentence: str) -> None:
    assert missed(CALM, during, HELD, left, 5.0) == [sentence]
