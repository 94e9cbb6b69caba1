"""The same things seen a little differently: nearer or further, aside, mirrored, in another light.

Rules that hold here: what is moved out of the picture takes its box along, unless a good part stays; the grey of the
letterbox comes in from outside, as it does at the edge.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.network.plan import PAD

KEPT = 0.3  # share of a box that has to stay in the picture
SMALLEST = 2.0  # pixels: what gets smaller is gone

Image = NDArray[np.uint8]
Rows = NDArray[np.float32]  # [objects, 5]: box in 0..1 of the square, class


@dataclass(frozen=True)
class Change:
    """How strongly. Scales are drawn evenly on a logarithm."""

    nearer: float = 1.5  # and further by the same
    aside: float = 0.2  # of the side
    light: float = 0.25
    flip: bool = True


@dataclass(frozen=True)
class View:
    """A point (x, y) of the square goes to (sx · x + dx, s · y + dy), in 0..1; sx is s, or −s when mirrored."""

    scale: float
    mirrored: bool
    dx: float
    dy: float


def drawn_view(rng: np.random.Generator, change: Change) -> View:
    scale = float(np.exp(rng.uniform(-np.log(change.nearer), np.log(change.nearer))))
    mirrored = change.flip and bool(rng.random() < 0.5)
    aside, down = rng.uniform(-change.aside, change.aside, 2)
    # The middle stays in the middle before it is moved aside.
    return View(
        scale, mirrored, 0.5 + (0.5 if mirrored else -0.5) * scale + float(aside), 0.5 - scale / 2 + float(down)
    )


def seen(square: Image, view: View, gain: NDArray[np.float64]) -> Image:
    """The square from that view, each channel times its gain where it is not the letterbox's grey."""
    size = square.shape[0]
    across = -view.scale if view.mirrored else view.scale
    matrix = np.array([[across, 0, view.dx * size], [0, view.scale, view.dy * size]], np.float64)
    lit = np.clip(square * gain.astype(np.float32), 0, 255).astype(np.uint8)
    bars = np.all(square == PAD, axis=2)
    lit[bars] = PAD
    grey = (PAD, PAD, PAD)
    warped = cv2.warpAffine(lit, matrix, (size, size), borderMode=cv2.BORDER_CONSTANT, borderValue=grey)
    return np.asarray(warped, np.uint8)


def moved(rows: Rows, view: View, size: int) -> Rows:
    """The boxes from that view, those that are still to be seen."""
    if not len(rows):
        return rows
    across = -view.scale if view.mirrored else view.scale
    x = np.sort(rows[:, 0:3:2] * across + view.dx, axis=1)
    y = rows[:, 1:4:2] * view.scale + view.dy
    inside_x, inside_y = np.clip(x, 0, 1), np.clip(y, 0, 1)
    wide, high = np.diff(inside_x)[:, 0], np.diff(inside_y)[:, 0]
    area = np.diff(x)[:, 0] * np.diff(y)[:, 0]
    stays = (wide * high >= KEPT * area) & (np.minimum(wide, high) * size >= SMALLEST)
    boxes = np.stack([inside_x[:, 0], inside_y[:, 0], inside_x[:, 1], inside_y[:, 1], rows[:, 4]], 1)
    return np.asarray(boxes[stays], np.float32)


def drawn_gain(rng: np.random.Generator, change: Change) -> NDArray[np.float64]:
    """Brightness of the whole picture, and a little of each colour."""
    whole = rng.uniform(1 - change.light, 1 + change.light)
    return np.asarray(whole * rng.uniform(0.93, 1.07, 3))
