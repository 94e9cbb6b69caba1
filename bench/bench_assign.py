"""From a change of a Deployment to a box: `python -m bench.bench_assign [--quick] [--changes N] [--json FILE]`.

The control plane as `up` starts it, with its broker, and one real box, twice: with a thousand Deployments of one box
each (`apart`), and with one Deployment of a thousand boxes (`alike`). A Deployment that the box runs is changed again
and again. From the moment its PUT is sent:

    put       it is answered
    proven    the box has found the release in the newest signed metadata, assigned to it and listed
    fetched   its files are here and hashed, so that an engine could be loaded

- the files are here within two seconds, 99 times of 100;
- each change signs one `assign`, one snapshot and one timestamp, for however many boxes.

Last, the other boxes come all at once: what each costs the control plane, and how long they take together.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.trial.tally import percentile
from bench.assigned.box import Box, enrol
from bench.assigned.crowd import Crowd, admitted
from bench.assigned.fleet import ALIKE, APART, Plane, Seeds, Shape, release, versions
from bench.processes import core_seconds_of
from bench.telling import Result, proven
from protos import trust

LIMIT_SECONDS = 2.0
ONCE = dict.fromkeys(trust.ONLINE, 1)
STEPS = ("put", "proven", "fetched")
SHARES = {"p50": 0.5, "p99": 0.99, "most": 1.0}


@dataclass(frozen=True)
class Form:
    changes: int = 40
    assignments: int = 1000
    crowd: int = 999


QUICK = Form(changes=4, crowd=60)


@dataclass(frozen=True)
class Change:
    """Seconds since its PUT was sent, `cpu` those of the control plane; `written`: documents signed, by role."""

    put: float
    proven: float
    fetched: float
    cpu: float
    written: Mapping[str, int]


class Proof:
    def __init__(self, plane: Plane, box: Box, shape: Shape) -> None:
        self._plane, self._box, self._shape, self._pid = plane, box, shape, plane.pid

    async def settled(self) -> None:
        await self._box.until(lambda: self._box.hears and self._box.at_rest())

    async def change(self, version: str) -> Change:
        digest, moments = release(version).digest, self._box.moments
        before, spent = self._plane.signed(), core_seconds_of([self._pid])
        sent = time.monotonic()
        await asyncio.to_thread(self._plane.apply, self._shape.changed, self._shape.spec(self._shape.changed, version))
        answered = time.monotonic()
        await self._box.until(lambda: digest in moments.fetched)
        cpu = core_seconds_of([self._pid]) - spent
        await self.settled()
        return Change(
            put=answered - sent,
            proven=moments.proven[digest] - sent,
            fetched=moments.fetched[digest] - sent,
            cpu=cpu,
            written=self._plane.written(before),
        )


async def measured(folder: Path, shape: Shape, form: Form) -> Result:
    plane = Plane(folder / "state")
    Seeds(folder / "state").sow(shape)
    try:
        plane.start()
        enrol(plane.url, plane.join_token(shape.real), folder / "box")
        async with Box(folder / "box").running() as box:
            proof = Proof(plane, box, shape)
            await proof.settled()
            await proof.change(versions(2)[1])  # connections and caches are warm from here on
            changes = [await proof.change(version) for version in versions(shape.releases)[2:]]
        rush = await rushed(plane, shape, form)
    finally:
        plane.close()
    return {**told(changes), "assign_bytes": rush["assign_bytes"], "crowd": rush["crowd"]}


async def rushed(plane: Plane, shape: Shape, form: Form) -> Result:
    names = [each for each in shape.boxes if each != shape.real][: form.crowd]
    signed = plane.signed()
    identities = admitted(plane.folder, plane.url, plane.fleet_address, names)
    crowd = Crowd(identities, plane.pid, {role: version for role, (version, _) in signed.items()})
    return {"assign_bytes": signed[trust.ASSIGN][1], "crowd": asdict(await crowd.rush())}


def told(changes: Sequence[Change]) -> Result:
    """Pure."""
    seconds = {step: [float(getattr(change, step)) for change in changes] for step in STEPS}
    return {
        "changes": len(changes),
        "seconds": {step: _shares(found) for step, found in seconds.items()},
        "plane_cpu_seconds": _shares([change.cpu for change in changes]),
        "written_otherwise": [dict(change.written) for change in changes if change.written != ONCE],
        "late": sum(change.fetched >= LIMIT_SECONDS for change in changes),
    }


def _shares(values: Sequence[float]) -> dict[str, float]:
    return {name: round(percentile(values, share), 3) for name, share in SHARES.items()}


def prove(folder: Path, form: Form) -> Result:
    found = {}
    for kind in (APART, ALIKE):
        shape = Shape(kind, form.assignments, form.changes + 2)
        found[kind] = asyncio.run(measured(folder / kind, shape, form))
    return {**asdict(form), "limit_seconds": LIMIT_SECONDS, **found, "missed": list(missed(found))}


def missed(found: Mapping[str, Any]) -> Iterable[str]:
    """Pure."""
    for kind, of in found.items():
        took = of["seconds"]["fetched"]["p99"]
        if took >= LIMIT_SECONDS:
            yield f"{kind}: a change took {took:.2f} s to a box, and {LIMIT_SECONDS:g} s are allowed"
        if of["written_otherwise"]:
            yield f"{kind}: {len(of['written_otherwise'])} changes did not sign each online role once"
        if of["crowd"]["failed"]:
            yield f"{kind}: {of['crowd']['failed']} questions of a crowd were never answered"


def table(result: Result) -> str:
    lines = [f"{'assignments':14} {'step':8} {'p50':>8} {'p99':>8} {'most':>8}"]
    for kind in (APART, ALIKE):
        of = result[kind]
        for step in STEPS:
            figures = " ".join(f"{of['seconds'][step][name]:6.2f} s" for name in SHARES)
            lines.append(f"{result['assignments']} {kind:9} {step:8} {figures}")
    for kind in (APART, ALIKE):
        of, crowd = result[kind], result[kind]["crowd"]
        lines.append(
            f"{kind}: {of['plane_cpu_seconds']['p50']:.2f} s of the control plane's CPU a change, assign.json "
            f"{of['assign_bytes'] / 1000:.0f} kB; {crowd['boxes']} boxes at once: {crowd['seconds']} s, "
            f"{crowd['plane_cpu_ms_each']} ms of CPU each, {crowd['sync_ms_each']} of them for the Sync, "
            f"{crowd['again']} questions asked again"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four changes each, less than half a minute")
    parser.add_argument("--changes", type=int, default=Form.changes)
    parser.add_argument("--json", type=Path, default=Path("bench/results/assign.json"))
    options = parser.parse_args()
    form = QUICK if options.quick else Form(options.changes)
    with tempfile.TemporaryDirectory(prefix="longshore-assign-") as folder:
        sys.exit(proven(lambda: prove(Path(folder), form), table, options.json))


if __name__ == "__main__":
    main()
