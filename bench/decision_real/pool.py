"""Pictures of the synthetic harbour and their truth, drawn once and given to the box as a file."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np

from agent.cameras.harbour_scene import CLASSES, Truth, random_scene
from agent.cameras.letterbox import Pixels
from agent.types import Box

WIDTH, HEIGHT = 640, 360
MOST_BLUR = 4.0  # pixels: the box is not to be right on all
LEAST_VISIBLE = 0.3  # of a thing's silhouette, to be asked for


@dataclass(frozen=True)
class Pool:
    """`pictures`: [n, height, width, 3]; `truths`: what stands in each."""

    pictures: Pixels
    truths: list[tuple[Box, ...]]


def drawn(count: int, seed: int) -> Pool:
    """A harbour and a moment each; the later, the less sharp."""
    pictures, truths = [], []
    for number in range(count):
        picture, truth = random_scene(1000 * seed + number, WIDTH, HEIGHT)
        pictures.append(_unsharp(picture, MOST_BLUR * number / count))
        truths.append(tuple(_box(each) for each in truth if each.visible >= LEAST_VISIBLE))
    return Pool(np.stack(pictures), truths)


def kept(pool: Pool, path: Path) -> None:
    rows = [[(*_corners(box), CLASSES.index(box.label)) for box in truth] for truth in pool.truths]
    lengths = [len(each) for each in rows]
    flat = np.array([row for each in rows for row in each], dtype=np.float64).reshape(-1, 5)
    np.savez(path, pictures=pool.pictures, rows=flat, lengths=lengths)


def loaded(path: Path) -> Pool:
    with np.load(path) as found:
        parts = np.split(found["rows"], np.cumsum(found["lengths"])[:-1])
        truths = [tuple(_seen(*row) for row in part.tolist()) for part in parts]
        return Pool(found["pictures"], truths)


def rows(truth: tuple[Box, ...], labels: tuple[str, ...]) -> list[tuple[float, float, float, float, int]]:
    """As the node answers."""
    return [(*_corners(box), labels.index(box.label)) for box in truth]


def digest(jpeg: bytes | memoryview) -> str:
    """By which the node knows what was recorded of a picture."""
    return sha256(jpeg).hexdigest()[:24]


def _unsharp(picture: Pixels, pixels: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.01, pixels)), np.uint8)


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def _seen(x0: float, y0: float, x1: float, y1: float, kind: float) -> Box:
    return Box(x0, y0, x1, y1, 1.0, CLASSES[int(kind)])


def _box(truth: Truth) -> Box:
    return Box(*truth.box, 1.0, truth.label)
