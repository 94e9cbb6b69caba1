"""A server at twice what it can do, in the benchmark's smallest form; how fast this machine is says little here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.bench_door import BEHIND, DEADLINE, WITHOUT, Form, Load, load, missed, prove, table
from bench.door.asking import ANSWERED, EXPIRED, TURNED, Ended

pytestmark = pytest.mark.e2e
FINE = Load(100.0, 1000, 98.0, 500, 0, 0, 500, 240.0, 1.0, 3.0, 0.98)


def test_behind_its_door_a_server_answers_in_time_over_both_protocols(tmp_path: Path) -> None:
    result = prove(tmp_path, Form(rounds=1, seconds=1.2, peak_seconds=0.5))
    for servers in result["loads"].values():
        behind, without = servers[BEHIND], servers[WITHOUT]
        assert behind["goodput"] > 1.1 * without["goodput"]
        assert behind["turned"] > 0
        assert behind["turned_p50_ms"] < 1e3 * DEADLINE / 2
        assert behind["failed"] == without["failed"] == 0
    assert BEHIND in table(result)


def test_rates_are_of_rounds_and_times_of_all_requests() -> None:
    ended = [Ended(ANSWERED, 0.2), Ended(ANSWERED, 0.3), Ended(EXPIRED, 0.26), Ended(TURNED, 0.001)]
    found = load([(1.0, ended), (2.0, ended)], seconds=1.0)
    assert (found.peak, found.goodput, found.of_peak) == (1.5, 1.0, 0.75)
    assert (found.answered, found.expired, found.turned, found.failed) == (4, 2, 2, 0)
    assert (found.let_in_p99_ms, found.turned_p99_ms) == (300.0, 1.0)


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        (replace(FINE, of_peak=0.9), "gRPC: 0.900 of the peak is answered in time, of 0.95"),
        (replace(FINE, let_in_p99_ms=260.0), "gRPC: what was let in takes 260 ms (p99), of 250"),
        (replace(FINE, turned_p99_ms=7.0), "gRPC: a refusal takes 7.0 ms (p99), of 5"),
        (replace(FINE, failed=1), "gRPC: 1 requests failed and 500 were turned away"),
    ],
)
def test_each_thing_that_is_missed_is_said(held: Load, sentence: str) -> None:
    fine = {BEHIND: FINE, WITHOUT: FINE}
    assert missed({"REST": fine, "gRPC": fine}) == []
    assert missed({"REST": fine, "gRPC": {**fine, BEHIND: held}}) == [sentence]
