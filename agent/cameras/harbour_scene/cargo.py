"""What moves over the quay: containers, lorries and people, and the furniture that stands in front of them.

Rules that hold here: a container is one flat side with corrugation, ribs and corner castings, in 20 ft and 40 ft; a
truck's sprite never includes the container it carries, which is an object of its own; a person is drawn in four steps
of one stride.
"""

import numpy as np

from agent.cameras.harbour_scene.sprites import Colour, Pen, Sprite

CONTAINER_HEIGHT = 25.0
CONTAINER_LENGTHS = (40.0, 78.0)  # 20 ft and 40 ft, in design pixels on the truck lane
DECK_HEIGHT = 13.0  # of a flat-bed trailer
TRUCK_SIZE = (112.0, 40.0)
STRIDE_STEPS = 4
PERSON_SIZE = (16.0, 37.0)
PAINTS: tuple[Colour, ...] = (
    (178, 62, 46), (34, 92, 152), (28, 130, 122), (224, 122, 42), (214, 170, 62), (142, 148, 152), (72, 130, 74),
    (216, 216, 206), (122, 40, 52), (92, 76, 132),
)  # fmt: skip
CABS: tuple[Colour, ...] = ((206, 46, 44), (36, 88, 164), (240, 240, 236), (240, 186, 46), (44, 128, 84), (60, 64, 72))
VESTS: tuple[Colour, ...] = ((255, 122, 30), (222, 240, 40), (226, 46, 60), (40, 110, 200), (244, 244, 240))
SKINS: tuple[Colour, ...] = ((236, 192, 160), (198, 146, 110), (128, 86, 62))
TYRE: Colour = (26, 26, 28)
STEEL: Colour = (88, 92, 98)


def _dim(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def container(rng: np.random.Generator, length: float, scale: float) -> Sprite:
    paint = PAINTS[int(rng.integers(len(PAINTS)))]
    pen = Pen(length, CONTAINER_HEIGHT, scale)
    pen.rect(0, 0, length, CONTAINER_HEIGHT, paint)
    for x in np.arange(3.0, length - 2, 4.0):
        pen.rect(float(x), 2, 1.7, CONTAINER_HEIGHT - 4, _dim(paint, 0.78))
    if rng.random() < 0.5:
        pen.rect(length * 0.12, 13, length * float(rng.uniform(0.2, 0.45)), 6, _dim((250, 250, 246), 0.95))
    for y in (0.0, CONTAINER_HEIGHT - 2.2):
        pen.rect(0, y, length, 2.2, _dim(paint, 0.58))
    for x in (0.0, length - 2.0):
        pen.rect(x, 0, 2.0, CONTAINER_HEIGHT, _dim(paint, 0.5))
    pen.shade(1.1, 0.88)
    return pen.sprite()


def _wheels(pen: Pen, places: tuple[float, ...]) -> None:
    for x in places:
        pen.disc(x, 5, 5, TYRE)
        pen.disc(x, 5, 2.2, (150, 152, 156))


def _cab(pen: Pen, rng: np.random.Generator) -> None:
    paint = CABS[int(rng.integers(len(CABS)))]
    pen.polygon([(84, 6), (112, 6), (112, 22), (107, 37), (84, 40)], paint)
    pen.polygon([(97, 22), (110, 22), (106, 34), (97, 34)], (48, 66, 82))
    pen.rect(85, 6, 27, 4, _dim(paint, 0.55))
    pen.line((95, 8), (95, 36), 0.9, _dim(paint, 0.6))
    pen.rect(109, 11, 3, 3.4, (250, 240, 200))
    pen.lamp(109, 10, 3, 5, (255, 244, 200))


def _box_body(pen: Pen, rng: np.random.Generator) -> None:
    stripe = CABS[int(rng.integers(2))]
    pen.rect(0, 9, 80, 31, (232, 234, 232))
    pen.rect(0, 15, 80, 5, stripe)
    pen.rect(0, 38, 80, 2, (190, 192, 192))


def _tank_body(pen: Pen) -> None:
    for y, height, tone in ((11, 24, 150), (17, 16, 196), (23, 8, 228)):
        pen.polygon(
            [(6, y), (74, y), (79, y + height / 2), (74, y + height), (6, y + height), (1, y + height / 2)],
            (tone, tone + 2, tone + 6),
        )
    for x in (22, 40, 58):
        pen.rect(x, 11, 1.5, 24, (120, 124, 130))


def truck(rng: np.random.Generator, body: str, scale: float) -> Sprite:
    """`body` is box, tank or flat; a flat-bed may have a container put on its deck by the scene."""
    pen = Pen(*TRUCK_SIZE, scale)
    pen.rect(0, 8, 86, 5, STEEL)
    _wheels(pen, (10, 21, 32, 72, 100))
    if body == "box":
        _box_body(pen, rng)
    elif body == "tank":
        _tank_body(pen)
    _cab(pen, rng)
    pen.lamp(0, 9, 2, 3, (255, 40, 30))
    return pen.sprite()


def person(rng: np.random.Generator, scale: float) -> tuple[Sprite, ...]:
    vest = VESTS[int(rng.integers(len(VESTS)))]
    skin = SKINS[int(rng.integers(len(SKINS)))]
    trousers: Colour = ((34, 44, 70), (40, 40, 44), (86, 74, 58))[int(rng.integers(3))]
    hat: Colour | None = ((250, 214, 40), (246, 246, 242), None)[int(rng.integers(3))]
    return tuple(_stride(step, (vest, skin, trousers), hat, scale) for step in range(STRIDE_STEPS))


def _stride(step: int, clothes: tuple[Colour, Colour, Colour], hat: Colour | None, scale: float) -> Sprite:
    vest, skin, trousers = clothes
    swing = (4.6, 2.2, -4.6, -2.2)[step]
    pen = Pen(*PERSON_SIZE, scale)
    pen.line((8, 17), (8 + swing, 1.5), 4.0, trousers)
    pen.line((8, 17), (8 - swing, 1.5), 4.0, _dim(trousers, 0.75))
    pen.line((8, 26), (8 - swing, 17), 2.8, _dim(vest, 0.7))
    pen.polygon([(3.4, 16), (12.6, 16), (13.2, 28), (2.8, 28)], vest)
    pen.rect(3.2, 20.5, 9.6, 1.8, (240, 240, 220))
    pen.line((9, 26), (8.5 + swing, 18), 2.8, _dim(vest, 0.85))
    pen.disc(8, 32, 4.2, skin)
    if hat is not None:
        pen.polygon([(3.2, 32.8), (13.2, 32.8), (11.4, 37), (4.8, 37)], hat)
    else:
        pen.polygon([(3.8, 33), (12.2, 33), (10.8, 36.8), (5.2, 36.8)], (58, 42, 32))
    return pen.sprite()


def barrier(scale: float) -> Sprite:
    """A concrete road barrier with red and white blocks: low, and in the way."""
    pen = Pen(70, 13, scale)
    pen.polygon([(0, 0), (70, 0), (67, 13), (3, 13)], (196, 194, 188))
    for x in range(5, 64, 20):
        pen.rect(x, 4, 10, 6, (204, 60, 48))
    return pen.sprite()


def bollard(scale: float) -> Sprite:
    pen = Pen(14, 15, scale)
    pen.rect(3, 0, 8, 12, (46, 50, 56))
    pen.rect(1, 10, 12, 5, (66, 70, 78))
    pen.rect(3, 5, 8, 2.5, (236, 196, 60))
    return pen.sprite()


def crates(rng: np.random.Generator, scale: float) -> Sprite:
    """A pallet of crates, brown and slatted, about as high as a person's shoulder."""
    pen = Pen(34, 24, scale)
    for x, y, size in ((0, 0, 17), (17, 0, 17), (float(rng.uniform(2, 14)), 12, 16)):
        pen.rect(x, y, size, 12, (150, 112, 70))
        for slat in (2.5, 6.5, 10.0):
            pen.rect(x, y + slat, size, 0.9, (112, 80, 48))
    return pen.sprite()
