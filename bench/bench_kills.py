"""Workers felled under load: `python -m bench.bench_kills [--quick] [--kills N] [--json FILE]`.

A real agent runs the sample model twice, in two deployments with an engine each, on half of its cameras each; callers
ask one of them. Engine and capture workers are killed with SIGKILL, one after the other, in an order that the seed
decides, each once all cameras are answered again. Last, one of each kind is stopped with SIGSTOP, as one that hangs.

- the frames of a killed worker are lost for less than a second, and nothing is lost of the others';
- one that hangs costs less than a second beyond the time after which it counts as hung;
- memory, shared memory, descriptors and processes are what they were before the first kill.

Four kills whose culprit nobody knows put each camera of a worker alone, for good: that happens before anything counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.trial.tally import percentile
from bench.dataplane import box as boxes
from bench.dataplane import releases
from bench.dataplane.box import CAPTURE, ENGINE, Box, Holding
from bench.dataplane.callers import Callers
from bench.dataplane.releases import MadeRelease, deployment, pixels_of
from bench.dataplane.seen import ANSWERED, Seen, gaps, outcomes
from bench.processes import runs
from bench.telling import Result, proven
from protos import fleet_pb2 as wire

LOST_SECONDS = 1.0
RATE, DEADLINE_MS = 5.0, 1000
DEPLOYMENTS = ("left", "right")
SOURCE = "synthetic://harbour?seed={}&width=320&height=180"
KINDS = ENGINE_KIND, CAPTURE_KIND = ("engine", "capture")
SHARES = {"p50": 0.5, "p99": 0.99, "most": 1.0}
SEED = 2027


@dataclass(frozen=True)
class Form:
    """How much is proven. `settles`: each camera is alone before anything counts."""

    kills: int = 200
    cameras: int = 8
    settles: bool = True
    hangs: bool = True


QUICK = Form(kills=6, cameras=4, settles=False, hangs=False)


@dataclass(frozen=True)
class Kill:
    """`lost`: seconds until all its taps were answered again; `others`: the longest gap of another's answers."""

    kind: str
    taps: int
    lost: float
    others: float
    errors_of_others: int


Taps = frozenset[tuple[str, str]]


def judged(kind: str, taps: Taps, killed: float, seen: Sequence[Seen]) -> Kill:
    """From all frames since the kill before. Pure."""
    mine = [each for each in seen if each.tap in taps]
    rest = [each for each in seen if each.tap not in taps]
    back: dict[tuple[str, str], float] = {}
    for each in mine:
        if each.outcome in ANSWERED and each.captured > killed:
            back.setdefault(each.tap, each.ended)
    errors = sum(each.outcome == "error" for each in rest)
    return Kill(kind, len(taps), max(back.values()) - killed, max(gaps(rest), default=0.0), errors)


class Proof:
    """One agent, and who serves which tap there."""

    def __init__(self, box: Box, form: Form) -> None:
        self.box = box
        self.form = form
        self._rng = random.Random(SEED)
        self._seen: list[Seen] = []
        self._engines: dict[str, int] = {}
        self.outcomes: Counter[str] = Counter()

    async def begin(self, release: MadeRelease) -> None:
        """Deployment by deployment, so that it is known whose engine is whose."""
        wishes: list[wire.DeploymentSpec] = []
        for name in DEPLOYMENTS:
            wishes.append(deployment(name, release, _of(name, self.form), DEADLINE_MS))
            self.box.wish(_cameras(self.form), wishes)
            await self.box.settled({wish.name: release.digest for wish in wishes})
            self._engines[name] = self._new_engine()
        await self.all_answered()

    async def all_answered(self) -> None:
        """Return once every tap was answered, for a frame captured from now on."""
        self._seen.clear()
        await self._answered(self._taps(), time.monotonic())

    async def settle(self) -> list[Kill]:
        """Kill capture workers with several cameras until each camera is alone."""
        kills = []
        while self.form.settles and (pid := self._crowded()):
            kills.append(await self._killed(CAPTURE_KIND, pid, self._fed_by(pid)))
        return kills

    async def at_rest(self) -> Holding:
        await asyncio.sleep(0.5)
        return self.box.holding()

    async def _answered(self, taps: Taps, since: float) -> None:
        def all_were() -> bool:
            self._seen += self.box.seen.new()
            return taps <= {each.tap for each in self._seen if each.outcome in ANSWERED and each.captured > since}

        await self.box.until(all_were)

    async def fell(self, kind: str) -> Kill:
        """Kill a worker of that kind, and wait until all is as before."""
        return await self._killed(kind, *self._victim(kind))

    async def _killed(self, kind: str, pid: int, taps: Taps) -> Kill:
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return await self._recovered(kind, taps, killed)

    async def hang(self, kind: str) -> tuple[float, Kill]:
        """Stop a worker; seconds until the agent took it for hung and killed it, and what followed."""
        pid, taps = self._victim(kind)
        os.kill(pid, signal.SIGSTOP)
        found = await self.box.until(lambda: not runs(pid))
        return found, await self._recovered(kind, taps, time.monotonic())

    async def _recovered(self, kind: str, taps: Taps, killed: float) -> Kill:
        await self._answered(taps, killed)
        if kind == ENGINE_KIND:
            (name,) = {deployment for _, deployment in taps}
            self._engines[name] = self._new_engine(name)
        kill = judged(kind, taps, killed, self._seen)
        self.outcomes.update(outcomes(self._seen))
        await self.all_answered()
        return kill

    def _victim(self, kind: str) -> tuple[int, Taps]:
        if kind == ENGINE_KIND:
            name = self._rng.choice(DEPLOYMENTS)
            return self._engines[name], frozenset(tap for tap in self._taps() if tap[1] == name)
        pid = self._rng.choice(self.box.workers(CAPTURE))
        return pid, self._fed_by(pid)

    def _crowded(self) -> int:
        """A capture worker with several cameras; 0 where there is none."""
        return next((pid for pid in self.box.workers(CAPTURE) if len(self._fed_by(pid)) > 1), 0)

    def _fed_by(self, pid: int) -> Taps:
        cameras = boxes.threads(pid)
        return frozenset(tap for tap in self._taps() if tap[0] in cameras)

    def _new_engine(self, of: str = "") -> int:
        """The process that is nobody else's."""
        (pid,) = set(self.box.workers(ENGINE)) - {pid for name, pid in self._engines.items() if name != of}
        return pid

    def _taps(self) -> Taps:
        return frozenset((camera, name) for name in DEPLOYMENTS for camera in _of(name, self.form))


def _of(deployment: str, form: Form) -> list[str]:
    """Its cameras: half of them all."""
    half = form.cameras // len(DEPLOYMENTS)
    return [f"{deployment}-{number}" for number in range(half)]


def _cameras(form: Form) -> list[wire.CameraSpec]:
    names = [camera for name in DEPLOYMENTS for camera in _of(name, form)]
    return [wire.CameraSpec(name=name, source=SOURCE.format(seed), rate=RATE) for seed, name in enumerate(names)]


async def prove(folder: Path, form: Form) -> Result:
    """Everything that was measured, and what was missed."""
    release = releases.made("1.0.0")
    async with boxes.running(folder, "--restarts-at-once") as box:
        box.offer(release)
        proof = Proof(box, form)
        await proof.begin(release)
        callers = Callers(box.ports["http"], release.manifest.name, pixels_of(release), count=4, period=0.25)
        async with callers.asking():
            settling = await proof.settle()
            held = await proof.at_rest()
            kinds = [KINDS[number % 2] for number in range(form.kills)]
            kills = [await proof.fell(kind) for kind in kinds]
            hangs = {kind: await proof.hang(kind) for kind in KINDS} if form.hangs else {}
            left = await proof.at_rest()
    return {
        **asdict(form),
        "rate": RATE,
        "workers": {kind: _summary([kill for kill in kills if kill.kind == kind]) for kind in KINDS},
        "settling": _summary(settling),
        "hangs": {kind: _hang(found, kill) for kind, (found, kill) in hangs.items()},
        "outcomes": dict(sorted(proof.outcomes.items())),
        "requests": {"answered": len(callers.latencies), "failed": sum(callers.failures.values())},
        "held_before": asdict(held),
        "held_after": asdict(left),
        "missed": missed(kills, hangs, held, left),
    }


def _summary(kills: Sequence[Kill]) -> dict[str, Any]:
    lost, others = [kill.lost for kill in kills], [kill.others for kill in kills]
    return {
        "kills": len(kills),
        "lost_seconds": {name: round(percentile(lost, share), 3) for name, share in SHARES.items()},
        "others_gap_seconds": {name: round(percentile(others, share), 3) for name, share in SHARES.items()},
        "errors_of_others": sum(kill.errors_of_others for kill in kills),
    }


def _hang(found: float, kill: Kill) -> dict[str, float]:
    return {"found_after_seconds": round(found, 3), "lost_beyond_seconds": round(kill.lost, 3)}


def missed(kills: Sequence[Kill], hangs: Mapping[str, tuple[float, Kill]], held: Holding, left: Holding) -> list[str]:
    """Pure."""
    slow = [kill for kill in kills if kill.lost >= LOST_SECONDS]
    most = max((kill.lost for kill in slow), default=0.0)
    found = [f"{len(slow)} of {len(kills)} kills cost a second or more, up to {most:.2f} s"] if slow else []
    errors = sum(kill.errors_of_others for kill in kills)
    found += [f"{errors} frames of others ended as error"] if errors else []
    late = {kind: kill.lost for kind, (_, kill) in hangs.items() if kill.lost >= LOST_SECONDS}
    found += [f"one {kind} worker that hung cost {lost:.2f} s beyond being found" for kind, lost in late.items()]
    return found + held.missing(left)


def table(result: Result) -> str:
    lines = [f"{'worker':10} {'kills':>6} {'lost p50':>9} {'p99':>7} {'most':>7}   others' gap p99, errors"]
    for kind, of in result["workers"].items():
        lost, others = of["lost_seconds"], of["others_gap_seconds"]
        figures = f"{of['kills']:6} {lost['p50']:7.2f} s {lost['p99']:5.2f} s {lost['most']:5.2f} s"
        lines.append(f"{kind:10} {figures}   {others['p99']:.2f} s, {of['errors_of_others']}")
    for kind, hang in result["hangs"].items():
        lines.append(f"{kind} hangs: found after {hang['found_after_seconds']} s, {hang['lost_beyond_seconds']} s more")
    before, after = result["held_before"], result["held_after"]
    lines += [f"{name}: {before[name]} before, {after[name]} after" for name in before]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="six kills, half a minute at most")
    parser.add_argument("--kills", type=int, default=Form.kills)
    parser.add_argument("--json", type=Path, default=Path("bench/results/kills.json"))
    options = parser.parse_args()
    form = QUICK if options.quick else Form(options.kills)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: asyncio.run(prove(Path(folder), form)), table, options.json))


if __name__ == "__main__":
    main()
