"""Slots and numbers of a tap, across workers and memories; totals across workers."""

from __future__ import annotations

import pytest

from agent.cameras.ledger import Ledger
from agent.cameras.messages import CameraMeasure
from agent.cameras.stats import CameraStats, Meter
from tests.sim.yard import tap

TAP = tap("quay")


def test_a_slot_is_busy_from_its_announcement_to_its_release() -> None:
    ledger = Ledger()
    assert ledger.announced(TAP, 2, 1)
    assert ledger.busy(TAP) == [2]
    assert ledger.frame_in(TAP, 2) == 1
    assert ledger.released(TAP, 2)
    assert ledger.busy(TAP) == []
    assert ledger.frame_in(TAP, 2) is None


def test_a_slot_that_is_still_read_cannot_be_announced_again() -> None:
    ledger = Ledger()
    ledger.announced(TAP, 0, 1)
    assert not ledger.announced(TAP, 0, 2)


def test_a_number_cannot_be_used_twice() -> None:
    ledger = Ledger()
    ledger.announced(TAP, 0, 1)
    assert not ledger.announced(TAP, 1, 1)


def test_giving_back_twice_frees_nothing() -> None:
    ledger = Ledger()
    ledger.announced(TAP, 0, 1)
    assert ledger.released(TAP, 0)
    assert not ledger.released(TAP, 0)
    assert not ledger.released(tap("gate"), 0)


def test_numbers_go_on_over_superseded_frames() -> None:
    ledger = Ledger()
    ledger.announced(TAP, 0, 1)
    ledger.passed(TAP, 3)
    assert ledger.next_seq(TAP) == 4
    assert ledger.next_seq(tap("gate")) == 1


def test_totals_go_on_when_a_new_worker_counts_from_zero() -> None:
    meter, stats = Meter(), CameraStats()
    stats = meter.measured(stats, CameraMeasure("quay", 100, 640, 360, 5, 2.0), 10.0)
    stats = meter.measured(stats, CameraMeasure("quay", 10, 0, 0, 0, 0.5), 20.0)
    assert (stats.pictures, stats.cpu_seconds) == (110, 2.5)
    assert (stats.width, stats.last_frame_unix_ns) == (640, 5)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    meter, stats = Meter(), CameraStats()
    for second in range(20):
        pictures = 10 * second if second < 10 else 90
        stats = meter.measured(stats, CameraMeasure("quay", pictures, 640, 360, 5, 2.0), float(second))
        if second == 9:
            assert stats.frames_per_second == pytest.approx(10.0)
    assert stats.frames_per_second == 0.0
