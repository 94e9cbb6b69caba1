"""What a camera costs, against bare decoding: `python -m bench.bench_cameras [--quick] [--json FILE]`.

Two questions, each asked in turns so that other work on the machine meets all sides; figures are medians of the rounds,
ratios those of each round's own. Processor time counts, not time: the machine may have other work.

* **A picture**: 720p H.264 to a letterboxed 640 tensor in shared memory, by our capture code, by bare decoding with
  PyAV on one thread, and the usual way with OpenCV. Limit: 1.25 times bare decoding.
* **Streams**: cameras that play in real time through real capture workers, each feeding one deployment, beside as many
  streams that are only decoded. Limit: 0.75 of the decode-only streams a core has room for. Aims: 100 streams a core at
  640x360 and 10 pictures a second; 8 at 1080p and 30, of which 5 are looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from agent.cameras.messages import FrameReady, SetTap
from agent.cameras.source_av import Clip
from agent.cameras.tap import TapWriter
from agent.types import CameraState, ModelInput
from agent.workers.memory import SharedSlots
from bench.bare_decode import WARM_SECONDS
from bench.processes import core_seconds_of
from bench.telling import told
from tests.sim.clips import write_card
from tests.sim.yard import Yard, plan, tap

INPUT = ModelInput(640, 640)
PICTURE_LIMIT = 1.25  # of bare decoding's processor time
STREAMS_LIMIT = 0.75  # of decode-only streams


@dataclass(frozen=True)
class Kind:
    """Cameras of one kind. `rate` of their pictures are looked at; `aim` is streams a core, 0 where none is set."""

    size: tuple[int, int]
    pictures: int  # a second
    rate: int
    b_frames: int
    bits: int
    cameras: int
    aim: int = 0

    @property
    def name(self) -> str:
        looked = "" if self.rate == self.pictures else f"→{self.rate}"
        return f"{self.size[0]}x{self.size[1]}@{self.pictures}{looked}{' B' if self.b_frames else ''}"


PICTURE = Kind((1280, 720), 25, 25, 2, 3_000_000, 1)
KINDS = (
    Kind((640, 360), 10, 10, 0, 800_000, 8, 100),
    Kind((640, 360), 10, 10, 2, 800_000, 8, 100),
    Kind((1920, 1080), 30, 5, 0, 5_000_000, 2, 8),
    Kind((1920, 1080), 30, 5, 2, 5_000_000, 2, 8),
)


# ---- a picture ----


def bare(clip: Path) -> int:
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def captured(clip: Path, writer: TapWriter) -> int:
    film, count = Clip(str(clip)), 0
    while (shot := film.read()) is not None:
        told = writer.offer(shot)
        assert isinstance(told, FrameReady)
        writer.release(told.slot)
        count += 1
    film.close()
    return count


def usual(clip: Path) -> int:
    """As most tutorials have it: read, shrink, pad, float, planes first."""
    film, count = cv2.VideoCapture(str(clip)), 0
    while (read := film.read())[0]:
        rgb = cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        small = cv2.resize(rgb, (640, 360))
        boxed = cv2.copyMakeBorder(small, 140, 140, 0, 0, cv2.BORDER_CONSTANT, value=(114, 114, 114))
        tensor = np.ascontiguousarray((boxed.astype(np.float32) / 255).transpose(2, 0, 1))
        count += tensor.shape[0] == 3
    film.release()
    return count


def picture(folder: Path, rounds: int, pictures: int) -> dict[str, Any]:
    cv2.setNumThreads(1)  # as in a capture worker
    clip = write_card(folder / "picture.mp4", PICTURE.size, PICTURE.pictures, pictures, PICTURE.b_frames, PICTURE.bits)
    memory = SharedSlots.create(2, INPUT.nbytes)
    writer = TapWriter(SetTap(1, "quay", 2, INPUT, 1, []), os.dup(memory.fd))
    ways: dict[str, Callable[[], int]] = {
        "bare decoding": lambda: bare(clip),
        "capture": lambda: captured(clip, writer),
        "usual OpenCV": lambda: usual(clip),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in _turned(list(ways), number):
            before = time.process_time()
            assert ways[name]() == pictures
            taken[name].append((time.process_time() - before) / pictures)
    writer.close()
    memory.close()
    return {
        name: {
            "milliseconds": round(1e3 * statistics.median(each), 3),
            "of_bare": round(_ratio(each, taken["bare decoding"]), 3),
        }
        for name, each in taken.items()
    }


# ---- streams ----


@dataclass
class Costs:
    """Processor seconds a picture, of each round."""

    workers: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    kept_up: list[float] = field(default_factory=list)  # share of the pictures that were due


async def streams(kind: Kind, folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    clip = folder / "stream.mp4"
    write_card(clip, kind.size, kind.pictures, 4 * kind.pictures, kind.b_frames, kind.bits)
    costs = Costs()
    for number in range(rounds):
        for side in _turned(["workers", "bare"], number):
            if side == "workers":
                await _workers(kind, clip, seconds, costs)
            else:
                costs.bare.append(await asyncio.to_thread(_bare_streams, kind, clip, seconds))
    per_core = [1 / (cost * kind.pictures) for cost in costs.workers]
    return {
        "cameras": kind.cameras,
        "streams_per_core": round(statistics.median(per_core), 1),
        "decode_only_per_core": round(statistics.median(1 / (cost * kind.pictures) for cost in costs.bare), 1),
        "of_decode_only": round(_ratio(costs.bare, costs.workers), 3),
        "kept_up": round(statistics.median(costs.kept_up), 3),
        "aim": kind.aim,
    }


async def _workers(kind: Kind, clip: Path, seconds: float, costs: Costs) -> None:
    """One round through real capture workers."""
    yard = Yard()
    names = [f"quay-{number}" for number in range(kind.cameras)]
    plans = [plan(name, f"file://{clip}", kind.rate) for name in names]
    await yard.apply(*plans, taps={tap(name): INPUT for name in names})
    await yard.until(lambda: all(yard.state(name) is CameraState.RUNNING for name in names))
    await asyncio.sleep(WARM_SECONDS)
    pids = yard.captures.worker_pids
    before = (_pictures(yard), core_seconds_of(pids))
    await asyncio.sleep(seconds)
    pictures, cpu = _pictures(yard) - before[0], core_seconds_of(pids) - before[1]
    await yard.captures.close()
    costs.workers.append(cpu / pictures)
    costs.kept_up.append(pictures / (kind.pictures * kind.cameras * seconds))


def _bare_streams(kind: Kind, clip: Path, seconds: float) -> float:
    command = [sys.executable, "-m", "bench.bare_decode", str(clip), str(kind.cameras), str(seconds)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return float(told["cpu_seconds"]) / int(told["pictures"])


def _pictures(yard: Yard) -> int:
    return sum(stats.pictures for stats in yard.captures.stats().values())


def _turned(names: list[str], number: int) -> list[str]:
    turn = number % len(names)
    return [*names[turn:], *names[:turn]]


def _ratio(mine: list[float], theirs: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(mine, theirs, strict=True))


# ---- what is told ----


def table(result: dict[str, Any]) -> str:
    lines = ["720p H.264 to a 640 tensor"]
    lines += [
        f"  {name:16} {each['milliseconds']:7.2f} ms   {each['of_bare']:5.2f} of bare decoding"
        for name, each in result["picture"].items()
    ]
    lines.append("streams a core, decoded and fitted")
    lines += [
        f"  {name:16} {each['streams_per_core']:7.1f}      {each['of_decode_only']:5.2f} of decode-only"
        f" ({each['decode_only_per_core']:.1f}), aim {each['aim']}"
        for name, each in result["streams"].items()
    ]
    return "\n".join(lines)


def missed(result: dict[str, Any]) -> list[str]:
    cost = result["picture"]["capture"]["of_bare"]
    found = [f"a picture takes {cost:.2f} of bare decoding, of {PICTURE_LIMIT}"] if cost > PICTURE_LIMIT else []
    for name, each in result["streams"].items():
        if each["of_decode_only"] < STREAMS_LIMIT:
            found.append(f"{name}: {each['of_decode_only']:.2f} of decode-only streams, of {STREAMS_LIMIT}")
    return found


async def measure(*, quick: bool) -> dict[str, Any]:
    rounds, seconds = (1, 2.0) if quick else (5, 6.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "picture": picture(folder, 3 if quick else 9, 60 if quick else 200),
            "streams": {kind.name: await streams(kind, folder, rounds, seconds) for kind in KINDS},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, and rough; kept only with --json")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    kept = options.json or (None if options.quick else Path("bench/results/cameras.json"))
    before = os.getloadavg()[0]
    result = asyncio.run(measure(quick=options.quick))
    load = [round(before, 2), round(os.getloadavg()[0], 2)]
    limits = {"picture": PICTURE_LIMIT, "streams": STREAMS_LIMIT}
    written = {"load": load, "quick": options.quick, "limits": limits, **result}
    sys.exit(told(table(result), written, missed(result), kept))


if __name__ == "__main__":
    main()
