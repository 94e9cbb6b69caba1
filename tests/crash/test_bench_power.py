"""What a bad disk may not cost, and what its table shows."""

from __future__ import annotations

from bench.bench_power import full, table
from bench.power.agents import Sample

GOOD_VOLUMES = {
    "ours": {"wrong": [], "troubles": [], "dropped": 5, "most": 100, "left": 10, "volume": 200},
    "others": {"wrong": [], "trouble": "full", "recovered": 1.0, "unsettled": []},
    "killed": {"wrong": [], "lower_bounds": 3, "unsaid": []},
}
GOOD_SAMPLE = Sample("fdatasync", "EIO", 2, 4, 30, True, 0.5, 9)


def test_what_a_full_volume_may_not_cost_is_said() -> None:
    assert full(GOOD_VOLUMES) == []
    bad = {
        "ours": {
            "wrong": ["1 accepted of alarm are lost"],
            "troubles": ["full"],
            "dropped": 0,
            "most": 100,
            "left": 60,
        },
        "others": {"wrong": [], "trouble": "", "recovered": 11.0, "unsettled": ["2 of debug are gone"]},
        "killed": {"wrong": [], "lower_bounds": 0, "unsaid": ["3 refused of metric are not declared"]},
    }
    assert full(bad) == [
        "ours: 1 accepted of alarm are lost",
        "ours: full",
        "ours: the outbox never had to make room",
        "ours: 60 of 100 bytes are not given back",
        "others: the full volume was not noticed",
        "others: 11.0 s until records were accepted again",
        "others: 2 of debug are gone",
        "killed: what was refused before the kill is not declared as a lower bound",
        "killed: 3 refused of metric are not declared",
    ]


def test_what_a_bad_disk_may_not_cost_an_agent_is_said() -> None:
    assert GOOD_SAMPLE.missed() == []
    bad = Sample("fdatasync", "EIO", 2, 0, 0, False, 12.0, 0)
    assert [sentence.removeprefix("fdatasync EIO from call 2 on: ") for sentence in bad.missed()] == [
        "nothing failed",
        "no frame was answered meanwhile",
        "the agent did not answer that it lives",
        "nothing was accepted afterwards",
        "12.0 s until records were accepted again",
    ]


def test_a_machine_that_can_do_a_part_shows_that_part() -> None:
    shown = table({"volumes": GOOD_VOLUMES})
    assert "full by others" in shown
    assert "images of the disk" not in shown
