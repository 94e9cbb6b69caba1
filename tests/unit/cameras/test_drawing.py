"""JPEG for the wire and pictures for people."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from msgspec import structs

from agent.cameras import drawing
from agent.cameras.messages import MAX_JPEG
from agent.cameras.picture import RgbPicture
from agent.types import Box, View, Zone

CORNER = Zone("water-edge", ((0.0, 0.6), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
RNG = np.random.default_rng(1)


def grey(height: int = 360, width: int = 640) -> RgbPicture:
    return RgbPicture(np.full((height, width, 3), 90, np.uint8))


def decoded(jpeg: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


@pytest.mark.parametrize("side", [640, 1280, 3840])
def test_even_noise_fits_the_wire(side: int) -> None:
    noise = RgbPicture(RNG.integers(0, 255, (side * 9 // 16, side, 3), dtype=np.uint8))
    jpeg = drawing.encode(noise, View(side, 95))
    assert len(jpeg) <= MAX_JPEG
    assert decoded(jpeg).shape[2] == 3


def test_the_longer_side_is_bounded_and_small_pictures_stay_small() -> None:
    assert decoded(drawing.encode(grey(720, 1280), View(640, 80))).shape == (360, 640, 3)
    assert decoded(drawing.encode(grey(90, 160), View(640, 80))).shape == (90, 160, 3)


def test_red_stays_red() -> None:
    red = RgbPicture(np.full((64, 64, 3), (220, 20, 20), np.uint8))
    assert np.abs(decoded(drawing.encode(red, View(64, 90))).astype(int) - (220, 20, 20)).max() < 12


def test_a_label_keeps_its_colour() -> None:
    assert drawing.colour_of("boat") != drawing.colour_of("truck")
    assert drawing.colour_of("forklift") == drawing.colour_of("forklift")


@pytest.mark.parametrize("size", [(360, 640), (1080, 1920), (640, 360), (64, 64)])
def test_boxes_anywhere_are_drawn_inside_the_picture(size: tuple[int, int]) -> None:
    boxes = [Box(0, 0, 0.1, 0.1, 0.9, "boat"), Box(0.9, 0.9, 1, 1, 0.4, "person"), Box(0, 0, 1, 1, 0.7, "x" * 60)]
    out = decoded(drawing.preview(grey(*size), drawing.Drawn(boxes, "ok_cloud  91 ms  cloud-1", [CORNER]), 640))
    assert out.shape[1] <= 640
    assert out.std() > 5


def test_a_known_thing_is_called_by_its_number() -> None:
    box = Box(0.2, 0.3, 0.6, 0.9, 0.87, "person")
    known = structs.replace(box, track=12)
    plain, numbered = (decoded(drawing.preview(grey(), drawing.Drawn([each]), 640)) for each in (box, known))
    assert drawing.tag(box) == "person 87"
    assert drawing.tag(known) == "person #12"
    assert np.abs(plain.astype(int) - numbered.astype(int)).max() > 60


def test_a_picture_without_boxes_or_caption_is_left_as_it_is() -> None:
    assert np.abs(decoded(drawing.preview(grey(), drawing.Drawn(), 640)).astype(int) - 90).max() <= 2


def test_a_zone_is_outlined_lightly_and_its_inside_left_as_it_is() -> None:
    plain, out = (decoded(drawing.preview(grey(), drawing.Drawn(zones=zones), 640)) for zones in ([], [CORNER]))
    changed = np.abs(out.astype(int) - plain.astype(int)).max(axis=2) > 40
    assert changed[210:230].any()  # its upper edge
    assert not changed[:170].any()
    assert not changed[280:340, 100:600].any()
    assert changed.mean() < 0.05
