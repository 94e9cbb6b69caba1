"""What the committed weights give in torch. Runs under .venv-train: python torch_maps.py WEIGHTS IMAGES.npy OUT.npz."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load

from models.harbour.plan import PLAN, SIZE
from models.network.net import Detector, with_folded


def main(weights: Path, images: Path, out: Path) -> None:
    torch.set_num_threads(1)
    detector = with_folded(Detector(PLAN, SIZE, folded=True), load(weights.read_bytes()))
    with torch.no_grad():
        heat, reach = detector(torch.from_numpy(np.load(images)))
    np.savez(out, score=heat.sigmoid().numpy(), reach=reach.numpy())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
