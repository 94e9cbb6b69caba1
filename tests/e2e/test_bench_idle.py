"""A box at rest for real, in a small form: every packet is counted, and a month of them stays within the bound."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.bench_idle import QUICK, prove, table
from bench.idle import cost, month
from bench.idle.wire import Packet, on_a_line

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.mark.skipif(os.geteuid() != 0, reason="counting packets needs CAP_NET_RAW; run it as root")
@pytest.mark.mosquitto
def test_an_idle_box_costs_less_than_five_megabytes_a_month(tmp_path: Path) -> None:
    result = prove(tmp_path, replace(QUICK, steady_seconds=13.0), ("mosquitto",))
    assert result["missed"] == []
    (found,) = result["brokers"].values()
    assert found["window"] in ({"beat": 3}, {"beat": 4})
    assert (found["window_syncs"], found["window_files"]) == (0, 0)
    assert sum(found["shares_mb"].values()) == pytest.approx(found["month_mb"], abs=0.01)
    assert "mosquitto" in table(result)


def test_a_segment_is_counted_as_a_line_carries_it() -> None:
    assert on_a_line(0, 52) == 52
    assert on_a_line(1448, 52) == 1500
    assert on_a_line(1449, 52) == 1449 + 2 * 52


def test_exchanges_are_told_apart_by_rest_and_length() -> None:
    def packet(at: float, payload: int, *, up: bool = True) -> Packet:
        return Packet(at, 8883, 40_000, up, payload, payload + 52)

    found = cost.exchanges(
        [
            *(packet(0.0, 34), packet(0.1, 26, up=False), packet(0.1, 0)),
            *(packet(9.0, 120), packet(9.1, 26, up=False)),
            *(packet(20.0, 60, up=False), packet(20.1, 0)),
            packet(30.0, 0, up=False),
        ]
    )
    assert [(each.kind, each.size) for each in found] == [
        ("beat", 216),
        ("telemetry", 250),
        ("told", 164),
        ("closing", 52),
    ]


def test_a_quiet_box_syncs_and_looks_for_metadata_about_twice_a_day() -> None:
    assert all(50 <= each.syncs <= 70 and 50 <= each.looks <= 70 for each in (month.rates(86_400, n) for n in range(3)))
