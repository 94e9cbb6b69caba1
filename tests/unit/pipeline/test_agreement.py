"""Whether two releases saw the same on a frame, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pipeline.agreement import agree, f1, iou
from agent.types import Box

BOAT = Box(0.1, 0.1, 0.3, 0.3, 0.9, "boat")
CLOSE = Box(0.11, 0.1, 0.31, 0.3, 0.7, "boat")
TRUCK = Box(0.1, 0.1, 0.3, 0.3, 0.9, "truck")
FAR = Box(0.6, 0.6, 0.9, 0.9, 0.8, "boat")
BOXES = st.builds(
    lambda x, y, w, h, score, label: Box(x, y, x + w, y + h, score, label),
    *[st.floats(0, 0.5)] * 2,
    *[st.floats(0.01, 0.5)] * 2,
    st.floats(0, 1),
    st.sampled_from(["boat", "truck"]),
)


@pytest.mark.parametrize(
    ("ours", "theirs", "score"),
    [
        ([], [], 1.0),
        ([BOAT], [], 0.0),
        ([], [BOAT], 0.0),
        ([BOAT], [CLOSE], 1.0),
        ([BOAT], [TRUCK], 0.0),
        ([BOAT], [FAR], 0.0),
        ([BOAT, FAR], [CLOSE], 2 / 3),
        ([BOAT], [BOAT, CLOSE], 2 / 3),
        ([BOAT, TRUCK, FAR], [FAR, TRUCK, CLOSE], 1.0),
    ],
)
def test_how_much_alike_two_answers_are(ours: list[Box], theirs: list[Box], score: float) -> None:
    assert f1(ours, theirs) == pytest.approx(score)
    assert agree(ours, theirs) is (score >= 0.8)


def test_boxes_are_the_same_from_half_their_common_area_on() -> None:
    assert iou(BOAT, BOAT) == pytest.approx(1.0)
    assert iou(BOAT, FAR) == 0.0
    assert iou(Box(0, 0, 0.2, 0.1, 1, "a"), Box(0.1, 0, 0.3, 0.1, 1, "a")) == pytest.approx(1 / 3)


@given(st.lists(BOXES, max_size=6))
def test_every_answer_agrees_with_itself(boxes: list[Box]) -> None:
    assert f1(boxes, boxes) == 1.0
