"""The measure of the agent's overhead for real, in its smallest form; how fast this machine is says nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_overhead import STAGES, Form, prove, table

pytestmark = pytest.mark.e2e


async def test_every_stage_of_every_frame_is_told_and_memory_of_every_kind_of_process(tmp_path: Path) -> None:
    result = await prove(tmp_path, Form(seconds=1.0, cameras=4, looks=4))
    stages = result["stages_ms"]
    assert set(result["outcomes"]) <= {"ok_local", "superseded", "expired"}
    assert result["outcomes"]["ok_local"] >= 4
    assert set(stages) == set(STAGES)
    assert all(0 <= of["p50"] <= of["p99"] for of in stages.values())
    assert all(of["first_mb"] > 10 for of in result["memory"].values())
    assert "overhead" in table(result)
