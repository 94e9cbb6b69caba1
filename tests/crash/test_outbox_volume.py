"""The volume of an outbox is full: by us, by others, and at a kill -9. Some seconds on a tmpfs of six MiB each."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_power import filled
from tests.crash import full_volume

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(autouse=True)
def _volumes(tmp_path: Path) -> None:
    if not full_volume.possible(tmp_path):
        pytest.skip(full_volume.MISSING)


def test_a_full_volume_costs_what_is_declared_and_nothing_else(tmp_path: Path) -> None:
    seen = filled(tmp_path)
    assert seen.pop("missed") == []
    assert seen["ours"]["most"] < seen["ours"]["volume"]
    assert seen["others"]["slowest_put"] < 0.1


def test_a_file_that_may_outgrow_its_volume_fills_it(tmp_path: Path) -> None:
    seen = full_volume.told(tmp_path, "ours", "a bound below the volume")
    assert "disk is full" in seen["troubles"][0]
    assert seen["wrong"] != []


def test_what_is_counted_in_memory_only_is_not_declared_after_a_kill(tmp_path: Path) -> None:
    seen = full_volume.told(tmp_path, "killed", "counting beside the database")
    assert seen["unsaid"] != []
    assert seen["lower_bounds"] == 0
