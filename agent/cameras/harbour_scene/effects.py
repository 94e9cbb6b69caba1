"""Textures that are made once and laid over every frame: noise, rain, waves, pools of lamplight, halos.

Rules that hold here: what does not depend on the seed is made once per size and shared by all harbours of a process;
a texture that moves is wider than the picture and repeats, so that a frame only has to cut it elsewhere.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.harbour_scene.backdrop import fractal
from agent.cameras.harbour_scene.quay import Layout
from agent.cameras.harbour_scene.sprites import Pixels

WARM = (1.15, 0.92, 0.58)  # the colour of sodium lamps, as a gain
RAIN_TILES = 3


@lru_cache(maxsize=16)
def noise(width: int, height: int, level: int) -> tuple[Pixels, Pixels]:
    """Sensor noise, a little coarser than a pixel, as what to add and what to take away."""
    rng = np.random.default_rng(level)
    grain = rng.standard_normal((height + 64, width + 64, 3), dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (3, 3), 0.5) * (0.8 * level)
    return np.clip(grain, 0, 60).astype(np.uint8), np.clip(-grain, 0, 60).astype(np.uint8)


@lru_cache(maxsize=4)
def streaks(width: int, height: int) -> tuple[Pixels, ...]:
    """Falling rain, each tile twice as wide as the picture so that it can start anywhere."""
    rng = np.random.default_rng(RAIN_TILES)
    return tuple(_streak_tile(rng, width, height) for _ in range(RAIN_TILES))


def _streak_tile(rng: np.random.Generator, width: int, height: int) -> Pixels:
    tile, unit = np.zeros((height, width), np.uint8), height / 360
    for x, y, length, tone in rng.random((420, 4)):
        start = (int(x * width), int(y * height * 1.2 - 20))
        end = (start[0] - round(3 * unit), start[1] + round((6 + 12 * length) * unit))
        cv2.line(tile, start, end, int(30 + 80 * tone), 1, cv2.LINE_AA)
    both = cv2.cvtColor(np.concatenate([tile, tile], axis=1), cv2.COLOR_GRAY2RGB)
    return np.asarray(both, np.uint8)


def waves(rng: np.random.Generator, layout: Layout) -> tuple[Pixels, Pixels]:
    """Two wave fields, twice the picture's width: fine and faint far away, broad and strong in front."""
    height = layout.edge - layout.horizon
    near = np.linspace(0, 1, height, dtype=np.float32)
    rows = np.repeat((near**0.45 * (height - 1))[:, None], layout.width, axis=1)
    columns = np.repeat(np.arange(layout.width, dtype=np.float32)[None, :], height, axis=0)

    def field() -> Pixels:
        flat = fractal(rng, layout.width, height, (20, 20), 3)
        wave = np.clip(cv2.remap(flat, columns, rows, cv2.INTER_LINEAR) - 0.42, 0, 1) * (22 + 66 * near[:, None])
        return np.concatenate([wave, wave], axis=1).astype(np.uint8)

    return field(), field()


def pools(layout: Layout, lamps: tuple[tuple[int, int], ...]) -> NDArray[np.float32]:
    """How much lamplight falls on each pixel of the quay."""
    xx, yy = (np.arange(count, dtype=np.float32) for count in (layout.width, layout.height))
    along = sum(np.exp(-(((xx - x) / (105 * layout.unit)) ** 2)) for x, _ in lamps)
    across = np.exp(-(((yy - layout.row(0.45)) / (62 * layout.unit)) ** 2))
    return (0.12 + 0.72 * np.outer(across, along)).astype(np.float32)


def lamplit(paint: Pixels, pools: NDArray[np.float32]) -> Pixels:
    lit = paint[:, :, :3] * pools[:, :, None] * np.array(WARM, np.float32)
    return np.asarray(np.minimum(lit, 255), np.uint8)


def halo(radius: int) -> Pixels:
    yy, xx = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    away = np.sqrt(xx * xx + yy * yy) / radius
    glow = 150 * np.exp(-((away / 0.3) ** 2)) + 200 * np.exp(-((away / 0.09) ** 2))
    glow[away > 1] = 0
    return np.asarray(np.clip(glow[:, :, None] * np.array([1.0, 0.84, 0.56]), 0, 255), np.uint8)
