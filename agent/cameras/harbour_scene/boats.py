"""Boats, seen from the side, bow to the right: six kinds, each with its own silhouette.

Rules that hold here: the sprite ends at the waterline; lengths are design pixels at the quay's edge, the scene shrinks
them with distance; a boat never carries a container, because a container is a class of its own.
"""

from collections.abc import Callable

import numpy as np

from agent.cameras.harbour_scene.sprites import Colour, Pen, Sprite

WHITE: Colour = (238, 240, 238)
GLASS: Colour = (52, 74, 92)
GLOW: Colour = (255, 206, 120)
RUST: Colour = (150, 52, 44)
HULLS: tuple[Colour, ...] = ((38, 46, 58), (26, 70, 110), (140, 38, 36), (30, 92, 78), (206, 208, 204), (88, 60, 44))
TRIMS: tuple[Colour, ...] = ((226, 120, 40), (236, 196, 60), (196, 44, 44), (36, 110, 170), (240, 240, 236))


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _hull(pen: Pen, length: float, height: float, colour: Colour, sheer: float) -> None:
    """A hull from stern to bow; `sheer` is how much higher the bow rises, the boot-top is the red strip below."""
    pen.polygon(
        [(length * 0.03, 0), (length * 0.9, 0), (length, height + sheer), (length * 0.72, height), (0, height * 0.95)],
        colour,
    )
    strip = height * 0.2
    pen.polygon([(length * 0.028, 0), (length * 0.9, 0), (length * 0.915, strip), (length * 0.02, strip)], RUST)
    pen.line((0, height * 0.95), (length * 0.72, height), 1.2, WHITE)
    pen.line((length * 0.72, height), (length, height + sheer), 1.2, WHITE)


def _windows(pen: Pen, x: float, y: float, count: int, pitch: float, size: tuple[float, float]) -> None:
    for index in range(count):
        pen.rect(x + index * pitch, y, *size, GLASS)
        pen.lamp(x + index * pitch, y, *size, GLOW)


def tug(rng: np.random.Generator, scale: float) -> Sprite:
    pen, trim = Pen(84, 46, scale), _pick(rng, TRIMS)
    _hull(pen, 84, 14, _pick(rng, HULLS[:4]), 5)
    pen.rect(30, 13, 32, 9, WHITE)
    pen.rect(38, 22, 20, 10, WHITE)
    pen.rect(36, 31, 24, 2, trim)
    _windows(pen, 40, 25, 3, 6, (4.5, 5))
    pen.rect(22, 13, 9, 17, trim)
    pen.rect(22, 27, 9, 4, (34, 36, 40))
    pen.line((48, 32), (48, 45), 1.2, (70, 74, 80))
    for x in range(8, 78, 9):
        pen.disc(x, 8.5, 2.6, (24, 24, 26))
    return pen.sprite()


def fishing_boat(rng: np.random.Generator, scale: float) -> Sprite:
    pen, trim = Pen(72, 50, scale), _pick(rng, TRIMS)
    _hull(pen, 72, 12, _pick(rng, HULLS), 7)
    pen.rect(40, 11, 18, 14, WHITE)
    pen.rect(38, 25, 22, 2.4, trim)
    _windows(pen, 42, 17, 3, 5.2, (4, 5))
    pen.line((30, 11), (30, 49), 1.6, (96, 78, 58))
    pen.line((30, 42), (8, 20), 1.3, (96, 78, 58))
    pen.line((8, 20), (8, 11), 1.0, (60, 60, 60))
    pen.line((30, 48), (70, 18), 0.6, (90, 90, 90))
    pen.polygon([(12, 11), (26, 11), (22, 17), (15, 17)], (60, 110, 96))
    return pen.sprite()


def sailboat(rng: np.random.Generator, scale: float) -> Sprite:
    pen = Pen(58, 80, scale)
    sail = _pick(rng, (WHITE, (244, 232, 206), (206, 74, 58), (232, 150, 70)))
    dim: Colour = (sail[0] * 0.86, sail[1] * 0.86, sail[2] * 0.88)
    pen.polygon([(5, 0), (48, 0), (58, 8), (0, 7)], _pick(rng, ((240, 240, 238), (28, 60, 104), (120, 34, 38))))
    pen.rect(18, 7.5, 16, 3, WHITE)
    pen.line((28, 7), (28, 80), 1.2, (120, 104, 84))
    pen.polygon([(26.5, 13), (26.5, 77), (4, 13)], sail)
    pen.polygon([(26.5, 13), (26.5, 30), (8, 15)], dim)
    pen.polygon([(30, 72), (54, 11), (30, 13)], dim)
    pen.lamp(27, 77, 2, 2, WHITE)
    return pen.sprite()


def motorboat(rng: np.random.Generator, scale: float) -> Sprite:
    pen, trim = Pen(48, 20, scale), _pick(rng, TRIMS)
    pen.polygon([(2, 0), (38, 0), (48, 9), (0, 8)], WHITE)
    pen.polygon([(1.5, 4), (43, 4.6), (44, 6.4), (1, 6.2)], trim)
    pen.polygon([(12, 8), (34, 8.4), (27, 15), (14, 15)], GLASS)
    pen.rect(12, 14, 15, 2, WHITE)
    pen.lamp(16, 10, 12, 3, GLOW)
    pen.rect(0, 2, 3, 8, (40, 42, 46))
    return pen.sprite()


def ferry(rng: np.random.Generator, scale: float) -> Sprite:
    pen, trim = Pen(150, 54, scale), _pick(rng, TRIMS[:4])
    _hull(pen, 150, 16, _pick(rng, ((236, 238, 238), (28, 64, 110), (34, 42, 52))), 3)
    pen.polygon([(8, 15), (128, 15), (122, 28), (8, 28)], WHITE)
    pen.polygon([(16, 28), (112, 28), (106, 38), (16, 38)], (226, 230, 230))
    pen.rect(86, 38, 18, 8, WHITE)
    pen.rect(8, 27, 116, 1.6, trim)
    _windows(pen, 14, 19.5, 14, 7.6, (5, 4))
    _windows(pen, 22, 31, 11, 7.6, (5, 4))
    _windows(pen, 89, 40, 3, 5, (4, 4))
    pen.polygon([(40, 38), (54, 38), (52, 52), (42, 52)], trim)
    pen.rect(42, 49, 10, 3, (34, 36, 40))
    return pen.sprite()


def freighter(rng: np.random.Generator, scale: float) -> Sprite:
    pen, trim = Pen(210, 66, scale), _pick(rng, TRIMS)
    _hull(pen, 210, 24, _pick(rng, HULLS[:4]), 7)
    pen.rect(14, 23, 30, 30, WHITE)
    pen.rect(10, 44, 40, 6, WHITE)
    for deck in range(3):
        _windows(pen, 17, 27 + deck * 6, 4, 6.4, (4, 3))
    _windows(pen, 14, 45.5, 6, 5.6, (4.4, 3.4))
    pen.rect(18, 53, 11, 12, trim)
    for x in (58, 94, 130):
        pen.rect(x, 23, 30, 4.5, (122, 96, 74))
        pen.line((x + 33, 24), (x + 33, 54), 2.2, (206, 178, 96))
        pen.line((x + 33, 50), (x + 12, 36), 1.5, (206, 178, 96))
    return pen.sprite()


KINDS: tuple[Callable[[np.random.Generator, float], Sprite], ...] = (
    sailboat, motorboat, fishing_boat, tug, ferry, freighter,
)  # fmt: skip
