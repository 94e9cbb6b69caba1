"""Several models in one box: `python -m bench.bench_models [--quick] [--rounds N] [--seconds N] [--json FILE]`.

Three engines, each a worker process of its own: the sample model looks at frames in shared memory, one of the cost of
MobileNetV2 takes 602 KB requests, one of 640 by 640 pixels looks at frames. Each is kept busy alone, then all at once,
in turns within each round, always with `IN_FLIGHT` calls a model. What share of its rate alone each reaches at once,
added up, says what the box is worth with all three: 1 is the sum of its parts. Held: `SHARE` of it.

A real agent with three engines then does nothing: how much of a core that takes; and is started again: how long until
it says that it is ready, models loaded and warm.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agent.inference.engine import OnnxEngine
from agent.ports import EngineSpec, Tensor
from agent.release_folder import opened
from agent.types import Geometry, Tap
from agent.workers.memory import SharedSlots
from bench.dataplane import box as boxes
from bench.dataplane import releases
from bench.dataplane.box import ENGINE, Box
from bench.serving.workloads import INPUT, WORKLOADS
from bench.telling import Result, proven
from protos.ids import CameraName, DeploymentName
from tests.sim.models import as_spec, layered

SHARE = 1 / 1.1  # of the sum of their parts
IDLE_CORES, READY_SECONDS = 0.02, 2.0
IN_FLIGHT = 4  # more than a model runs at once on two cores
TAP = Tap(CameraName("quay"), DeploymentName("bench"))
Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Form:
    """How much is measured. `seconds`: of each model alone, and of all at once, in each round."""

    rounds: int = 9
    seconds: float = 3.0
    idle_seconds: float = 30.0
    starts: int = 5


QUICK = Form(rounds=2, seconds=1.0, idle_seconds=5.0, starts=1)


@dataclass
class Model:
    """An engine at work; rates in calls a second, round by round."""

    name: str
    call: Call
    alone: list[float] = field(default_factory=list)
    at_once: list[float] = field(default_factory=list)


async def frames(stack: AsyncExitStack, name: str, spec: EngineSpec) -> Model:
    """A model that looks at one frame again and again."""
    assert spec.input is not None
    engine = await _engine(stack, name, spec)
    slots = SharedSlots.create(1, spec.input.nbytes)
    stack.callback(slots.close)
    await engine.attach(TAP, slots.fd, slots.slots, spec.input)
    geometry = Geometry(spec.input.width, spec.input.height, 1.0, 1.0, 0, 0)
    return Model(name, lambda: engine.detect_slot(TAP, 0, geometry, 0.3))


async def requests(stack: AsyncExitStack, name: str) -> Model:
    """A model that is asked with tensors."""
    workload = WORKLOADS[name]
    engine = await _engine(stack, name, as_spec(workload.build().model))
    tensor = Tensor(INPUT, "FP32", workload.shape, workload.input().tobytes())
    return Model(name, lambda: engine.infer([tensor]))


async def _engine(stack: AsyncExitStack, name: str, spec: EngineSpec) -> OnnxEngine:
    engine = OnnxEngine(name)
    stack.push_async_callback(engine.close)
    await engine.start(spec)
    return engine


async def shares(models: Sequence[Model], form: Form) -> Result:
    """Each alone and all at once, round by round."""
    for number in range(form.rounds):
        turn = number % len(models)
        for model in (*models[turn:], *models[:turn]):
            model.alone += await _rates([model], form.seconds)
        for model, rate in zip(models, await _rates(models, form.seconds), strict=True):
            model.at_once.append(rate)
    sums = [
        sum(at_once / alone for at_once, alone in zip(each_at_once, each_alone, strict=True))
        for each_at_once, each_alone in zip(
            zip(*(model.at_once for model in models), strict=True),
            zip(*(model.alone for model in models), strict=True),
            strict=True,
        )
    ]
    return {
        "models": {model.name: _rates_of(model) for model in models},
        "of_the_sum_of_its_parts": round(statistics.median(sums), 3),
        "rounds_from_to": [round(min(sums), 3), round(max(sums), 3)],
    }


def _rates_of(model: Model) -> dict[str, float]:
    alone, at_once = statistics.median(model.alone), statistics.median(model.at_once)
    return {"alone_per_second": round(alone, 1), "at_once_per_second": round(at_once, 1)}


async def _rates(models: Sequence[Model], seconds: float) -> list[float]:
    """Calls a second of each while all are busy."""
    until = time.monotonic() + seconds
    counts = [asyncio.gather(*(_busy(model.call, until) for _ in range(IN_FLIGHT))) for model in models]
    return [sum(found) / seconds for found in await asyncio.gather(*counts)]


async def _busy(call: Call, until: float) -> float:
    """Calls that ended in time, the last by the share of it that did."""
    done = 0.0
    while (began := time.monotonic()) < until:
        await call()
        done += min(1.0, (until - began) / (time.monotonic() - began))
    return done


async def at_rest(folder: Path, form: Form) -> Result:
    """A box with three engines and nothing to do, then started anew."""
    made = releases.made("1.0.0")
    names = ["one", "two", "three"]
    async with boxes.running(folder) as box:
        box.offer(made)
        box.wish([], [releases.deployment(name, made) for name in names], sync_seconds=15)
        await box.settled(dict.fromkeys(names, made.digest))
        began, cpu = time.monotonic(), box.cpu_seconds()
        await asyncio.sleep(form.idle_seconds)
        cores = (box.cpu_seconds() - cpu) / (time.monotonic() - began)
        engines = len(box.workers(ENGINE))
        ready = [await _restarted(box) for _ in range(form.starts)]
    return {"engines": engines, "idle_cores": round(cores, 4), "ready_seconds": round(statistics.median(ready), 2)}


async def _restarted(box: Box) -> float:
    box.stop()
    box.start()
    return await box.until(lambda: _says_ready(box.ports["http"]))


def _says_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def prove(folder: Path, form: Form) -> Result:
    """Everything that was measured, and what was missed."""
    async with AsyncExitStack() as stack:
        models = [
            await frames(stack, "sample", opened(releases.SAMPLE).spec),
            await requests(stack, "mobilenet"),
            await frames(stack, "640 pixels", layered(side=640).spec),
        ]
        together = await shares(models, form)
    resting = await at_rest(folder, form)
    result = {**asdict(form), "in_flight": IN_FLIGHT, **together, **resting}
    return result | {"missed": missed(result)}


def missed(result: dict[str, Any]) -> list[str]:
    """Pure."""
    share, found = result["of_the_sum_of_its_parts"], []
    if share < SHARE:
        found.append(f"all at once reach {share:.3f} of the sum of their parts, of {SHARE:.3f}")
    if result["idle_cores"] >= IDLE_CORES:
        found.append(f"a box that rests takes {result['idle_cores']:.3f} of a core, of {IDLE_CORES}")
    if result["ready_seconds"] >= READY_SECONDS:
        found.append(f"a box is ready after {result['ready_seconds']:.2f} s, of {READY_SECONDS:g}")
    return found


def table(result: Result) -> str:
    lines = [f"{'calls a second':16} {'alone':>8} {'at once':>8}"]
    for name, rates in result["models"].items():
        lines.append(f"{name:16} {rates['alone_per_second']:8.1f} {rates['at_once_per_second']:8.1f}")
    low, high = result["rounds_from_to"]
    lines.append(f"of the sum of their parts: {result['of_the_sum_of_its_parts']:.3f} ({low:.3f} to {high:.3f})")
    lines.append(f"at rest with {result['engines']} engines: {result['idle_cores']:.4f} of a core")
    lines.append(f"ready {result['ready_seconds']:.2f} s after its start")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute in all")
    parser.add_argument("--rounds", type=int, default=Form.rounds)
    parser.add_argument("--seconds", type=float, default=Form.seconds)
    parser.add_argument("--json", type=Path, default=Path("bench/results/models.json"))
    options = parser.parse_args()
    form = QUICK if options.quick else Form(options.rounds, options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: asyncio.run(prove(Path(folder), form)), table, options.json))


if __name__ == "__main__":
    main()
