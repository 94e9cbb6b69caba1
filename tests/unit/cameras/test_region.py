"""A part of a picture: what is cut, and that places in it lead back into the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from agent.cameras import drawing
from agent.cameras.colour import Matrix, YuvColour
from agent.cameras.picture import PlanarPicture, RgbPicture
from agent.cameras.region import CELL, cut
from agent.types import Box, View, Zone
from protos.errors import Rejected
from protos.regions import WHOLE, Region

RNG = np.random.default_rng(4)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (641, 361), (1, 1), (3, 1079)])
def test_the_whole_picture_is_all_of_it(width: int, height: int) -> None:
    whole = cut(WHOLE, width, height)
    assert (whole.left, whole.top, whole.right, whole.bottom) == (0, 0, width, height)
    box = Box(0.1, 0.2, 1 / 3, 0.7, 0.9, "boat")
    assert whole.boxes([box]) == (box,)


@pytest.mark.parametrize("seed", range(200))
def test_a_region_is_covered_by_what_is_cut_and_little_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = (int(each) for each in rng.integers(1, 2000, 2))
    (x0, x1), (y0, y1) = np.sort(rng.uniform(-0.3, 1.3, 2)), np.sort(rng.uniform(-0.3, 1.3, 2))
    if min(x1, y1) <= 0 or max(x0, y0) >= 1:
        return
    found = cut(Region(x0, y0, x1, y1), width, height)
    assert 0 <= found.left <= max(0.0, x0) * width
    assert 0 <= found.top <= max(0.0, y0) * height
    assert min(1.0, x1) * width <= found.right <= width
    assert min(1.0, y1) * height <= found.bottom <= height
    assert found.right - found.left <= (min(1.0, x1) - max(0.0, x0)) * width + 2 * CELL
    assert found.left % CELL == found.top % CELL == 0


@pytest.mark.parametrize(
    "region",
    [
        Region(0.5, 0.2, 0.5, 0.8),  # no breadth
        Region(0.6, 0.2, 0.4, 0.8),  # inside out
        Region(1.0, 0.0, 2.0, 1.0),  # beside the picture
        Region(-2.0, -1.0, 0.0, 1.0),
        Region(math.nan, 0.0, 1.0, 1.0),
        Region(0.0, -math.inf, 1.0, math.inf),
    ],
)
def test_a_region_with_nothing_of_the_picture_in_it_is_refused(region: Region) -> None:
    with pytest.raises(Rejected, match="share"):
        cut(region, 640, 360)


def test_a_region_smaller_than_a_pixel_is_a_cell() -> None:
    found = cut(Region(0.99999, 0.99999, 1.0, 1.0), 641, 361)
    assert (found.left, found.top, found.right, found.bottom) == (640, 360, 641, 361)


def test_boxes_found_in_a_region_lie_where_they_are_in_the_picture() -> None:
    found = cut(Region(0.25, 0.5, 0.75, 1.0), 640, 360)
    assert found.boxes([Box(0.0, 0.0, 0.5, 1.0, 0.9, "boat")]) == (Box(0.25, 0.5, 0.5, 1.0, 0.9, "boat"),)


def test_points_of_the_picture_lie_in_the_region_where_they_are_seen() -> None:
    found = cut(Region(0.25, 0.5, 0.75, 1.0), 640, 360)
    assert found.points(((0.5, 0.75), (0.0, 0.0))) == ((0.5, 0.5), (-0.5, -1.0))


def rgb_of(jpeg: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.int64)


def test_a_region_goes_out_with_all_the_pixels_that_it_has() -> None:
    pixels = cv2.GaussianBlur(RNG.integers(0, 255, (1080, 1920, 3), dtype=np.uint8), (0, 0), 8)
    jpeg = drawing.encode(RgbPicture(np.asarray(pixels, np.uint8)), View(640, 95, Region(0.5, 0.5, 0.75, 0.75)))
    assert rgb_of(jpeg).shape == (272, 480, 3)
    assert np.abs(rgb_of(jpeg) - pixels[540:812, 960:1440]).mean() < 2


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 2), (2, 1), (4, 1)])
@pytest.mark.parametrize("region", [Region(0.21, 0.37, 0.64, 0.83), Region(0.9, 0.9, 1.0, 1.0), WHOLE])
def test_a_region_of_planes_has_the_colours_of_the_whole(across: int, down: int, region: Region) -> None:
    """Of any subsampling, and of sizes that are not multiples of it."""
    width, height = 639, 357
    sizes = [(height, width), *[(-(-height // down), -(-width // across))] * 2]
    planes = [cv2.resize(RNG.integers(60, 190, (6, 9), dtype=np.uint8), size[::-1]) for size in sizes]
    luma, first, second = (np.asarray(each, np.uint8) for each in planes)
    picture = PlanarPicture((luma, first, second), YuvColour(Matrix.BT709, full_range=True))
    shown = cut(region, width, height)
    part, whole = picture.cut(shown).rgb(4000), picture.rgb(4000)
    expected = whole[shown.top : shown.bottom, shown.left : shown.right]
    assert part.shape == expected.shape
    assert np.abs(part.astype(int) - expected.astype(int)).max() <= 6  # the edge is interpolated from one side


MASK = Zone("neighbour", ((0.3, 0.2), (0.6, 0.3), (0.55, 0.7), (0.25, 0.6)))
SECRET = (250, 10, 200)


def secretive(width: int, height: int) -> RgbPicture:
    """Grey, with the secret colour exactly behind the mask."""
    pixels = np.full((height, width, 3), 114, np.uint8)
    corners = np.array([(x * width - 0.5, y * height - 0.5) for x, y in MASK.points])
    cv2.fillPoly(pixels, [np.round(corners * 16).astype(np.int32)], SECRET, cv2.LINE_8, 4)
    return RgbPicture(pixels)


@pytest.mark.parametrize(
    "region", [WHOLE, Region(0.3, 0.2, 0.6, 0.7), Region(0.4, 0.4, 0.45, 0.45), Region(0, 0, 0.3, 1)]
)
@pytest.mark.parametrize("side", [4000, 1000, 640, 333, 64])
@pytest.mark.parametrize("size", [(1920, 1080), (641, 361)])
def test_nothing_behind_a_mask_is_left_in_what_goes_out(size: tuple[int, int], side: int, region: Region) -> None:
    seen = rgb_of(drawing.encode(secretive(*size), View(side, 95, region), [MASK]))
    assert np.abs(seen - 114).max() <= 4


def test_a_person_sees_where_a_mask_is_and_nothing_behind_it() -> None:
    picture = secretive(1920, 1080)
    shown = rgb_of(drawing.preview(picture, drawing.Drawn(masks=[MASK]), 640))
    inside = shown[150:200, 230:330].reshape(-1, 3)
    assert inside.max() < 150
    assert inside.std() > 2, "lines are seen in it"
    assert np.ptp(shown.reshape(-1, 3), axis=1).max() < 40, "no pixel has the colour that lies behind"
    assert np.abs(shown[:60] - 114).max() <= 2, "beside it all is as it was"
