"""Which scenes are for training and which are held out, and how they become arrays.

Rules that hold here: the ranges of seeds are disjoint and never change within a version; the training set is
several moments of each training harbour, the held-out set one moment of each held-out harbour; an object is *occluded*
when more than a tenth of its pixels in the picture is hidden, and *small* when its longer side is under 24 px at 320.
"""

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.harbour_scene import CLASSES, HarbourScene, Truth, random_scene
from models.harbour.plan import PAD, SIZE
from models.run.folder import write_whole

TRAINING_SEEDS = range(100_000, 101_800)
HELD_OUT_SEEDS = range(900_000, 900_512)
WATCHED_SEEDS = range(800_000, 800_512)  # looked at after each epoch, the first few; not among the held-out ones
MOMENTS = 3  # stills of each training harbour: drawing a harbour costs more than looking at it again
DAYS = 3600.0  # seconds of scene time the moments come from: four days, and forty spells of weather
MOST_OBJECTS = 64
SMALL = 24.0  # px, longer side at input size
DONE = "drawn.txt"  # beside the stills: how many harbours of them
KEEP_EVERY = 64  # harbours
PR_SET_PDEATHSIG = 1  # of prctl(2)
OCCLUDED = 0.9  # visible share under which an object counts as occluded

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Drawn = Callable[[int, int], None]


@dataclass(frozen=True)
class Stills:
    """Pictures without the letterbox's bars, and truth as x0, y0, x1, y1 in 0..1 of the whole square, class or -1."""

    images: Image  # [N, 180, 320, 3]
    truth: Boxes  # [N, MOST_OBJECTS, 5]


def held_out(count: int | None = None) -> Iterator[tuple[int, Image, list[Truth]]]:
    """Seed, picture and truth of the held-out scenes, or of the first `count`."""
    for seed in HELD_OUT_SEEDS[:count]:
        yield seed, *random_scene(seed)


def letterbox(picture: Image) -> Image:
    """A picture centred on a 320×320 field of grey. The agent has its own; this one serves training and `--direct`."""
    height, width = picture.shape[:2]
    scale = SIZE / max(height, width)
    inner = round(width * scale), round(height * scale)
    left, top = (SIZE - inner[0]) // 2, (SIZE - inner[1]) // 2
    field = np.full((SIZE, SIZE, 3), PAD, np.uint8)
    field[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)
    return field


def training_stills(folder: Path, seeds: range = TRAINING_SEEDS, drawn: Drawn = lambda *_: None) -> Stills:
    """Draw the training set into memory-mapped files under `folder`, or what is missing of it.

    `drawn` hears how many harbours of how many are done; when it raises, what was drawn until then is kept.
    """
    stills, done = _open_stills(folder, len(seeds) * MOMENTS)
    try:
        for index, (pictures, boxes) in enumerate(drawn_by_all_cores(seeds[done:]), done):
            stills.images[index * MOMENTS : (index + 1) * MOMENTS] = pictures
            stills.truth[index * MOMENTS : (index + 1) * MOMENTS] = boxes
            done = index + 1
            if done % KEEP_EVERY == 0:
                _keep(folder, stills, done)
            drawn(done, len(seeds))
    finally:
        _keep(folder, stills, done)
    return stills


def _keep(folder: Path, stills: Stills, done: int) -> None:
    """Pictures first, then how many there are: a power cut between the two costs a few drawings."""
    for array in (stills.images, stills.truth):
        if isinstance(array, np.memmap):
            array.flush()
    write_whole(folder / DONE, str(done).encode())


def _open_stills(folder: Path, count: int) -> tuple[Stills, int]:
    """Both arrays and how many harbours are drawn in them; fresh ones where those that lie there have another size."""
    pictures, rows = (count, SIZE * 9 // 16, SIZE, 3), (count, MOST_OBJECTS, 5)
    try:
        images, truth = (np.load(folder / name, mmap_mode="r+") for name in ("images.npy", "truth.npy"))
        if images.shape == pictures and truth.shape == rows:
            return Stills(images, truth), int((folder / DONE).read_text())
    except (OSError, ValueError):  # none, or begun and not whole
        pass
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, pictures)
    return Stills(images, np.lib.format.open_memmap(folder / "truth.npy", "w+", np.float32, rows)), 0


def drawn_by_all_cores(seeds: range) -> Iterator[tuple[Image, Boxes]]:
    """`draw_moments` of each seed in order. A worker that dies is an error at once, and none outlives this process."""
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, get_context("spawn"), initializer=_die_with_parent) as pool:
        try:
            yield from pool.map(draw_moments, seeds, chunksize=8)
        finally:
            pool.shutdown(cancel_futures=True)


def _die_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    with contextlib.suppress(OSError, AttributeError):  # another system: workers may outlive a killed parent
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def draw_moments(seed: int) -> tuple[Image, Boxes]:
    """MOMENTS stills of one training harbour."""
    cv2.setNumThreads(1)
    scene = HarbourScene(seed)
    moments = np.random.default_rng((seed, 8)).uniform(0, DAYS, MOMENTS)
    drawn = [scene.render(float(moment)) for moment in moments]
    bar = (SIZE - SIZE * 9 // 16) // 2
    images = np.stack([letterbox(picture)[bar : SIZE - bar] for picture, _ in drawn])
    return images, np.stack([as_rows(truths) for _, truths in drawn])


def as_rows(truths: list[Truth]) -> Boxes:
    """Truth of a 16:9 picture as fixed rows in the coordinates of the square input."""
    rows = np.full((MOST_OBJECTS, 5), -1, np.float32)
    for row, truth in zip(rows, truths, strict=False):
        x0, y0, x1, y1 = truth.box
        row[:] = (x0, on_square(y0), x1, on_square(y1), CLASSES.index(truth.label))
    return rows


def on_square(y: float) -> float:
    """Height 0..1 of a 16:9 picture, as height 0..1 of the square that it is centred on."""
    return y * 9 / 16 + 7 / 32


def longer_side(truth: Truth) -> float:
    """Pixels at input size."""
    x0, y0, x1, y1 = truth.box
    return max(x1 - x0, (y1 - y0) * 9 / 16) * SIZE
