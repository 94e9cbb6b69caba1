"""Pages of a fleet of 200 boxes and 400 cameras, each against its limit: `python -m bench.bench_pages [--boxes N]`.

What a page costs once somebody has it open: a view each second, from a database that goes on filling. Prints medians in
milliseconds of ten views, each after all boxes told another two seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.telling import told
from controlplane.ui.fleet_pages import PAGES
from controlplane.ui.page import Asked
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.large_fleet import LargeFleet

VIEWS = 10
LIMIT_MS = {"/": 500.0, "/cameras": 500.0}  # a view a second then leaves half a core


def measured(boxes: int) -> dict[str, float]:
    """Median milliseconds of a view, by page."""
    with tempfile.TemporaryDirectory() as place:
        clock = FakeClock()
        plane = SimControlPlane(Path(place), clock)
        try:
            fleet = LargeFleet(plane.services, boxes)
            fleet.join()
            fleet.report()
            fleet.history(minutes=2)
            makers = {page.path: page.make(plane.services, Asked()) for page in PAGES if page.path in LIMIT_MS}
            took: dict[str, list[float]] = {path: [] for path in makers}
            clock.tick(10.0)  # what was stored at once is not what came in last
            for _ in range(VIEWS + 1):  # the first reads everything, and is not counted
                clock.tick(2.0)
                fleet.tick()
                for path, make in makers.items():
                    began = time.perf_counter()
                    make()
                    took[path].append(1000 * (time.perf_counter() - began))
        finally:
            plane.close()
    return {path: statistics.median(each[1:]) for path, each in took.items()}


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=200)
    boxes = parser.parse_args(words).boxes
    found = measured(boxes)
    lines = [f"{'PAGE':<12}{'MEDIAN':>10}{'LIMIT':>10}{'RATIO':>8}"]
    lines += [
        f"{path:<12}{ms:>7.0f} ms{LIMIT_MS[path]:>7.0f} ms{ms / LIMIT_MS[path]:>8.2f}" for path, ms in found.items()
    ]
    result = {"boxes": boxes, "medianMs": found, "limitMs": LIMIT_MS}
    missed = [path for path, ms in found.items() if ms > LIMIT_MS[path]]
    return int(told("\n".join(lines), result, missed, Path(__file__).parent / "results" / "pages.json"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
