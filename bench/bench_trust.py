"""Changed bytes and kills while a box updates: `python -m bench.bench_trust [--flips N] [--kills N] [--json FILE]`.

- one byte changed in a file that a box downloads, each byte of timestamp, snapshot and manifest and many more of all:
  refused, or what is approved and loaded is the same; what answers stays whole;
- kill -9 at random moments of an update from signed metadata: without a network the old release answers or the new one,
  whole, and with one the update ends as it would have.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.telling import told
from tests.crash import kills
from tests.crash.boxes import Boxes
from tests.sim.flips import Flips, Tally

SEED = 2027
SHARED_MEMORY = Path("/dev/shm")


async def flipped(folder: Path, count: int) -> dict[str, Any]:
    """`count` in all; those of which each byte is changed come first."""
    flips, tally = Flips(folder), Tally()
    await flips.begin()
    everywhere = list(flips.everywhere())
    rest = flips.some(max(0, count - len(everywhere)), SEED)
    for flip in itertools.islice(itertools.chain(everywhere, rest), count):
        await flips.run(flip, tally)
    return {
        "changed": count,
        "each_byte_of": len(everywhere),
        "refused": dict(tally.refused),
        "same": dict(tally.same),
        "missed": tally.wrong,
    }


def killed(folder: Path, count: int) -> dict[str, Any]:
    boxes, chance = Boxes(folder), random.Random(SEED)
    longest, felled, missed = kills.duration(boxes, kills.UPDATE), 0, list[str]()
    for _ in range(count):
        after = chance.uniform(0.0, longest)
        was_killed, wrong = kills.complaints(boxes, kills.UPDATE, after)
        felled += was_killed
        missed += [f"killed after {after:.4f} s: {sentence}" for sentence in wrong]
    boxes.close()
    return {"kills": count, "before_it_had_ended": felled, "update_seconds": round(longest, 3), "missed": missed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--json", type=Path, default=Path("bench/results/trust.json"))
    options = parser.parse_args()
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="longshore-trust-", dir=parent) as folder:
        felled = killed(Path(folder), options.kills)
    with tempfile.TemporaryDirectory(prefix="longshore-trust-", dir=parent) as folder:
        changed = asyncio.run(flipped(Path(folder), options.flips))
    refused, same = (sum(changed[how].values()) for how in ("refused", "same"))
    shown = (
        f"{refused + same} changed bytes: {refused} refused, {same} without any difference\n"
        f"{felled['kills']} kills, {felled['before_it_had_ended']} of them before the update had ended"
    )
    missed = [*changed["missed"], *felled["missed"]]
    sys.exit(told(shown, {"flips": changed, "kills": felled}, missed, options.json))


if __name__ == "__main__":
    main()
