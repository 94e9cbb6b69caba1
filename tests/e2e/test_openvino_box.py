"""A whole agent that was told to run OpenVINO: it says so, its engine is in its sandbox, and the model answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.dataplane import box as boxes
from bench.dataplane import releases
from tests.servers import require

pytestmark = pytest.mark.e2e


def maps(pid: int) -> str:
    """What a process has in memory, and what it may do with it."""
    return Path(f"/proc/{pid}/maps").read_text()


async def test_a_box_runs_a_release_with_openvino_in_the_precision_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require.bf16()
    monkeypatch.setenv("LONGSHORE_AGENT_PROVIDER", "openvino-bf16")
    made = releases.made("1.0.0")
    async with boxes.running(tmp_path) as box:
        box.offer(made)
        box.wish([], [releases.deployment("harbour", made)])
        await box.settled({"harbour": made.digest})
        _, report = box.plane.reports[-1]
        (engine,) = box.workers(boxes.ENGINE)
        mapped = maps(engine)
    assert list(report.inventory.providers) == ["openvino-bf16"]
    assert not [problem for problem in report.problems if problem.code in ("provider", "sandbox")]
    assert "libopenvino_intel_cpu_plugin.so" in mapped
    assert any("rwxp" in line for line in mapped.splitlines()), "code that it wrote"
