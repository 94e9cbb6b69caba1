"""What a picture for a cloud node costs: `python -m bench.bench_jpeg [--quick] [--json FILE]`.

Pictures of 640×480 as a camera's decoder leaves them (planes of Y, U and V) through the very function of the capture
worker, for each quality and side that packaging's evaluation tries. Two kinds: the drawn harbour with its sensor noise,
by day and night, rain and fog, which is the hardest to compress; and the demo's film, which a camera's encoder has
smoothed, as all that comes by RTSP is. For each:

    bytes    the mean of a picture, and the largest
    ms       of one encoding, median and the 99th of 100, beside the thread's own CPU time

Goals: 30 KB at most and 1.5 ms in the median. A drawn picture of full size needs a quality for that, and the table
says which; what a decision pays for it in right answers stands in the manifest of its release.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from agent.cameras import drawing
from agent.cameras.colour import guess
from agent.cameras.harbour_scene import random_scene
from agent.cameras.letterbox import Pixels, resize_rgb
from agent.cameras.picture import PlanarPicture
from agent.cameras.source_av import Clip
from agent.types import View
from bench.telling import told
from controlplane.evaluating import profile
from protos.manifest import ImageInput

WIDTH, HEIGHT = 640, 480
MOST_BYTES, MOST_MS = 30_000, 1.5
FIRST_SEED = 700_000  # of no scene that anything was trained or judged on
CLIP = Path(__file__).parents[1] / "controlplane/up/demo/harbour.mp4"
EVERY = 10  # pictures of the film, between two that are taken


@dataclass(frozen=True)
class Point:
    """Of one kind of picture, quality and side. Milliseconds."""

    kind: str
    quality: int
    side: int
    mean_bytes: int
    most_bytes: int
    median_ms: float
    p99_ms: float
    cpu_ms: float


def planar(rgb: Pixels) -> PlanarPicture:
    """As a decoder would leave it."""
    i420 = np.asarray(cv2.cvtColor(resize_rgb(rgb, HEIGHT, WIDTH), cv2.COLOR_RGB2YUV_I420), np.uint8)
    flat, luma = i420.reshape(-1), HEIGHT * WIDTH
    halves = flat[luma:].reshape(2, HEIGHT // 2, WIDTH // 2)
    planes = (flat[:luma].reshape(HEIGHT, WIDTH), halves[0], halves[1])
    return PlanarPicture(planes, guess(None, HEIGHT, full_range=False))


def drawn(count: int) -> list[PlanarPicture]:
    return [planar(np.asarray(random_scene(FIRST_SEED + number)[0], np.uint8)) for number in range(count)]


def filmed(count: int) -> list[PlanarPicture]:
    return [planar(picture) for picture in islice(_film(), 0, count * EVERY, EVERY)]


def _film() -> Iterator[Pixels]:
    film = Clip(str(CLIP))
    try:
        while (shot := film.read()) is not None:
            yield shot.picture.rgb(WIDTH)
    finally:
        film.close()


def measured(kind: str, pictures: list[PlanarPicture], view: View, turns: int) -> Point:
    sizes, taken, cpu = [], [], []
    drawing.encode(pictures[0], view)
    for picture in pictures * turns:
        began, spent = time.perf_counter(), time.thread_time()
        sizes.append(len(drawing.encode(picture, view)))
        cpu.append(1000 * (time.thread_time() - spent))
        taken.append(1000 * (time.perf_counter() - began))
    return Point(
        kind,
        view.quality,
        view.max_side,
        round(statistics.mean(sizes)),
        max(sizes),
        round(statistics.median(taken), 3),
        round(float(np.percentile(taken, 99)), 3),
        round(statistics.median(cpu), 3),
    )


def missed(points: list[Point]) -> list[str]:
    """What is beyond a goal, in sentences."""
    slow = [
        f"{each.kind}: quality {each.quality} at {each.side} px takes {each.median_ms} ms, of {MOST_MS}"
        for each in points
        if each.median_ms > MOST_MS
    ]
    kinds = dict.fromkeys(each.kind for each in points)
    large = [f"{kind}: no quality of a whole picture keeps within {MOST_BYTES} bytes" for kind in kinds]
    return slow + [sentence for kind, sentence in zip(kinds, large, strict=True) if best(points, kind) is None]


def best(points: list[Point], kind: str) -> Point | None:
    """The best quality of a picture of full size whose mean keeps within the goal."""
    fits = [each for each in points if (each.kind, each.side) == (kind, WIDTH) and each.mean_bytes <= MOST_BYTES]
    return max(fits, key=lambda each: each.quality, default=None)


def table(points: list[Point]) -> str:
    lines = [f"{'pictures':10}{'quality':>8}{'side':>6}{'bytes':>8}{'most':>8}{'ms':>8}{'p99':>8}{'cpu':>8}"]
    lines += [
        f"{each.kind:10}{each.quality:8}{each.side:6}{each.mean_bytes:8}{each.most_bytes:8}"
        f"{each.median_ms:8.3f}{each.p99_ms:8.3f}{each.cpu_ms:8.3f}"
        for each in points
    ]
    for kind in dict.fromkeys(each.kind for each in points):
        if found := best(points, kind):
            lines.append(f"{kind}: within {MOST_BYTES} bytes up to quality {found.quality} of a whole picture")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="eight pictures of each kind")
    parser.add_argument("--json", type=Path, default=Path("bench/results/jpeg.json"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    count, turns = (8, 3) if options.quick else (48, 5)
    kinds = {"drawn": drawn(count), "filmed": filmed(count)}
    views = [View(side, quality) for quality, side in profile.grid(ImageInput("image", HEIGHT, WIDTH))]
    points = [measured(kind, pictures, view, turns) for kind, pictures in kinds.items() for view in views]
    beyond = missed(points)
    result = {
        "load": os.getloadavg()[0],
        "quick": options.quick,
        "pictures": count,
        "goals": {"bytes": MOST_BYTES, "ms": MOST_MS, "met": not beyond},
        "points": [asdict(each) for each in points],
    }
    sys.exit(told(table(points), result, beyond, options.json))


if __name__ == "__main__":
    main()
