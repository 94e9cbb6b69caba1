"""What a GPU does here, against its goals: `python -m bench.bench_gpu [RELEASE] [--quick] [--json FILE]`.

For each provider of the installed ONNX Runtime that starts: batches with bound memory, t(n) = a·n + b and what batching
gains; then synthetic cameras through the agent's lane and engine, added until fewer than 99 % of their frames come on
time, and how busy the GPU was. And the pictures a second that the sample model's recipe trains, in the environment that
has torch. What is not here is said with its reason and no goal; the CPU is measured beside, and has none. Providers
`cuda` and `tensorrt` need the environment of `scripts/bootstrap agent-gpu`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ |= {"ORT_DISABLE_TELEMETRY": "1"}  # heard when it is imported, below

from agent.bench.machine import Meter
from agent.inference.session import PROVIDERS
from agent.release_folder import opened
from agent.update.variants import chosen
from bench.gpu import figures, nvidia, raw, streams
from bench.gpu.figures import Batches, Goal, Limit
from bench.telling import kept
from protos.errors import LongshoreError

SAMPLE = Path("models/harbour/release")
RESULTS = Path(__file__).parent / "results" / "gpu.json"
TORCH = Path(__file__).parents[1] / ".venv-train" / "bin" / "python"
TRAINING_SECONDS = 500  # at most


@dataclass(frozen=True)
class Plan:
    sizes: tuple[int, ...]
    batch_seconds: float  # of each size
    try_seconds: float  # of each number of streams
    steps: int  # of training
    batch: int
    peers: bool  # a heavier graph beside the release


FULL = Plan((1, 2, 4, 8, 16, 32), 3.0, 8.0, 40, 16, peers=True)
QUICK = Plan((1, 2, 8), 0.1, 0.2, 3, 2, peers=False)


@dataclass(frozen=True)
class Provider:
    """What was measured of one; `why` it was not, where `batches` is None."""

    name: str
    variant: str
    why: str = ""
    batches: Batches | None = None
    heavy: Batches | None = None
    limit: Limit | None = None

    @property
    def goals(self) -> list[Goal]:
        return figures.goals(self.name, self.batches, self.limit) if self.batches else []


def measured(name: str, release: Path, plan: Plan, fps: float, deadline: float) -> Provider:
    """One provider, or why it does not run here."""
    described = opened(release)
    variant = chosen(described.manifest.variants, name).name
    cores = len(os.sched_getaffinity(0))
    spec = replace(opened(release, variant).spec, provider=name)
    try:
        batches = raw.batches(spec.model, name, cores, plan.sizes, plan.batch_seconds)
        heavy = _heavy(name, cores, plan) if plan.peers else None
        first = int(batches.rate(1) / fps / 2)
        limit = asyncio.run(streams.most(spec, streams.Plan(fps, deadline, plan.try_seconds, first)))
    except LongshoreError as error:
        return Provider(name, variant, str(error))
    return Provider(name, variant, "", batches, heavy, limit)


def _heavy(name: str, cores: int, plan: Plan) -> Batches | None:
    """A graph like ResNet-50; None without `onnx`, which makes it and is no part of an agent's environment."""
    try:
        from bench.serving.graphs import resnet50
    except ImportError:
        return None
    return raw.batches(resnet50().model, name, cores, plan.sizes, plan.batch_seconds)


def training(plan: Plan) -> dict[str, Any]:
    """Of the sample model's recipe, or why not."""
    if not TORCH.exists():
        return {"why": "there is no environment with torch; make it with: scripts/bootstrap train"}
    root = str(Path(__file__).parents[1])
    asked = [str(TORCH), "-m", "bench.gpu.training", str(plan.steps), str(plan.batch)]
    with nvidia.Watch() as watch:
        said = subprocess.run(
            asked, cwd=root, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False,
            timeout=TRAINING_SECONDS,
        )  # fmt: skip
    if said.returncode:
        return {"why": (said.stderr.strip().splitlines() or ["it ended without a word"])[-1]}
    return {**json.loads(said.stdout.splitlines()[-1]), "gpu_busy": watch.busy}


def result(plan: Plan, found: Sequence[Provider], trained: dict[str, Any], **more: float) -> dict[str, Any]:
    """For a machine."""
    gpu = nvidia.gpu()
    return {
        "gpu": asdict(gpu) if gpu else None,
        **more,
        "plan": asdict(plan),
        "providers": [_provider(each) for each in found],
        "training": trained,
        "goals": [{**asdict(goal), "missed": goal.missed} for each in found for goal in each.goals],
    }


def _provider(each: Provider) -> dict[str, Any]:
    told: dict[str, Any] = {"name": each.name, "variant": each.variant}
    if each.why:
        return told | {"why": each.why}
    assert each.batches is not None
    told["release"] = _batches(each.batches)
    if each.heavy:
        told["resnet50"] = _batches(each.heavy)
    return told | {"streams": asdict(each.limit) if each.limit else None}


def _batches(batches: Batches) -> dict[str, Any]:
    a, b = batches.line
    return {
        "seconds": {str(size): round(took, 6) for size, took in batches.seconds.items()},
        "a": round(a, 6),
        "b": round(b, 6),
        "best": batches.best,
        "rate": round(batches.rate(batches.best), 1),
        "gain": round(batches.gain, 2),
    }


def report(found: Sequence[Provider], trained: dict[str, Any]) -> str:
    """For a reader."""
    lines = [] if nvidia.gpu() else ["no GPU was found: nvidia-smi is missing or names none"]
    for each in found:
        lines += _told(each)
    if "why" in trained:
        lines.append(f"training: not measured: {trained['why']}")
    else:
        lines.append(f"training: {trained['images_per_second']} pictures a second on {trained['machine']}")
    return "\n".join([*lines, "", *(figures.told(goal) for each in found for goal in each.goals)])


def _told(each: Provider) -> list[str]:
    if each.batches is None:
        return [f"{each.name}: not measured: {each.why}"]
    lines = [f"{each.name}, {each.variant}, raw ONNX Runtime with bound memory", *figures.table(each.batches)]
    if each.heavy:
        lines += [f"{each.name}, like ResNet-50", *figures.table(each.heavy)]
    if each.limit is None:
        return [*lines, "  not even one stream came on time"]
    limit = each.limit
    busy = "" if limit.busy is None else f", GPU {limit.busy:.0%} busy"
    return [*lines, f"  {limit.streams} streams on time: {limit.rate:.1f} frames a second ({limit.on_time:.1%}){busy}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path, nargs="?", default=SAMPLE, help="folder [default: the sample model]")
    parser.add_argument("--fps", type=float, default=10.0, help="of each stream")
    parser.add_argument("--deadline", type=float, default=0.25, help="seconds that a frame has")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; judges no goal")
    parser.add_argument("--json", type=Path, help=f"[default: bench/results/{RESULTS.name}; quick: none]")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    meter = Meter()
    try:
        found = [measured(name, options.release, plan, options.fps, options.deadline) for name in PROVIDERS]
    except LongshoreError as error:  # the release itself
        print(f"error: {error}", file=sys.stderr)
        return 1
    trained = training(plan)
    machine = meter.machine(os.cpu_count() or 1)
    print(report(found, trained))
    if machine.is_busy:
        print(f"other work took {machine.others:.1f} cores meanwhile: this is no measure of the machine")
    target = options.json or (None if options.quick else RESULTS)
    if target:
        asked = {"fps": options.fps, "deadline_seconds": options.deadline}
        told = result(plan, found, trained, **asked, other_cores=round(machine.others, 2))
        kept(told, target)
    return int(not options.quick and any(goal.missed for each in found for goal in each.goals))


if __name__ == "__main__":
    sys.exit(main())
