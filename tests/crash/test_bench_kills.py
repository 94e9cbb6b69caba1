"""Workers killed under load, in the smallest form of the benchmark: all is back, and nothing stays behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_kills import KINDS, Form, Kill, judged, missed, prove, table
from bench.dataplane.box import Holding
from bench.dataplane.seen import Seen

HELD = Holding(200.0, 12, 19_000, 60, 3)
QUAY, GATE = ("quay", "left"), ("gate", "right")


async def test_killed_workers_come_back_and_leave_no_memory_no_descriptor_and_no_process(tmp_path: Path) -> None:
    result = await prove(tmp_path, Form(kills=4, cameras=4, settles=False, hangs=False))
    held, left = result["held_before"], result["held_after"]
    for what in ("memories", "memory_kib", "descriptors", "processes"):
        assert left[what] <= held[what]
    assert {kind: result["workers"][kind]["kills"] for kind in KINDS} == {"engine": 2, "capture": 2}
    assert all(result["workers"][kind]["errors_of_others"] == 0 for kind in KINDS)
    assert "memories" in table(result)


def frame(tap: tuple[str, str], ended: float, outcome: str = "ok_local") -> Seen:
    return Seen(*tap, outcome, ended - 0.05, ended - 0.03, ended)


def test_a_kill_lasts_until_a_frame_captured_since_is_answered() -> None:
    mine = [frame(QUAY, 10.02), frame(QUAY, 10.2, "error"), frame(QUAY, 10.7), frame(QUAY, 10.9)]
    others = [frame(GATE, 9.8), frame(GATE, 10.0), frame(GATE, 10.3), frame(GATE, 10.5, "error")]
    kill = judged("engine", frozenset({QUAY}), 10.0, [*mine, *others])
    assert (kill.lost, kill.others) == pytest.approx((0.7, 0.3))
    assert kill.errors_of_others == 1


def test_what_a_kill_may_not_cost_is_said() -> None:
    slow, hung = Kill("engine", 4, 1.2, 0.3, 2), Kill("capture", 4, 1.5, 0.3, 0)
    assert missed([slow, Kill("engine", 4, 0.9, 0.3, 0)], {"capture": (15.0, hung)}, HELD, HELD) == [
        "1 of 2 kills cost a second or more, up to 1.20 s",
        "2 frames of others ended as error",
        "one capture worker that hung cost 1.50 s beyond being found",
    ]
