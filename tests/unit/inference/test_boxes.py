"""From model coordinates back to the picture: the way there and back is the identity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.inference import boxes
from agent.inference.errors import NotANumber
from agent.inference.messages import Rows
from agent.types import Geometry

SIZE = (320, 320)
WIDE = Geometry(640, 360, 0.5, 0.5, 0, 70)  # 640x360 in 320x320: bars of 70 above and below
SCORES = np.array([0.9], dtype=np.float32)
CLASSES = np.array([1], dtype=np.int64)


def one(corners: list[float], score: float = 0.9, geometry: Geometry = WIDE, min_score: float = 0.5) -> Rows:
    outputs = (np.array([corners], np.float32), np.array([score], np.float32), CLASSES)
    return boxes.rows(outputs, geometry, SIZE, min_score)


def test_a_box_loses_the_bars() -> None:
    ((x0, y0, x1, y1, score, index),) = one([0.0, 70 / 320, 1.0, 250 / 320])
    assert (x0, y0, x1, y1) == pytest.approx((0, 0, 1, 1), abs=1e-6)
    assert score == pytest.approx(0.9)
    assert index == 1


def test_a_box_is_cut_at_the_edge_of_the_picture() -> None:
    ((_, y0, _, y1, _, _),) = one([0.25, 0.0, 0.5, 0.5])
    assert (y0, y1) == pytest.approx((0.0, 0.5), abs=1e-6)


@pytest.mark.parametrize(
    "corners",
    [[0.1, 0.0, 0.2, 0.1], [0.5, 0.5, 0.5, 0.6], [0.6, 0.5, 0.5, 0.6]],
    ids=["in a bar", "no width", "inside out"],
)
def test_what_is_no_box_on_the_picture_is_dropped(corners: list[float]) -> None:
    assert one(corners) == []


@pytest.mark.parametrize("score", [0.49, -1.0, float("-inf")])
def test_what_scores_too_low_is_dropped(score: float) -> None:
    assert one([0.2, 0.4, 0.6, 0.6], score) == []


def test_infinite_corners_are_cut() -> None:
    assert len(one([-np.inf, 0.4, np.inf, 0.6])) == 1


@pytest.mark.parametrize(
    ("corner", "score"),
    [(float("nan"), 0.9), (0.2, float("nan")), (0.2, float("inf"))],
    ids=["box", "score", "endless"],
)
def test_what_is_no_number_is_no_answer(corner: float, score: float) -> None:
    with pytest.raises(NotANumber):
        one([corner, 0.4, 0.6, 0.6], score)
    result: dict[str, NDArray[np.generic]] = {
        "boxes": np.array([[[corner, 0.4, 0.6, 0.6]]], np.float32),
        "scores": np.array([[score]], np.float32),
        "classes": np.array([[1]], np.int64),
    }
    with pytest.raises(NotANumber):
        boxes.refit(result, WIDE, SIZE, 0.5)


def test_a_box_that_is_no_number_and_scores_too_low_is_nobodys_business() -> None:
    assert one([float("nan"), 0.4, 0.6, 0.6], 0.49) == []


def test_no_more_rows_than_a_message_holds() -> None:
    count = 10_000
    corners = np.tile(np.array([0.2, 0.4, 0.6, 0.6], np.float32), (count, 1))
    outputs = (corners, np.full(count, 0.9, np.float32), np.zeros(count, np.int64))
    assert len(boxes.rows(outputs, WIDE, SIZE, 0.5)) == boxes.MAX_ROWS


unit = st.floats(0.01, 0.99)


@given(
    st.tuples(unit, unit, unit, unit),
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_there_and_back_is_the_identity(
    corners: tuple[float, float, float, float], width: int, height: int, left: int, top: int
) -> None:
    (ax, bx), (ay, by) = sorted(corners[::2]), sorted(corners[1::2])
    if bx - ax < 0.01 or by - ay < 0.01:
        return
    scale_x, scale_y = (SIZE[1] - 2 * left) / width, (SIZE[0] - 2 * top) / height
    geometry = Geometry(width, height, scale_x, scale_y, left, top)

    def there(x: float, y: float) -> tuple[float, float]:
        return (x * width * scale_x + left) / SIZE[1], (y * height * scale_y + top) / SIZE[0]

    ((x0, y0, x1, y1, *_),) = one([*there(ax, ay), *there(bx, by)], geometry=geometry)
    assert (x0, y0, x1, y1) == pytest.approx((ax, ay, bx, by), abs=1e-4)
