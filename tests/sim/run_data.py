"""Runs of a simulated control plane, played: one that gave a release, one that failed, one that trains."""

from __future__ import annotations

import json
from dataclasses import replace
from math import exp

from controlplane.adapters.executor_memory import MemoryExecutor, Played
from controlplane.container import Services
from controlplane.training.ports import Part, State
from controlplane.training.service import Wish
from tests.sim.releases import make

STEPS = 400


def play(services: Services, executor: MemoryExecutor) -> None:
    _start(services, "harbour", model="boats")
    tell(executor.jobs["harbour-1"], STEPS)
    _leave_release(executor.jobs["harbour-1"])
    _end(services, executor, "harbour-1", 0)
    _start(services, "detector", model="yard")
    executor.jobs["detector-1"].parts[Part.LOG] = b"annotations.json:12: box of annotation 3 lies outside its picture\n"
    _end(services, executor, "detector-1", 2)
    _start(services, "harbour", model="boats")
    tell(executor.jobs["harbour-2"], STEPS * 5 // 8)
    tick(services)


def tick(services: Services, times: int = 1) -> None:
    for _ in range(times):
        services.runs.tick(services.publishing)


def _start(services: Services, recipe: str, model: str) -> None:
    services.training.start(Wish(recipe, {"epochs": 2}, model=model))
    tick(services, 3)


def tell(job: Played, steps: int) -> None:
    """Loss and mAP50 as a training that goes well has them."""
    told = [{"phase": "draw", "step": 90, "steps": 90}]
    for step in range(1, steps + 1):
        line: dict[str, object] = {
            "phase": "train",
            "step": step,
            "steps": STEPS,
            "epoch": 1 + step // 201,
            "epochs": 2,
        }
        line["loss"] = 0.15 + 1.9 * exp(-step / 70) + 0.05 * ((step * 37) % 11) / 11
        if step % 50 == 0:
            line["metrics"] = {"mAP50": round(0.92 * (1 - exp(-step / 120)), 3), "recall": round(0.9 * step / STEPS, 3)}
        told.append(line)
    job.parts[Part.PROGRESS] = b"".join(json.dumps(line).encode() + b"\n" for line in told)
    log = [
        f"epoch {1 + step // 201} step {step}: loss {0.15 + 1.9 * exp(-step / 70):.3f}" for step in range(10, steps, 10)
    ]
    job.parts[Part.LOG] = "\n".join(["drawing 5400 scenes", *log, ""]).encode()


def _leave_release(job: Played) -> None:
    model, version = str(job.job.settings["model"]), str(job.job.settings["version"])
    made = make(version, name=model)
    card = f"# {model} {version}\n".encode()
    files = {"model.onnx": made.model, "labels.txt": b"boat\ncontainer\n", "card.md": card}
    job.release = {"manifest.json": made.manifest, **files}


def _end(services: Services, executor: MemoryExecutor, name: str, code: int) -> None:
    job = executor.jobs[name]
    job.look = replace(job.look, state=State.ENDED, code=code)
    tick(services, 3)
