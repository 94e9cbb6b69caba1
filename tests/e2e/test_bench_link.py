"""Releases over bad links for real, in a small form: what is cut comes whole, what drips or never ends is given up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from bench.bench_link import QUICK, prove, table

pytestmark = pytest.mark.e2e


def test_a_release_over_a_cut_link_comes_nearly_once_and_no_peer_takes_time_or_room_without_bound(
    tmp_path: Path,
) -> None:
    form = replace(QUICK, size=20_000_000, old=2_000_000, cuts=8, capped=1_500_000)
    result = uvloop.run(prove(tmp_path, form))
    assert result["missed"] == []
    assert result["cut"]["cuts"] == {"reset": 3, "ended": 4, "silent": 1}
    assert "delivered beyond it" in table(result)
