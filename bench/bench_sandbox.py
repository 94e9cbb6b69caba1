"""What isolation costs, against its limit: `python -m bench.bench_sandbox [--starts N] [--rounds N] [--json FILE]`.

One frame at a time through the same graph three ways, in turns: in this process, through a worker that gave up
nothing, and through a worker in its sandbox. A figure is the median of the rounds' medians; an overhead is the median
of each round's own ratio, so that whatever else the machine does meets all three. Limit: a frame of 640 by 640 pixels
takes at most 5 % longer in the sandbox than in this process, with a model that computes as much as the smallest
detectors of that size do; the sample model's figure is reported. Processor time, of both processes together, says what
is left of a difference on a machine that others use, and `load` whether they did.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # as in a worker

import numpy as np

from agent.inference import boxes, contract, engine
from agent.inference.engine import OnnxEngine
from agent.inference.session import Session
from agent.ports import EngineSpec
from agent.release_folder import opened
from agent.types import Geometry, Tap
from agent.workers.memory import SharedSlots
from bench.processes import core_seconds_of
from bench.telling import told
from protos.ids import CameraName, DeploymentName
from sandbox.report import Confined
from tests.sim.models import convolutions

LIMIT = 1.05  # of a frame of 640 by 640 pixels
FRAMES = 5  # of each way in a round
SAMPLE = Path("models/harbour/release")
WAYS = ("in process", "worker", "sandboxed worker")
TAP = Tap(CameraName("quay"), DeploymentName("bench"))
MODULES = {"worker": "bench.plain_worker", "sandboxed worker": engine.MODULE}

Frame = Callable[[], Awaitable[object]]


@dataclass
class Way:
    """One way to have a frame looked at, with each round's wall and processor time in seconds."""

    frame: Frame
    close: Callable[[], Awaitable[None]]
    pids: tuple[int, ...] = (os.getpid(),)
    start_seconds: float = 0.0
    address_space_mib: int = 0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def in_process(spec: EngineSpec, pixels: np.ndarray[Any, Any], geometry: Geometry) -> Way:
    """What a worker does with a frame, done here."""
    started = time.perf_counter()
    session = Session(spec.model, spec.provider, spec.threads)

    async def frame() -> object:
        found, scores, classes = session.run({"image": pixels}, contract.DETECTION)
        return boxes.rows((found[0], scores[0], classes[0]), geometry, pixels.shape[1:3], 0.3)

    async def close() -> None: ...

    return Way(frame, close, start_seconds=time.perf_counter() - started)


async def in_worker(name: str, spec: EngineSpec, slots: SharedSlots, geometry: Geometry, said: list[Confined]) -> Way:
    engine.MODULE = MODULES[name]
    worker = OnnxEngine(name, on_confined=said.append)
    started = time.perf_counter()
    await worker.start(spec)
    took = time.perf_counter() - started
    assert spec.input is not None
    await worker.attach(TAP, slots.fd, slots.slots, spec.input)
    pids = (os.getpid(), worker.pid or 0)
    return Way(lambda: worker.detect_slot(TAP, 0, geometry, 0.3), worker.close, pids, took, _peak(worker))


def _peak(worker: OnnxEngine) -> int:
    found = re.search(r"VmPeak:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


async def measure(spec: EngineSpec, starts: int, rounds: int) -> dict[str, Any]:
    """Of one model, on one thread; in fresh processes `starts` times, since where memory comes to lie matters."""
    spec = replace(spec, threads=1)
    said = list[Confined]()
    series = [await _series(spec, rounds, said) for _ in range(starts)]
    return _result(spec, {name: _joined([ways[name] for ways in series]) for name in WAYS}, said[-1])


async def _series(spec: EngineSpec, rounds: int, said: list[Confined]) -> dict[str, Way]:
    assert spec.input is not None
    slots = SharedSlots.create(1, spec.input.nbytes)
    picture = np.random.default_rng(1).integers(0, 255, spec.input.nbytes, np.uint8)
    slots.view(0)[:] = picture.tobytes()
    pixels = picture.reshape(1, spec.input.height, spec.input.width, 3)
    geometry = Geometry(spec.input.width, spec.input.height, 1.0, 1.0, 0, 0)
    ways = {WAYS[0]: in_process(spec, pixels, geometry)}
    for name in WAYS[1:]:
        ways[name] = await in_worker(name, spec, slots, geometry, said)
    for number in range(rounds):
        turn = number % len(WAYS)
        for name in (*WAYS[turn:], *WAYS[:turn]):
            await _round(ways[name], FRAMES)
    for way in ways.values():
        await way.close()
    slots.close()
    return ways


def _joined(ways: Sequence[Way]) -> Way:
    """All their rounds; the median of the starts, the largest address space."""
    first = ways[0]
    return Way(
        first.frame,
        first.close,
        (),
        statistics.median(way.start_seconds for way in ways),
        max(way.address_space_mib for way in ways),
        [each for way in ways for each in way.wall],
        [each for way in ways for each in way.cpu],
    )


async def _round(way: Way, count: int) -> None:
    await way.frame()  # the first after another way's turn finds cold caches
    taken, ran = [], core_seconds_of(way.pids)
    for _ in range(count):
        started = time.perf_counter()
        await way.frame()
        taken.append(time.perf_counter() - started)
    way.wall.append(statistics.median(taken))
    way.cpu.append((core_seconds_of(way.pids) - ran) / count)


def _result(spec: EngineSpec, ways: dict[str, Way], said: Confined) -> dict[str, Any]:
    assert spec.input is not None
    alone = ways[WAYS[0]]
    return {
        "input": f"{spec.input.width}x{spec.input.height}",
        "model_kib": len(spec.model) // 1024,
        "layers": {layer.name: layer.detail or "holds" for layer in said.layers if layer.holds},
        "missing": {layer.name: layer.detail for layer in said.missing},
        "ways": {
            name: {
                "milliseconds": round(1e3 * statistics.median(way.wall), 3),
                "of_in_process": round(statistics.median(_ratios(way.wall, alone.wall)), 4),
                "cpu_milliseconds": round(1e3 * statistics.median(way.cpu), 3),
                "cpu_of_in_process": round(statistics.median(_ratios(way.cpu, alone.cpu)), 4),
                "start_seconds": round(way.start_seconds, 3),
                "address_space_mib": way.address_space_mib,
            }
            for name, way in ways.items()
        },
    }


def _ratios(rounds: Sequence[float], alone: Sequence[float]) -> list[float]:
    return [mine / theirs for mine, theirs in zip(rounds, alone, strict=True)]


def table(models: dict[str, dict[str, Any]]) -> str:
    lines = []
    for model, result in models.items():
        lines.append(f"{model} ({result['input']})")
        lines += [
            f"  {name:17} {way['milliseconds']:8.2f} ms  {100 * way['of_in_process'] - 100:+6.1f} %"
            f"   processor {way['cpu_milliseconds']:8.2f} ms  {100 * way['cpu_of_in_process'] - 100:+6.1f} %"
            for name, way in result["ways"].items()
        ]
    return "\n".join(lines)


async def _all(starts: int, rounds: int) -> dict[str, dict[str, Any]]:
    return {
        "640 pixels": await measure(convolutions(640, 64).spec, starts, rounds),
        "sample model": await measure(opened(SAMPLE).spec, starts, rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=9, help="after each start")
    parser.add_argument("--json", type=Path, default=Path("bench/results/sandbox.json"))
    options = parser.parse_args()
    before = os.getloadavg()[0]
    models = asyncio.run(_all(options.starts, options.rounds))
    ratio = models["640 pixels"]["ways"]["sandboxed worker"]["of_in_process"]
    load = [round(before, 2), round(os.getloadavg()[0], 2)]
    counted = {"starts": options.starts, "rounds": options.rounds}
    result = {"load": load, **counted, "limit": LIMIT, "models": models}
    missed = [f"a frame takes {ratio:.3f} times as long in the sandbox, of {LIMIT}"] if ratio > LIMIT else []
    sys.exit(told(table(models), result, missed, options.json))


if __name__ == "__main__":
    main()
