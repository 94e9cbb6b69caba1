"""The GPU bench: its figures, what it says of a GPU, and a short run of the real thing where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.bench_gpu import TORCH
from bench.gpu import figures, nvidia
from bench.gpu.figures import Batches, Limit

CHECKOUT = Path(__file__).parents[3]
GOOD = Batches({size: 0.001 * size + 0.004 for size in (1, 2, 4, 8, 16, 32)})


def test_a_cost_line_is_found_again() -> None:
    assert GOOD.line == pytest.approx((0.001, 0.004))
    assert Batches({1: 0.02}).line == (0.02, 0.0)


def test_batching_gains_what_the_best_batch_does_over_one() -> None:
    assert (GOOD.best, GOOD.pays) == (32, True)
    assert GOOD.gain == pytest.approx(32 * 0.005 / 0.036)
    assert not Batches({1: 0.001, 8: 0.0031}).pays


@pytest.mark.parametrize(
    ("provider", "batches", "limit", "missed"),
    [
        ("cuda", GOOD, Limit(70, 720.0, 0.995, 0.8), []),
        ("cuda", GOOD, Limit(70, 700.0, 0.995, 0.7), ["cuda: streams of raw", "cuda: GPU busy"]),
        ("cuda", GOOD, None, ["cuda: streams of raw", "cuda: GPU busy"]),
        ("cuda", Batches({1: 0.005, 8: 0.014}), Limit(46, 460.0, 1.0, 0.8), ["cuda: batching"]),
        ("cuda", Batches({1: 0.005, 8: 0.04}), Limit(18, 180.0, 1.0, 0.8), []),  # it does not pay: no goal
        ("cpu", GOOD, None, []),
    ],
)
def test_goals_are_a_gpus_and_batching_is_one_where_it_pays(
    provider: str, batches: Batches, limit: Limit | None, missed: list[str]
) -> None:
    assert [goal.name for goal in figures.goals(provider, batches, limit) if goal.missed] == missed


@pytest.mark.parametrize("true_limit", [0, 1, 5, 137, 2000])
@pytest.mark.parametrize("first", [1, 20, 500])
def test_the_limit_of_streams_is_found_from_below_and_from_above(true_limit: int, first: int) -> None:
    held, tries = 0, 0
    broken: int | None = None
    count: int | None = first
    while count is not None:
        tries += 1
        held, broken = (count, broken) if count <= true_limit else (held, count)
        count = figures.next_count(held, broken)
    assert true_limit - max(1, true_limit // 50) <= held <= true_limit
    assert tries < 30


def test_what_nvidia_smi_prints_is_read_and_nothing_is_no_gpu() -> None:
    said = "NVIDIA L4, 8.9, 550.54.15, 23034\nNVIDIA L4, 8.9, 550.54.15, 23034\n"
    assert nvidia.parsed(said) == nvidia.Gpu("NVIDIA L4", "8.9", "550.54.15", 23034)
    assert nvidia.parsed("No devices were found\n") is None
    assert nvidia.busy_of("80\n100\n[N/A]\n") == pytest.approx(0.9)
    assert nvidia.busy_of("") is None


def test_how_busy_a_gpu_was_is_sampled_beside_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a program of that name that prints what the real one does, and then says that it has."""
    program, said = tmp_path / "nvidia-smi", tmp_path / "said"
    os.mkfifo(said)
    program.write_text(f"#!/bin/sh\necho 40\necho 60\necho > {said}\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with nvidia.Watch() as watch:
        said.read_text()
    assert watch.busy == pytest.approx(0.5)


def test_where_no_gpu_is_the_bench_says_so_and_measures_the_rest(tmp_path: Path) -> None:
    words = [
        "-m",
        "bench.bench_gpu",
        "--quick",
        "--fps",
        "40",
        "--deadline",
        "0.1",
        "--json",
        str(tmp_path / "gpu.json"),
    ]
    ran = subprocess.run(
        [sys.executable, *words], cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=True
    )
    told = json.loads((tmp_path / "gpu.json").read_text())
    cpu, cuda, _ = told["providers"]
    assert cpu["release"]["rate"] > 0
    assert "why" not in cpu
    assert "no CUDAExecutionProvider" in cuda["why"]
    assert "tensorrt: not measured: " in ran.stdout
    assert "no goal" in ran.stdout
    assert not any(goal["missed"] for goal in told["goals"])
    if TORCH.exists():
        assert told["training"]["images_per_second"] > 0
    else:
        assert "scripts/bootstrap train" in told["training"]["why"]
