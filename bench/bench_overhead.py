"""What the agent adds to a frame, and whether it grows: `python -m bench.bench_overhead [--quick | --hour]`.

A real agent runs the sample model on eight cameras that play the demo's clip. Of each answered frame the time between
capture and the end of all that the agent does with it is split: decoding and fitting, the way to the agent's main
process, waiting for the engine, the model, and the way to the engine and back with what follows. The agent's overhead
is the second and the last of these; decoding, waiting and the model are not the agent's. Held: at most 3 ms in half of
all frames, 8 ms in 99 of 100.

Memory that its processes took for themselves is looked at all the while. Of files that they map it takes no notice,
since how much of those counts depends on who else maps them; nor of the frames' slots, which have their size from the
beginning and are touched one after the other, as frames wait. A line is laid through what was seen, and its slope told
in MB an hour with its standard error. Held: less than 1 MB an hour, once half an hour was seen; caches fill at first.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.trial.tally import percentile
from bench.dataplane import box as boxes
from bench.dataplane import releases
from bench.dataplane.box import CAPTURE, ENGINE, Box
from bench.dataplane.releases import MadeRelease, deployment
from bench.dataplane.seen import ANSWERED, Seen, outcomes
from bench.dataplane.slope import Slope, slope
from bench.processes import cpu_seconds, cpu_seconds_of_tree, taken_mb_of
from bench.telling import Result, proven
from protos import fleet_pb2 as wire

P50_MS, P99_MS, MB_PER_HOUR = 3.0, 8.0, 1.0
TELLING_SECONDS = 1800.0
CLIP = Path("controlplane/up/demo/harbour.mp4")
NAME = "harbour-watch"
SHARES = {"p50": 0.5, "p99": 0.99}
STAGES: dict[str, Callable[[Seen], float]] = {
    "decode and fit": lambda frame: frame.stages["decode"],
    "to the agent": lambda frame: frame.to_agent,
    "wait for the engine": lambda frame: frame.engine_wait,
    "model": lambda frame: frame.stages["infer"],
    "to the engine, back, told": lambda frame: frame.overhead - frame.to_agent,
    "overhead": lambda frame: frame.overhead,
}


@dataclass(frozen=True)
class Form:
    """How much is measured. `looks`: at memory, in all; before, a tenth of the time passes unseen."""

    seconds: float = 120.0
    cameras: int = 8
    rate: float = 5.0
    looks: int = 60


QUICK = Form(seconds=15.0)
HOUR = Form(seconds=3600.0, looks=360)


async def prove(folder: Path, form: Form) -> Result:
    """Everything that was measured, and what was missed."""
    release = releases.made("1.0.0")
    async with boxes.running(folder) as box:
        box.offer(release)
        wish(box, release, form)
        await box.settled({NAME: release.digest})
        await asyncio.sleep(form.seconds / 10)
        box.seen.new()
        began, main, all_of_it = time.monotonic(), cpu_seconds(box.pid), cpu_seconds_of_tree(box.pid)
        memory, seen = await _looked_at(box, form)
        took = time.monotonic() - began
        main, all_of_it = cpu_seconds(box.pid) - main, cpu_seconds_of_tree(box.pid) - all_of_it
    answered = [each for each in seen if each.outcome in ANSWERED]
    stages = {name: _summary([of(each) for each in answered]) for name, of in STAGES.items()}
    slopes = {name: slope(series) for name, series in memory.items()}
    return {
        **asdict(form),
        "outcomes": outcomes(seen),
        "stages_ms": stages,
        "main_cpu_ms_per_frame": round(1e3 * main / max(1, len(answered)), 3),
        "cores": round(all_of_it / took, 3),
        "memory": {name: asdict(found) for name, found in slopes.items()},
        "missed": missed(stages["overhead"], slopes["all"], form.seconds),
    }


async def _looked_at(box: Box, form: Form) -> tuple[dict[str, list[tuple[float, float]]], list[Seen]]:
    """Memory over time, by kind of process, and all frames."""
    memory: dict[str, list[tuple[float, float]]] = {"all": [], "main": [], "engine": [], "capture": []}
    seen: list[Seen] = []
    began = time.monotonic()
    for look in range(form.looks):
        await asyncio.sleep(max(0.0, began + form.seconds * look / (form.looks - 1) - time.monotonic()))
        kinds = {"main": [box.pid], "engine": box.workers(ENGINE), "capture": box.workers(CAPTURE)}
        now, held = time.monotonic() - began, {kind: taken_mb_of(pids, shared=False) for kind, pids in kinds.items()}
        for kind, found in ({"all": sum(held.values())} | held).items():
            memory[kind].append((now, found))
        seen += box.seen.new()
    return memory, seen


def wish(box: Box, release: MadeRelease, form: Form) -> None:
    names = [f"camera-{number}" for number in range(form.cameras)]
    source = CLIP.resolve().as_uri()
    cameras = [wire.CameraSpec(name=name, source=source, rate=form.rate) for name in names]
    box.wish(cameras, [deployment(NAME, release, names)])


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    return {name: round(1e3 * percentile(seconds, share), 3) for name, share in SHARES.items()}


def missed(overhead: dict[str, float], memory: Slope, seconds: float) -> list[str]:
    """A slope counts where it is above the limit by more than twice its error, and time enough was seen. Pure."""
    limits = {"p50": P50_MS, "p99": P99_MS}
    found = [
        f"{name} of the overhead is {overhead[name]:.2f} ms, of {limit:g}"
        for name, limit in limits.items()
        if overhead[name] > limit
    ]
    if seconds >= TELLING_SECONDS and memory.mb_per_hour - 2 * memory.error >= MB_PER_HOUR:
        found.append(f"memory grows by {memory.mb_per_hour:.2f} ± {memory.error:.2f} MB an hour, of {MB_PER_HOUR:g}")
    return found


def table(result: Result) -> str:
    lines = [f"{'of a frame, ms':28} {'p50':>8} {'p99':>8}"]
    lines += [f"{name:28} {of['p50']:8.2f} {of['p99']:8.2f}" for name, of in result["stages_ms"].items()]
    lines.append(f"processor of the main process: {result['main_cpu_ms_per_frame']:.2f} ms a frame")
    lines += [
        f"memory, {kind:8} {of['first_mb']:7.1f} to {of['last_mb']:7.1f} MB: "
        f"{of['mb_per_hour']:+.2f} ± {of['error']:.2f} MB an hour"
        for kind, of in result["memory"].items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", dest="form", action="store_const", const=QUICK, default=Form(), help="15 s")
    form.add_argument("--hour", dest="form", action="store_const", const=HOUR, help="long enough to tell of memory")
    parser.add_argument("--json", type=Path, default=Path("bench/results/overhead.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: asyncio.run(prove(Path(folder), options.form)), table, options.json))


if __name__ == "__main__":
    main()
