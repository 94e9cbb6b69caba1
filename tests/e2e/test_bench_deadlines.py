"""Requests that nobody waits for, in the benchmark's smallest form; how fast this machine is says nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_deadlines import Form, Late, missed, prove, table

pytestmark = pytest.mark.e2e
FINE = Late(60, 0, 1.0, 5.0)


async def test_requests_expire_on_both_transports_and_callers_who_left_are_survived(tmp_path: Path) -> None:
    result = await prove(tmp_path, Form(probes=5, leavings=2))
    assert all(of["expired"] + of["others"] == 5 for of in result["late"].values())
    assert all(of["expired"] > 0 for of in result["late"].values())
    assert result["busy_answers"] > 0
    assert result["behind_callers_who_left_ms"] > 0
    assert "who left" in table(result)


@pytest.mark.parametrize(
    ("late", "behind", "sentence"),
    [
        (Late(60, 0, 1.0, 12.0), 20.0, "gRPC: an expired request is answered 12.0 ms late (p99), of 10"),
        (Late(58, 2, 1.0, 5.0), 20.0, "gRPC: 2 requests did not expire"),
        (FINE, 40.0, "behind callers who left a request takes 40.0 ms, alone 8.0"),
    ],
)
def test_each_thing_that_is_missed_is_said(late: Late, behind: float, sentence: str) -> None:
    assert missed({"REST": FINE, "gRPC": FINE}, 8.0, 20.0) == []
    assert missed({"REST": FINE, "gRPC": late}, 8.0, behind) == [sentence]
