"""Hot swap under load: `python -m bench.bench_swap [--quick] [--swaps N] [--seconds N]`.

A real agent runs the sample model on eight cameras while sixteen callers have a request each in flight again and again,
together at `LOAD` of the machine. Then its deployment goes from one release to the next, so often: the new worker loads
and warms up beside the old, takes over between two frames, is confirmed, and the old one ends. Held against the same
load just before:

- no frame ends as `error` or `expired`, and no request fails;
- the p99 of the gaps between a camera's answers grows by less than one frame interval;
- memory, shared memory, descriptors and workers are what they were.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.trial.tally import percentile
from bench.dataplane import box as boxes
from bench.dataplane import releases
from bench.dataplane.box import Box, Holding
from bench.dataplane.callers import Callers
from bench.dataplane.releases import MadeRelease, deployment, pixels_of
from bench.dataplane.seen import Seen, gaps, outcomes
from bench.telling import proven
from protos import fleet_pb2 as wire

LOAD = 0.55  # of the machine's processor time, callers included; the proof is about at most 0.6
FORBIDDEN = ("error", "expired")
NAME = "harbour-watch"
SHOWN = {"p99_gap_ms": "p99 gap, ms", "longest_gap_ms": "longest gap, ms", "p99_request_ms": "p99 of a request, ms"}
HELD = {
    "taken_mb": "memory, MB",
    "memories": "shared memories",
    "memory_kib": "  of KiB",
    "descriptors": "descriptors",
    "processes": "processes",
}


@dataclass(frozen=True)
class Form:
    """How much is proven. `seconds`: of the same load before."""

    swaps: int = 20
    seconds: float = 30.0
    cameras: int = 8
    rate: float = 5.0
    deadline_ms: int = 1000


QUICK = Form(swaps=2, seconds=4.0)


@dataclass(frozen=True)
class Phase:
    """A stretch of time under load."""

    seconds: float
    load: float  # share of the machine that the agent and the callers took
    outcomes: dict[str, int]
    requests: int
    failures: dict[str, int]
    p99_gap_ms: float
    longest_gap_ms: float
    p99_request_ms: float


def wish(box: Box, release: MadeRelease, form: Form) -> None:
    names = [f"camera-{number}" for number in range(form.cameras)]
    specs = [
        wire.CameraSpec(name=name, source=f"synthetic://harbour?seed={number}&width=320&height=180", rate=form.rate)
        for number, name in enumerate(names)
    ]
    box.wish(specs, [deployment(NAME, release, names, form.deadline_ms)])


class Proof:
    """One agent, two releases, callers at the right pace."""

    def __init__(self, box: Box, callers: Callers, form: Form) -> None:
        self.box = box
        self.callers = callers
        self.form = form

    async def at_rest(self) -> Holding:
        """What is held a moment after the last request."""
        await asyncio.sleep(0.5)
        return self.box.holding()

    async def pace(self, seconds: float) -> None:
        """Learn what a round of requests costs, and ask as often as LOAD allows."""
        cores = os.cpu_count() or 1
        self.callers.period = 1e9
        alone = await self._cores(seconds)
        self.callers.period = 0.5
        async with self.callers.asking():
            asked = await self._cores(seconds)
        cost = max(0.001, (asked - alone) * self.callers.period)
        self.callers.period = cost / max(0.05, LOAD * cores - alone)

    async def phase(self, seconds: float, swaps: Sequence[MadeRelease] = ()) -> Phase:
        """`seconds` at least; and until these releases have taken over from each other."""
        self.box.seen.new()
        self.callers.latencies.clear()
        self.callers.failures.clear()
        began, cpu = time.monotonic(), self._cpu()
        for release in swaps:
            wish(self.box, release, self.form)
            await self.box.settled({NAME: release.digest})
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        took = time.monotonic() - began
        load = (self._cpu() - cpu) / took / (os.cpu_count() or 1)
        return self._phase(self.box.seen.new(), took, load)

    def _phase(self, seen: list[Seen], took: float, load: float) -> Phase:
        between, asked = gaps(seen), self.callers.latencies
        return Phase(
            round(took, 1),
            round(load, 3),
            outcomes(seen),
            len(asked),
            dict(self.callers.failures),
            round(1e3 * percentile(between, 0.99), 1),
            round(1e3 * percentile(between, 1.0), 1),
            round(1e3 * percentile(asked, 0.99), 1),
        )

    async def _cores(self, seconds: float) -> float:
        began, cpu = time.monotonic(), self._cpu()
        await asyncio.sleep(seconds)
        return (self._cpu() - cpu) / (time.monotonic() - began)

    def _cpu(self) -> float:
        own = os.times()
        return self.box.cpu_seconds() + own.user + own.system


def missed(before: Phase, during: Phase, held: Holding, left: Holding, rate: float) -> list[str]:
    """Pure."""
    found = [f"{during.outcomes[name]} frames ended as {name}" for name in FORBIDDEN if name in during.outcomes]
    found += [f"{count} requests failed: {why}" for why, count in during.failures.items()]
    growth = during.p99_gap_ms - before.p99_gap_ms
    if growth >= 1e3 / rate:
        found.append(f"the p99 gap grew by {growth:.0f} ms, of less than {1e3 / rate:.0f}")
    return found + held.missing(left)


async def prove(folder: Path, form: Form) -> dict[str, Any]:
    """Everything that was measured, and what was missed."""
    pair = [releases.made("1.0.0"), releases.made("1.0.1")]
    order = [pair[number % 2] for number in range(1, form.swaps + 2)]
    async with boxes.running(folder) as box:
        box.offer(*pair)
        wish(box, pair[0], form)
        await box.settled({NAME: pair[0].digest})
        proof = Proof(box, Callers(box.ports["http"], pair[0].manifest.name, pixels_of(pair[0])), form)
        await proof.pace(min(2.0, form.seconds))
        async with proof.callers.asking():
            await proof.phase(1.0, order[:1])  # what the first swap makes, and every later one finds
        held = await proof.at_rest()
        async with proof.callers.asking():
            before = await proof.phase(form.seconds)
            during = await proof.phase(0.0, order[1:])
        left = await proof.at_rest()
    return {
        **asdict(form),
        "in_flight": proof.callers.count,
        "requests_every_seconds": round(proof.callers.period, 3),
        "before": asdict(before),
        "during": asdict(during),
        "held_before": asdict(held),
        "held_after": asdict(left),
        "missed": missed(before, during, held, left, form.rate),
    }


def table(result: dict[str, Any]) -> str:
    before, during = result["before"], result["during"]
    rows = [
        ("", "before", f"{result['swaps']} swaps"),
        ("seconds", before["seconds"], during["seconds"]),
        ("load of the machine", before["load"], during["load"]),
        ("frames", sum(before["outcomes"].values()), sum(during["outcomes"].values())),
        *((f"  {name}", before["outcomes"].get(name, 0), count) for name, count in during["outcomes"].items()),
        ("requests answered", before["requests"], during["requests"]),
        ("requests failed", sum(before["failures"].values()), sum(during["failures"].values())),
        *((name, before[key], during[key]) for key, name in SHOWN.items()),
        *((name, result["held_before"][key], result["held_after"][key]) for key, name in HELD.items()),
    ]
    return "\n".join(f"{name:26} {was!s:>12} {now!s:>12}" for name, was, now in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two swaps, half a minute in all")
    parser.add_argument("--swaps", type=int, default=Form.swaps)
    parser.add_argument("--seconds", type=float, default=Form.seconds, help="of the same load before")
    parser.add_argument("--json", type=Path, default=Path("bench/results/swap.json"))
    options = parser.parse_args()
    form = QUICK if options.quick else Form(options.swaps, options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: asyncio.run(prove(Path(folder), form)), table, options.json))


if __name__ == "__main__":
    main()
