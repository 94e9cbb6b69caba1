"""Power cuts of a whole machine. `make nightly` runs them all; some are here, with LONGSHORE_SOAK=1 and QEMU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.power.guests import Boot, missed, prove
from tests.sim import guest

machines = pytest.mark.skipif(
    os.environ.get("LONGSHORE_SOAK") != "1" or not guest.possible(), reason=f"LONGSHORE_SOAK=1 runs it; {guest.MISSING}"
)
GOOD = Boot(100, 12.0, 0, "", [])


@machines
@pytest.mark.timeout(600)
def test_what_a_machine_accepted_is_there_after_its_power_was_cut(tmp_path: Path) -> None:
    assert prove(tmp_path, cuts=2)["missed"] == []


@machines
@pytest.mark.timeout(600)
def test_without_syncing_a_machine_loses_what_it_accepted(tmp_path: Path) -> None:
    result = prove(tmp_path, cuts=2, protection_away="syncing at all")
    assert any("lost" in sentence or "set aside" in sentence for sentence in result["missed"])


def test_what_a_power_cut_may_not_cost_is_said() -> None:
    assert missed([GOOD, GOOD]) == []
    bad = [Boot(0, 12.0, 3, "the disk is full", ["4 accepted of alarm are lost"]), GOOD]
    assert missed(bad) == [
        "boot 0: 4 accepted of alarm are lost",
        "boot 0: the disk is full",
        "boot 0: 3 still waited",
        "1 cuts came before anything was accepted",
    ]
