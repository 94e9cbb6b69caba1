"""Pictures a second that the sample model's recipe trains: `python -m bench.gpu.training STEPS BATCH`, with torch.

The recipe's own loop runs, with its loss, precision and optimiser; the pictures are noise, since drawing them is not
what is measured. One JSON object on the last line of standard output.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from models.harbour.plan import SIZE
from models.harbour.scenes import MOST_OBJECTS, Stills
from models.harbour.settings import Settings
from models.harbour.train import fitted
from models.run.folder import RunFolder
from models.run.machine import this_machine

OBJECTS = 10  # of a picture


class Timed(RunFolder):
    """Notes when each step ended."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ends: list[float] = []

    def progress(self, *_: object, **more: object) -> None:
        if "metrics" not in more:
            self.ends.append(time.perf_counter())


def noise(count: int) -> Stills:
    chance = np.random.default_rng(1)
    truth = np.full((count, MOST_OBJECTS, 5), -1, np.float32)
    low = chance.uniform(0.25, 0.6, (count, OBJECTS, 2))
    truth[:, :OBJECTS, :2], truth[:, :OBJECTS, 2:4] = low, low + chance.uniform(0.05, 0.12, low.shape)
    truth[:, :OBJECTS, 4] = chance.integers(0, 4, (count, OBJECTS))
    return Stills(chance.integers(0, 255, (count, SIZE * 9 // 16, SIZE, 3), np.uint8), truth)


def measured(steps: int, batch: int) -> dict[str, Any]:
    """The first steps, which warm it up, do not count."""
    settings = Settings(epochs=1, batch=batch, threads=0)
    machine = this_machine(settings.threads, half=settings.half)
    with tempfile.TemporaryDirectory() as place:
        run = Timed(Path(place))
        fitted(settings, (noise(steps * batch), noise(1)), run, machine)
    took = np.diff(run.ends)[max(1, steps // 4) :]
    return {
        "device": machine.device.type,
        "machine": machine.words,
        "bfloat16": machine.half,
        "batch": batch,
        "steps": len(took),
        "images_per_second": round(batch / statistics.median(took), 1),
    }


if __name__ == "__main__":
    print(json.dumps(measured(int(sys.argv[1]), int(sys.argv[2]))))
