"""What a precision is worth: `python -m bench.bench_precisions [--quick] [--rounds N] [--seconds N] [--json FILE]`.

Each model is loaded by three engines, each a worker process of its own in its sandbox: ONNX Runtime in fp32, OpenVINO
in f32 and in bf16, as far as this processor has it. They take turns within each round: one call after another, which
all cores answer, and `IN_FLIGHT` calls at once, a core each. A figure is the median of the rounds, a ratio the median
of each round's own, so that whatever else the machine does meets all. Nothing is held: what a precision is worth is the
processor's doing. A model that a worker gave back to ONNX Runtime says why.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from agent.inference import precision
from agent.inference.engine import OnnxEngine
from agent.ports import EngineSpec, Tensor
from agent.providers import OPENVINO
from agent.release_folder import opened
from agent.types import Geometry, Tap
from agent.workers.memory import SharedSlots
from bench.dataplane import releases
from bench.serving.workloads import INPUT, WORKLOADS
from bench.telling import Result, proven
from protos.ids import CameraName, DeploymentName
from tests.sim.models import as_spec, convolutions

IN_FLIGHT = 4  # more than a model runs at once on two cores
TAP = Tap(CameraName("quay"), DeploymentName("bench"))
Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Form:
    """How much is measured. `seconds`: of each way to call, in each round."""

    rounds: int = 9
    seconds: float = 2.0


QUICK = Form(rounds=2, seconds=0.5)


@dataclass
class Way:
    """A model on one provider. `alone`: seconds of a call, `at_once`: calls a second, round by round."""

    provider: str
    call: Call
    declined: str
    alone: list[float] = field(default_factory=list)
    at_once: list[float] = field(default_factory=list)


def providers() -> list[str]:
    """Those that this machine has, ONNX Runtime first."""
    version, able = precision.installed(), precision.abilities()
    return ["cpu", *(each for each in OPENVINO if precision.trouble(each, version, able) is None)]


async def way(stack: AsyncExitStack, spec: EngineSpec, provider: str) -> Way:
    engine = OnnxEngine(provider)
    stack.push_async_callback(engine.close)
    await engine.start(replace(spec, provider=provider))
    call = await _frames(stack, engine, spec) if spec.input is not None else _requests(engine)
    return Way(provider, call, engine.warmed.declined)


async def _frames(stack: AsyncExitStack, engine: OnnxEngine, spec: EngineSpec) -> Call:
    assert spec.input is not None
    slots = SharedSlots.create(1, spec.input.nbytes)
    stack.callback(slots.close)
    slots.view(0)[:] = np.random.default_rng(1).integers(0, 255, spec.input.nbytes, np.uint8).tobytes()
    await engine.attach(TAP, slots.fd, slots.slots, spec.input)
    geometry = Geometry(spec.input.width, spec.input.height, 1.0, 1.0, 0, 0)
    return lambda: engine.detect_slot(TAP, 0, geometry, 0.3)


def _requests(engine: OnnxEngine) -> Call:
    workload = WORKLOADS["mobilenet"]
    tensor = Tensor(INPUT, "FP32", workload.shape, workload.input().tobytes())
    return lambda: engine.infer([tensor])


async def measure(spec: EngineSpec, form: Form) -> Result:
    """Of one model, by provider."""
    async with AsyncExitStack() as stack:
        ways = [await way(stack, spec, provider) for provider in providers()]
        for number in range(form.rounds):
            turn = number % len(ways)
            for each in (*ways[turn:], *ways[:turn]):
                each.alone.append(await _alone(each.call, form.seconds))
                each.at_once.append(await _at_once(each.call, form.seconds))
    return {each.provider: _figures(each, ways[0]) for each in ways}


async def _alone(call: Call, seconds: float) -> float:
    """The median of a call."""
    await call()  # the first after another way's turn finds cold caches
    taken, until = list[float](), time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        await call()
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


async def _at_once(call: Call, seconds: float) -> float:
    began, until = time.monotonic(), time.monotonic() + seconds
    counts = await asyncio.gather(*(_busy(call, until) for _ in range(IN_FLIGHT)))
    return sum(counts) / (time.monotonic() - began)


async def _busy(call: Call, until: float) -> int:
    done = 0
    while time.monotonic() < until:
        await call()
        done += 1
    return done


def _figures(way: Way, fp32: Way) -> dict[str, Any]:
    return {
        "alone_milliseconds": round(1e3 * statistics.median(way.alone), 2),
        "alone_times_as_fast": _ratio(fp32.alone, way.alone),
        "at_once_per_second": round(statistics.median(way.at_once), 1),
        "at_once_times_as_many": _ratio(way.at_once, fp32.at_once),
        **({"declined": way.declined} if way.declined else {}),
    }


def _ratio(more: Sequence[float], less: Sequence[float]) -> float:
    return round(statistics.median(one / other for one, other in zip(more, less, strict=True)), 2)


async def prove(form: Form) -> Result:
    """Everything that was measured."""
    models = {
        "sample model": opened(releases.SAMPLE).spec,
        "640 pixels": convolutions(640, 64).spec,
        "mobilenet": as_spec(WORKLOADS["mobilenet"].build().model),
    }
    measured = {name: await measure(spec, form) for name, spec in models.items()}
    return {**asdict(form), "in_flight": IN_FLIGHT, "openvino": precision.installed(), "models": measured, "missed": []}


def table(result: Result) -> str:
    lines = [f"{'':15}{'':14}{'alone':>10}{'':8}{'at once':>10}"]
    for model, ways in result["models"].items():
        for provider, figures in ways.items():
            alone, at_once = figures["alone_milliseconds"], figures["at_once_per_second"]
            faster, more = figures["alone_times_as_fast"], figures["at_once_times_as_many"]
            lines.append(f"{model:15}{provider:14}{alone:7.2f} ms {faster:5.2f}x {at_once:10.1f}/s {more:5.2f}x")
            lines += [f"{'':15}{figures['declined']}"] if "declined" in figures else []
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--json", type=Path, default=Path("bench/results/precisions.json"))
    options = parser.parse_args()
    asked = {name: getattr(options, name) for name in ("rounds", "seconds") if getattr(options, name) is not None}
    form = replace(QUICK if options.quick else Form(), **asked)
    sys.exit(proven(lambda: asyncio.run(prove(form)), table, options.json))


if __name__ == "__main__":
    main()
