"""Do numbers stay with things, and what does that cost: `python -m bench.bench_tracking [--seconds N] [--json FILE]`.

Scenes with known truth (bench/tracking_scenes.py) at several rates, with frames lost, boxes missed and others of
nothing, against limits. `perfect` is the IDF1 of who knows every box's thing, and forgets it when the tracker has to:
nobody can number what is missed.
The cost is one frame with 30 boxes, tracker alone, and with two zones and two lines as the agent does it.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.tracking.following import Following
from agent.tracking.rules import Marks
from agent.tracking.tracker import KEEP_SECONDS, Tracker
from agent.types import Box, Finished, Line, Tap, Zone
from bench.telling import told
from bench.tracking_quality import HIDDEN, Quality
from bench.tracking_scenes import Scene, crowd, harbour, watch
from protos.ids import CameraName, DeploymentName, Digest
from protos.outcomes import Outcome

SEEDS = range(4)
SCENES = {"harbour": harbour, "crowd": crowd}
RATES = (2.0, 5.0, 10.0, 25.0)
LOST = 0.1  # of the frames
LEAST_OF_PERFECT = {"harbour": 0.9, "crowd": 0.35}  # from 5 frames a second on
MOST_MS = 0.3


@dataclass(frozen=True)
class Case:
    scene: str
    rate: float


def measured(case: Case, seconds: float) -> dict[str, Any]:
    """The mean of the seeds."""
    both = [run(SCENES[case.scene](seed), seconds, case.rate, seed) for seed in SEEDS]
    runs = [quality for quality, _ in both]
    return {
        "scene": case.scene,
        "rate": case.rate,
        "idf1": round(statistics.mean(each.idf1 for each in runs), 4),
        "idf1_perfect": round(statistics.mean(perfect.idf1 for _, perfect in both), 4),
        "mota": round(statistics.mean(each.mota for each in runs), 4),
        "switches_per_1000_sightings": round(1000 * sum(r.switches for r in runs) / sum(r.right for r in runs), 2),
        "kept_when_unseen": dict(_kept(runs)),
    }


def run(scene: Scene, seconds: float, rate: float, seed: int) -> tuple[Quality, Quality]:
    """The tracker's, and that of who knows."""
    tracker, quality, perfect = Tracker(), Quality(), Quality()
    known = _Knowing()
    for sight in watch(scene, seconds, rate, LOST, seed):
        seen = tracker.see(sight.boxes, sight.captured)
        quality.add(sight, [track.number if track else 0 for track in seen.tracks])
        perfect.add(sight, [known.number(who, sight.captured) for who in sight.whose])
    return quality, perfect


class _Knowing:
    """Gives the same thing the same number, unless it was unseen for longer than a tracker keeps it."""

    def __init__(self) -> None:
        self._given = 0
        self._known: dict[Hashable, tuple[int, float]] = {}

    def number(self, who: Hashable | None, captured: float) -> int:
        if who is None:
            return 0
        number, seen = self._known.get(who, (0, -math.inf))
        if captured - seen > KEEP_SECONDS:
            number = self._given = self._given + 1
        self._known[who] = number, captured
        return number


def _kept(runs: list[Quality]) -> Iterator[tuple[str, dict[str, float | int]]]:
    for place, least in enumerate(HIDDEN):
        hidden = sum(each.hidden[place] for each in runs)
        if hidden:
            most = f"–{HIDDEN[place + 1]:g} s" if place + 1 < len(HIDDEN) else " s and more"
            yield f"{least:g}{most}", {"times": hidden, "kept": round(sum(r.kept[place] for r in runs) / hidden, 4)}


def cost_ms(see: Callable[[tuple[Box, ...], float], object], boxes: int = 30, frames: int = 600) -> dict[str, float]:
    """A frame of that many people who walk about."""
    spent = []
    for frame in range(frames):
        found = tuple(_walker(number, frame / 10) for number in range(boxes))
        started = time.perf_counter()
        see(found, 1000 + frame / 10)
        spent.append((time.perf_counter() - started) * 1000)
    spent.sort()
    return {"p50": round(statistics.median(spent), 4), "p99": round(spent[int(0.99 * len(spent))], 4)}


def following() -> Callable[[tuple[Box, ...], float], object]:
    """All that the agent does with an answer's boxes."""
    tap, made = Tap(CameraName("quay"), DeploymentName("watch")), Following()
    zones = tuple(Zone(f"zone-{x}", ((x, 0.2), (x + 0.4, 0.2), (x + 0.4, 1.0), (x, 1.0)), 5.0) for x in (0.0, 0.5))
    lines = tuple(Line(f"line-{x}", ((x, 1.0), (x, 0.0))) for x in (0.3, 0.6))
    made.plan({tap.camera: Marks(zones, lines)}, {tap})
    release = Digest("sha256:" + "a" * 64)

    def follow(boxes: tuple[Box, ...], captured: float) -> object:
        return made.follow(Finished(tap, 1, Outcome.OK_LOCAL, captured, 0, captured, boxes, release))

    return follow


def _walker(number: int, t: float) -> Box:
    x = (number * 0.137 + 0.01 * (number % 7 - 3) * t) % 0.94
    y = (number * 0.311) % 0.8
    return Box(x, y, x + 0.06, y + 0.16, 0.4 + 0.5 * (number % 10) / 10, "person")


def row(case: dict[str, Any]) -> str:
    kept = ", ".join(f"{span} {what['kept']:.1%} of {what['times']}" for span, what in case["kept_when_unseen"].items())
    return (
        f"{case['scene']:8} {case['rate']:4g}/s  IDF1 {case['idf1']:.3f} of {case['idf1_perfect']:.3f}  "
        f"MOTA {case['mota']:.3f}  switches {case['switches_per_1000_sightings']:5.2f} of 1000  "
        f"kept when unseen {kept}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each scene")
    parser.add_argument("--json", type=Path, default=Path("bench/results/tracking.json"))
    options = parser.parse_args()
    cases = [measured(Case(scene, rate), options.seconds) for scene in SCENES for rate in RATES]
    cost = {"tracker": cost_ms(Tracker().see), "all": cost_ms(following())}
    lines = [row(each) for each in cases]
    lines += [
        f"a frame with 30 boxes, {what}: {spent['p50']:.3f} ms, p99 {spent['p99']:.3f} ms"
        for what, spent in cost.items()
    ]
    result = {"seconds": options.seconds, "seeds": len(SEEDS), "frames_lost": LOST,
              "cases": cases, "frame_of_30_boxes_ms": cost}  # fmt: skip
    judged = [each for each in cases if each["rate"] >= 5]
    missed = [f"{each['scene']} at {each['rate']:g}/s: IDF1 {each['idf1']}" for each in judged
              if each["idf1"] < LEAST_OF_PERFECT[each["scene"]] * each["idf1_perfect"]]  # fmt: skip
    missed += [f"{cost['tracker']['p50']} ms a frame"] if cost["tracker"]["p50"] > MOST_MS else []
    sys.exit(told("\n".join(lines), result, missed, options.json))


if __name__ == "__main__":
    main()
