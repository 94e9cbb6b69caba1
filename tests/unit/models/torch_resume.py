"""Train a small detector twice, once with a stop in the middle; print how far the two ended apart, and more.

Runs under .venv-train: python torch_resume.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.network.net import Detector
from models.network.peaks import losses
from models.network.plan import small_detector
from models.run.fitting import Course, fit
from models.run.folder import RunFolder, Stopped
from protos.errors import Rejected

SIZE = 64


def trained(folder: Path, stop_at: int = 0) -> tuple[Detector, list[dict[str, float]]]:
    """A detector after two epochs of four steps; asked to stop at step `stop_at`, and then gone on with afresh."""
    torch.manual_seed(3)
    torch.set_num_threads(1)
    run, network, steps = RunFolder(folder), Detector(small_detector(2), SIZE), 0

    def loss(rng: np.random.Generator) -> Tensor:
        nonlocal steps
        steps += 1
        run.stopping = steps == stop_at
        images = torch.from_numpy(rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8))
        corner = rng.uniform(0, 0.5, (2, 1, 2))
        rows = np.concatenate([corner, corner + 0.4, rng.integers(0, 2, (2, 1, 1))], 2).astype(np.float32)
        heat, reach = network(images)
        score_loss, box_loss = losses(heat, reach, torch.from_numpy(rows), 0.11, SIZE)
        return score_loss + box_loss

    def judge() -> dict[str, float]:
        return {"weight": float(network.layers["reach"].weight.abs().mean())}

    try:
        position = fit(network, Course(2, 4, 4e-3, 1e-4, 5), run, loss, judge)
    except Stopped:
        return trained(folder)
    return network, position.history


def main(folder: Path) -> None:
    (whole, whole_history), (halves, history) = trained(folder / "whole"), trained(folder / "halves", stop_at=6)
    pairs = zip(whole.state_dict().values(), halves.state_dict().values(), strict=True)
    apart = max(float((one.double() - other.double()).abs().max()) for one, other in pairs)
    fresh, stem = Detector(small_detector(2), SIZE), "layers.stem.0.weight"
    moved = float((whole.state_dict()[stem] - fresh.state_dict()[stem]).abs().max())
    result = {"apart": apart, "moved": moved, "histories": [whole_history, history]}
    print(json.dumps(result | damaged(RunFolder(folder / "damaged").work / "checkpoint.safetensors")))


def damaged(file: Path) -> dict[str, str]:
    """What is said of a checkpoint that is no checkpoint, and what lies there afterwards."""
    file.write_bytes(b"half a file")
    try:
        trained(file.parents[1])
    except Rejected as error:
        return {"refused": str(error), "left": file.read_text()}
    return {"refused": "", "left": ""}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
