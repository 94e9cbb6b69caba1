"""Rates and fairness of a backlog that drained, from what lies in the database."""

from __future__ import annotations

import pytest

from bench.telemetry.landed import Landed, drain, jain


def test_all_alike_is_one_and_all_to_one_is_its_share() -> None:
    assert jain([7, 7, 7, 7]) == 1.0
    assert jain([28, 0, 0, 0]) == 0.25
    assert jain([]) == 0.0


def test_a_backlog_is_over_with_its_last_record_whatever_new_ones_come_later() -> None:
    waited = [Landed(node, live=False, stored_ms=at, records=500) for node in ("a", "b") for at in (1_000, 2_000)]
    went = drain([*waited, Landed("a", True, 1_500, 50), Landed("b", True, 9_000, 50)], back_ms=0)
    assert (went.backlog, went.live, went.seconds) == (2_000, 50, 2.0)
    assert (went.backlog_rate, went.rate) == (1_000.0, 1_025.0)
    assert went.jain == pytest.approx(1.0)


def test_a_box_that_is_served_last_is_unfair_at_the_looks_before() -> None:
    found = [
        Landed("a", live=False, stored_ms=1_000, records=500),
        Landed("b", live=False, stored_ms=2_000, records=500),
    ]
    assert drain(found, back_ms=0).jain == 0.5
