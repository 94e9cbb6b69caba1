"""A cache of a site for real, in a small form: one uplink, eight boxes; one that ends, one that gives other bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from bench.bench_site import QUICK, prove, table

pytestmark = pytest.mark.e2e


def test_a_release_goes_once_down_the_uplink_and_a_bad_cache_costs_no_box_its_release(tmp_path: Path) -> None:
    result = uvloop.run(prove(tmp_path, replace(QUICK, size=1_500_000, uplink=10e6)))
    assert result["missed"] == []
    assert result["cached"]["boxes"] == 8
    assert "switched off" in table(result)
