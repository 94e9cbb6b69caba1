"""What networks for a user's own data give in torch, with folded weights.

Runs under .venv-train: python torch_answers.py FOLDER; FOLDER holds images.npy, and gets weights and answers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from models.network.net import Classifier, Convolutions, Detector, with_folded
from models.network.peaks import detections
from models.network.plan import classifier, detector
from models.network.start import begin

CLASSES = 3


def settled(network: Convolutions, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Folded weights of a network that began with the sample model's and saw a few batches since."""
    taken = begin(network, "harbour", images)
    assert taken >= 9
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(images.flip(2))
            network(images)
    return network.folded()


def main(folder: Path) -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)
    images = torch.from_numpy(np.load(folder / "images.npy"))
    size = images.shape[1]
    boxes = settled(Detector(detector(CLASSES), size), images)
    boxes["heat.weight"] *= 40  # as far apart as training makes them
    picture = settled(Classifier(classifier(), CLASSES), images)
    save_file(boxes, folder / "detector.safetensors")
    save_file(picture, folder / "classifier.safetensors")
    with torch.no_grad():
        found = detections(*with_folded(Detector(detector(CLASSES), size, folded=True), boxes)(images))
        logits = with_folded(Classifier(classifier(), CLASSES, folded=True), picture)(images)
    named = dict(zip(("boxes", "scores", "classes"), (part.numpy() for part in found), strict=True))
    np.savez(folder / "answers.npz", **named, verdict=logits.softmax(1).numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
