"""Pixels in a model's input: where they lie and what colour they have."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.cameras import geometry
from agent.cameras.colour import Matrix, YuvColour, guess
from agent.cameras.letterbox import letterbox, letterbox_planes
from agent.types import ModelInput
from protos.errors import Rejected

WEIGHTS = {Matrix.BT601: (0.299, 0.587, 0.114), Matrix.BT709: (0.2126, 0.7152, 0.0722)}
TONES = (0, 40, 128, 200, 255)
COLOURS = list(itertools.product(TONES, TONES, TONES))


def yuv_of(rgb: tuple[int, int, int], colour: YuvColour) -> tuple[int, int, int]:
    """By the standard's own definition, independent of the code under test."""
    red, green, blue = WEIGHTS[colour.matrix]
    r, g, b = (tone / 255 for tone in rgb)
    luma = red * r + green * g + blue * b
    u, v = (b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red))
    if colour.full_range:
        return round(255 * luma), min(255, round(255 * u + 128)), min(255, round(255 * v + 128))
    return round(219 * luma + 16), round(224 * u + 128), round(224 * v + 128)


def flat(value: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width), value, np.uint8)


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", list(Matrix))
@pytest.mark.parametrize("size", [(64, 64), (50, 64)], ids=["even", "odd"])
def test_flat_colours_keep_within_three_of_255(matrix: Matrix, full_range: bool, size: tuple[int, int]) -> None:
    colour = YuvColour(matrix, full_range)
    worst = 0
    for rgb in COLOURS:
        y, u, v = yuv_of(rgb, colour)
        planes = (flat(y, 72, 128), flat(u, 36, 64), flat(v, 36, 64))
        out, place = letterbox_planes(planes, colour, ModelInput(*size))
        inside = out[place.top + 2 : place.top + 20, place.left + 2 : place.left + 40].astype(int)
        worst = max(worst, int(np.abs(inside - np.array(rgb)).max()))
    assert worst <= 3


def test_a_silent_stream_is_read_as_players_do() -> None:
    assert guess(None, 360, full_range=False) == YuvColour(Matrix.BT601, full_range=False)
    assert guess(None, 720, full_range=False).matrix is Matrix.BT709
    assert guess(Matrix.BT601, 1080, full_range=True) == YuvColour(Matrix.BT601, full_range=True)


def test_the_picture_is_centred_between_bars() -> None:
    white = np.full((360, 640, 3), 255, np.uint8)
    out, place = letterbox(white, 320, 320)
    assert (place.left, place.top, place.scale_x, place.scale_y) == (0, 70, 0.5, 0.5)
    assert (out[:70] == 114).all()
    assert (out[250:] == 114).all()
    assert (out[70:250] == 255).all()


def test_a_tall_picture_has_its_bars_at_the_sides() -> None:
    out, place = letterbox(np.full((640, 360, 3), 255, np.uint8), 320, 320, pad=7)
    assert (place.left, place.top) == (70, 0)
    assert (out[:, :70] == 7).all()
    assert (out[:, 70:250] == 255).all()


def test_stretch_fills_the_input() -> None:
    out, place = letterbox(np.full((90, 160, 3), 9, np.uint8), 64, 32, fit="stretch")
    assert (out == 9).all()
    assert (place.scale_x, place.scale_y) == (32 / 160, 64 / 90)


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(Rejected, match="letterbox"):
        letterbox(np.zeros((4, 4, 3), np.uint8), 4, 4, fit="crop")


def test_pixels_are_written_where_they_are_wanted_over_what_lay_there() -> None:
    memory = np.full((320, 320, 3), 201, np.uint8)
    out, _ = letterbox(np.zeros((360, 640, 3), np.uint8), 320, 320, out=memory)
    assert out is memory
    assert not (memory == 201).any()


def test_planes_and_rgb_of_one_picture_agree() -> None:
    ramp = np.linspace(16, 235, 640).astype(np.uint8)
    luma = np.repeat(ramp[None, :], 360, axis=0)
    planes = (luma, flat(128, 180, 320), flat(128, 180, 320))
    grey = np.clip((luma.astype(float) - 16) * 255 / 219, 0, 255).round().astype(np.uint8)
    ours, _ = letterbox_planes(planes, YuvColour(), ModelInput(320, 320))
    theirs, _ = letterbox(np.dstack([grey] * 3), 320, 320)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 2


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1920, 1080), (333, 111), (1, 1)])
@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_a_box_comes_back_from_the_input_as_it_went_in(size: tuple[int, int], fit: str) -> None:
    place = geometry.place(*size, ModelInput(320, 320, fit)).geometry
    box = (0.1, 0.2, 0.65, 0.9)
    assert geometry.to_picture(geometry.to_input(box, place), place) == pytest.approx(box)


def test_a_box_beyond_the_picture_is_clipped() -> None:
    place = geometry.place(640, 360, ModelInput(320, 320)).geometry
    assert geometry.to_picture((-5, 0, 330, 320), place) == (0.0, 0.0, 1.0, 1.0)


def test_a_picture_is_never_enlarged_for_the_wire() -> None:
    assert geometry.shrink(1920, 1080, 640) == (640, 360)
    assert geometry.shrink(320, 200, 640) == (320, 200)
