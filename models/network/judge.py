"""How good a detector is on pictures at hand: average precision of what its maps mean, without leaving torch."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from models.metric import Found, average_precision
from models.network.net import Detector
from models.network.peaks import detections

Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]  # squares; rows of box in 0..1 and class or -1


def average_precisions(
    network: Detector, batches: Iterable[Batch], classes: int, device: torch.device, breathe: Callable[[], None]
) -> list[float]:
    """AP50 of each class over all pictures; nan where there is none of it."""
    found: list[list[Found]] = [[] for _ in range(classes)]
    true: list[list[Found]] = [[] for _ in range(classes)]
    for images, rows in batches:
        breathe()
        with torch.no_grad():
            answer = detections(*network(torch.from_numpy(images).to(device)))
        boxes, scores, labels = (part.cpu().numpy() for part in answer)
        for picture in range(len(images)):
            _sort_in(found, boxes[picture], scores[picture], labels[picture])
            real = rows[picture][rows[picture][:, 4] >= 0]
            _sort_in(true, real[:, :4], np.ones(len(real)), real[:, 4])
    return [average_precision(found[label], true[label]) for label in range(classes)]


def _sort_in(
    by_class: list[list[Found]], boxes: NDArray[np.float32], scores: NDArray[np.float64], labels: object
) -> None:
    for label, pictures in enumerate(by_class):
        chosen = (np.asarray(labels) == label) & (scores > 0)
        pictures.append(Found(boxes[chosen].astype(np.float64), scores[chosen].astype(np.float64)))


def mean_precision(values: Iterable[float]) -> float:
    """mAP50: the mean over the classes that are there; 0 when none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else 0.0
