"""An outbox on a bad disk: `python -m bench.bench_power [--quick] [--workers N] [--json FILE]`.

- the power goes at every write and every sync of a thousand records' life, un-synced writes torn, reordered and lost:
  the database opens, nothing accepted is lost, every number is stored or declared, the next life goes on;
- every n-th write, sync, truncation, creation and removal fails, once and until the disk is mended, with each of three
  errors: nothing ends, the books are even;
- system calls of a real agent fail: cameras are answered, it goes on, records are accepted again within ten seconds;
- a volume is full by us and by others, and kill -9 comes while it is.

Power cuts of a whole machine are `python -m bench.power.guests`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.power import agents
from bench.telling import Result, told
from tests.crash import disk_faults, full_volume, power_cuts
from tests.sim.disk import shim

RECORDS = 1000
SEED = 7
RECOVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Form:
    """`every`: power cuts at every so many entries of the log; `nth`: faults at every so many operations."""

    every: int = 1
    nth: int = 1
    samples: int = 20
    workers: int = os.cpu_count() or 1


QUICK = Form(every=60, nth=70, samples=2)


def cut(folder: Path, form: Form) -> Result:
    """Images of an outbox's disk, each lived in."""
    log = power_cuts.recorded(folder, RECORDS, SEED)
    whole = power_cuts.whole(log, folder / "disk")
    found = power_cuts.cut(log, SEED, form.every, form.workers)
    missed = [] if whole else ["the log of disk operations is not the whole of them"]
    missed += [f"no more than {found.accepted} records were accepted"] if found.accepted < RECORDS // 2 else []
    return {
        "records": RECORDS,
        "writes_and_syncs": found.cuts,
        "cut_at_every": form.every,
        "images": dict(sorted(found.images.items())),
        "accepted": found.accepted,
        "declared": found.declared,
        "images_with_a_loss": found.red,
        "missed": missed + found.wrong,
    }


def failed(form: Form) -> Result:
    """Operations of an outbox that failed."""
    found = disk_faults.swept(form.nth, form.workers)
    missed = [sentence for each in found.values() for sentence in each["wrong"]]
    missed += [f"{name}: nothing failed" for name, each in found.items() if not each["fired"]]
    slowest = max(each["slowest"] for each in found.values())
    if slowest > RECOVERY_SECONDS:
        missed.append(f"{slowest} s until an outbox could be written again")
    return {
        "lives": sum(each["cases"] for each in found.values()),
        "lives_with_a_fault": sum(each["fired"] for each in found.values()),
        "records_doubted": sum(each["doubted"] for each in found.values()),
        "slowest_recovery_seconds": slowest,
        "by_operation_and_error": {name: _counts(each) for name, each in found.items()},
        "missed": missed,
    }


def _counts(found: dict[str, Any]) -> dict[str, int]:
    return {"lives": found["cases"], "with_a_fault": found["fired"]}


def filled(folder: Path) -> Result:
    """Small volumes, all three at once: they mostly wait."""
    with ThreadPoolExecutor(len(full_volume.STORIES)) as pool:
        seen = dict(
            zip(
                full_volume.STORIES,
                pool.map(lambda story: full_volume.told(folder, story), full_volume.STORIES),
                strict=True,
            )
        )
    return {**seen, "missed": full(seen)}


def full(seen: dict[str, dict[str, Any]]) -> list[str]:
    """What a full volume did that it must not. Pure."""
    ours, others, killed = (seen[story] for story in full_volume.STORIES)
    missed = [f"{story}: {sentence}" for story, each in seen.items() for sentence in each["wrong"]]
    missed += [f"ours: {sentence}" for sentence in ours["troubles"]]
    if not ours["dropped"]:
        missed.append("ours: the outbox never had to make room")
    if ours["left"] > ours["most"] // 2:
        missed.append(f"ours: {ours['left']} of {ours['most']} bytes are not given back")
    if not others["trouble"]:
        missed.append("others: the full volume was not noticed")
    if others["recovered"] > RECOVERY_SECONDS:
        missed.append(f"others: {others['recovered']} s until records were accepted again")
    missed += [f"others: {sentence}" for sentence in others["unsettled"]]
    if not killed["lower_bounds"]:
        missed.append("killed: what was refused before the kill is not declared as a lower bound")
    return missed + [f"killed: {sentence}" for sentence in killed["unsaid"]]


def prove(folder: Path, form: Form) -> Result:
    """What this machine can't do is told under `skipped`."""
    parts: dict[str, tuple[str, bool, Callable[[], Result]]] = {
        "power_cuts": (shim.MISSING, shim.buildable(), lambda: cut(folder, form)),
        "faults": (shim.MISSING, shim.buildable(), lambda: failed(form)),
        "agent": (agents.MISSING, agents.possible(), lambda: asyncio.run(agents.prove(folder, form.samples))),
        "volumes": (full_volume.MISSING, full_volume.possible(folder), lambda: filled(folder)),
    }
    result: Result = {"skipped": {name: why for name, (why, possible, _) in parts.items() if not possible}}
    for name, (_, possible, part) in parts.items():
        if possible:
            began = time.monotonic()
            result[name] = {**part(), "seconds": round(time.monotonic() - began, 1)}
    missed = [sentence for name in parts if name in result for sentence in result[name].pop("missed")]
    missed += [f"skipped: {why}" for why in result["skipped"].values()]
    return {**asdict(form), "seed": SEED, **result, "missed": missed}


def table(result: Result) -> str:
    rows: list[tuple[str, object, str]] = []
    if cuts := result.get("power_cuts"):
        rows += [
            ("writes and syncs of 1,000 records", cuts["writes_and_syncs"], ""),
            ("images of the disk after a power cut", sum(cuts["images"].values()), ""),
            ("of them with a loss", cuts["images_with_a_loss"], "0"),
        ]
    if faults := result.get("faults"):
        rows.append(("lives in which an operation failed", faults["lives_with_a_fault"], ""))
    if agent := result.get("agent"):
        rows += [
            ("bad disks of a real agent", agent["samples"], ""),
            ("system calls that failed", agent["calls_failed"], ""),
            ("frames answered meanwhile", agent["frames_answered_meanwhile"], ""),
            ("seconds until it recovered, most", agent["recovered_seconds"]["most"], "10"),
        ]
    if volumes := result.get("volumes"):
        rows += [
            ("full by us: bytes of the volume taken, most", volumes["ours"]["most"], str(volumes["ours"]["volume"])),
            ("bytes that are left when all is delivered", volumes["ours"]["left"], ""),
            ("full by others: seconds until recovered", volumes["others"]["recovered"], "10"),
            ("killed while full: declared as lower bounds", volumes["killed"]["lower_bounds"], ""),
        ]
    return "\n".join(f"{name:46} {value!s:>12}  {allowed}" for name, value, allowed in [("", "", "allowed"), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a part of each, less than a minute")
    parser.add_argument("--workers", type=int, default=Form.workers)
    parser.add_argument("--json", type=Path, default=Path("bench/results/power.json"))
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # each bad disk is one
    form = QUICK if options.quick else Form(workers=options.workers)
    with tempfile.TemporaryDirectory(dir=power_cuts.MEMORY) as folder:
        result = prove(Path(folder), form)
    sys.exit(told(table(result), result, result["missed"], options.json))


if __name__ == "__main__":
    main()
