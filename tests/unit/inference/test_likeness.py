"""Whether two runtimes answered alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agent.inference.graph import Array
from agent.inference.likeness import Tolerance, difference

SOME = Tolerance(0.05, 0.1)
Answers = dict[str, Array]


def found(count: int = 20) -> Answers:
    """Boxes in a row, ever less sure."""
    at = np.linspace(0.0, 0.9, count)
    boxes = np.stack([at, np.full(count, 0.2), at + 0.1, np.full(count, 0.4)], axis=-1)
    return {
        "boxes": boxes[np.newaxis].astype(np.float32),
        "scores": np.linspace(0.9, 0.3, count, dtype=np.float32)[np.newaxis],
        "classes": (np.arange(count, dtype=np.int64) % 3)[np.newaxis],
    }


def changed(change: Callable[[Answers], object]) -> Answers:
    answers = found()
    change(answers)
    return answers


def shift(name: str, by: float) -> Callable[[Answers], object]:
    return lambda answers: answers.update({name: (found()[name].astype(np.float64) + by).astype(np.float32)})


def swap(answers: Answers) -> None:
    for each in answers.values():
        each[0, [3, 4]] = each[0, [4, 3]]


@pytest.mark.parametrize(
    "change",
    [
        lambda answers: None,
        swap,
        shift("scores", 0.02),
        shift("boxes", 0.002),
        lambda answers: answers["classes"][0].__setitem__(5, 9),  # one of twenty
    ],
    ids=["nothing", "two that change places", "scores", "boxes", "one class"],
)
def test_detections_may_differ_a_little(change: Callable[[Answers], object]) -> None:
    assert difference("detection", found(), changed(change), SOME) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shift("scores", -0.1), "off by 0.100, of 0.05"),
        (shift("boxes", 0.05), "loses 20 of 20 detections"),
        (lambda answers: answers.update(classes=found()["classes"] + 1), "loses 20 of 20"),
        (lambda answers: answers["classes"][0].__setitem__(slice(0, 4), 9), "loses 4 of 20"),
        (shift("scores", np.nan), "off by nan"),
        (shift("boxes", np.nan), "loses 20 of 20"),
        (lambda answers: answers.update(scores=answers["scores"][:, :5]), "gives 'scores' another shape"),
        (lambda answers: answers.update(scores=answers["scores"].astype(np.float64)), "another shape or type"),
    ],
)
def test_detections_that_differ_more_are_told(change: Callable[[Answers], object], words: str) -> None:
    assert words in difference("detection", found(), changed(change), SOME)


def test_what_nobody_would_call_a_detection_is_not_looked_for() -> None:
    unsure, elsewhere = found(), found()
    for each in (unsure, elsewhere):
        each["scores"][:] = 0.2
    shift("boxes", 0.5)(elsewhere)
    assert difference("detection", unsure, elsewhere, SOME) == ""


def test_what_breaks_the_shapes_of_detections_is_compared_as_numbers() -> None:
    odd = found() | {"boxes": np.ones((2, 3), np.float32)}
    assert difference("detection", odd, odd, SOME) == ""
    assert "in 'boxes'" in difference("detection", odd, odd | {"boxes": np.zeros((2, 3), np.float32)}, SOME)


def test_a_box_without_a_size_is_where_it_is() -> None:
    points = found()
    points["boxes"][..., 2:] = points["boxes"][..., :2]
    assert difference("detection", points, points, Tolerance(0.0, 0.0)) == ""


def numbers(*values: float) -> Answers:
    return {"y": np.array(values, np.float32)}


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (numbers(100, 0, 1), ""),
        (numbers(104, -4, 1), ""),  # small beside the largest
        (numbers(106, 0, 1), "off by 6.00% of the largest number in 'y', of 5.0%"),
        (numbers(float("nan"), 0, 1), "off by nan"),
        (numbers(float("inf"), 0, 1), "off by inf"),
    ],
)
def test_numbers_may_be_off_by_a_share_of_the_largest(ours: Answers, words: str) -> None:
    told = difference("tensor", numbers(100, 0, 1), ours, SOME)
    assert words in told
    assert bool(words) == bool(told)


def test_what_is_no_number_in_both_is_alike_and_whole_numbers_are_the_same_or_not() -> None:
    assert difference("tensor", numbers(float("nan"), 1), numbers(float("nan"), 1), SOME) == ""
    one, other = {"y": np.array([1000])}, {"y": np.array([1001])}
    assert difference("tensor", one, one, SOME) == ""
    assert "off by inf" in difference("tensor", one, other, SOME)
    nothing: Answers = {"y": np.zeros((0,), np.float32)}
    assert difference("tensor", nothing, nothing, SOME) == ""
