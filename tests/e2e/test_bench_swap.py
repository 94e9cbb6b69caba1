"""The hot swap for real, in its smallest form: nothing is lost and nothing stays, however slow the machine is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_swap import FORBIDDEN, Form, prove, table

pytestmark = pytest.mark.e2e


async def test_a_release_that_takes_over_under_load_costs_no_frame_and_no_request_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    result = await prove(tmp_path, Form(swaps=1, seconds=0.5, cameras=2, deadline_ms=30_000))
    during, held, left = result["during"], result["held_before"], result["held_after"]
    assert during["failures"] == {}
    assert not set(FORBIDDEN) & set(during["outcomes"])
    assert during["outcomes"]["ok_local"] > 4
    assert during["requests"] > 16
    for what in ("memories", "memory_kib", "descriptors", "processes"):
        assert left[what] <= held[what]
    assert left["taken_mb"] < held["taken_mb"] + 25.0  # a third of an engine's worker
    assert "1 swaps" in table(result)
