"""Boxes that come back from a dark day, in a small form: all that waited is stored, and the figures are there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.bench_drain import QUICK, missed, prove, table

pytestmark = [pytest.mark.e2e, pytest.mark.mosquitto]


def test_boxes_that_come_back_store_all_that_waited_and_what_is_new_meanwhile(tmp_path: Path) -> None:
    result = prove(tmp_path, replace(QUICK, boxes=10, backlog=500, batches=4, postgres=False))
    assert result["told"] == result["stored"] > 10 * 500
    assert result["dropped"] == 0
    assert result["drain"]["backlog"] == 10 * 500
    assert result["memory_mib"]["most"] >= result["memory_mib"]["idle"] > 0
    assert "share of the ceiling" in table(result)


GOOD = {
    "form": {"steady": True},
    "told": 10,
    "stored": 10,
    "dropped": 0,
    "drain": {"backlog_rate": 10_000.0, "jain": 0.98},
    "share": 0.6,
    "lag_seconds": {"p99": 5.0},
    "memory_mib": {"idle": 60.0, "most": 316.0},
}


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"stored": 9}, "10 records were told, 9 stored and 0 dropped"),
        ({"drain": {"backlog_rate": 9_999.0, "jain": 0.98}}, "the backlog drained at 9999 records/s"),
        ({"share": 0.59}, "ingest stored 59 % of what it can"),
        ({"lag_seconds": {"p99": 5.1}}, "what was new came 5.1 s late"),
        ({"drain": {"backlog_rate": 10_000.0, "jain": 0.97}}, "boxes were not served alike: 0.97"),
        ({"memory_mib": {"idle": 60.0, "most": 317.0}}, "ingest took 317.0 MiB"),
    ],
)
def test_what_is_missed_is_said(found: dict[str, object], sentence: str) -> None:
    assert missed(GOOD) == []
    assert missed({**GOOD, **found}) == [sentence]


def test_a_short_run_is_not_judged_by_what_its_first_seconds_make_of_it() -> None:
    short = {**GOOD, "form": {"steady": False}, "drain": {"backlog_rate": 1.0, "jain": 0.1}, "share": 0.1}
    assert missed(short) == []
    assert missed({**short, "stored": 9}) != []
