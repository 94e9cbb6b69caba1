"""The best K of a picture: order, ties, overlap, nothing at all, and back from the letterbox to the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from agent.cameras import geometry
from agent.inference import boxes as agent_boxes
from agent.types import ModelInput
from controlplane.packaging.selection import POOL, Candidates, write
from controlplane.packaging.wish import Limits
from controlplane.packaging.writer import Writer
from tests.sim import detections
from tests.sim.exported import saying
from tests.unit.packaging.folded import Array, fold, run

BOX = [0.1, 0.1, 0.2, 0.2]


def selected(
    boxes: Array, scores: Array, limits: Limits, *, opset: int = 17, known: bool = True, **how: Any
) -> list[Array]:
    """What selection makes of boxes [N,S,4] and scores [N,S,C]."""
    model = ModelProto()
    to = Writer(model.graph, opset)
    count, classes = scores.shape[1:]
    names = write(to, Candidates("b", "s", count if known else 0, classes, **how), limits)
    for name, ours in zip(("boxes", "scores", "classes"), names, strict=True):
        to.named(name, ours)
    value = helper.make_tensor_value_info
    model.graph.name = "selection"
    model.graph.input.extend(
        [value("b", TensorProto.FLOAT, ["N", "S", 4]), value("s", TensorProto.FLOAT, ["N", "S", classes])]
    )
    kinds = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "classes": TensorProto.INT64}
    model.graph.output.extend([value(name, kind, None) for name, kind in kinds.items()])
    model.opset_import.append(helper.make_opsetid("", opset))
    model.ir_version = 8
    return run(model.SerializeToString(), b=boxes.astype(np.float32), s=scores.astype(np.float32))


@pytest.mark.parametrize("opset", [11, 12, 13, 17, 18, 21])
@pytest.mark.parametrize("known", [True, False])
@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_the_best_are_those_that_plain_loops_choose(opset: int, known: bool, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pictures, count, classes = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 4)))
    several, overlap = data.draw(st.booleans()), data.draw(st.booleans())
    top = data.draw(st.sampled_from([1, 5, 60]))
    middle, size = random.random((pictures, count, 2)), random.random((pictures, count, 2)) * 0.5
    boxes = np.concatenate([middle - size / 2, middle + size / 2], -1)
    scores = random.random((pictures, count, classes))
    limits = Limits(0.2, 0.5, top)
    got = selected(boxes, scores, limits, opset=opset, known=known, several=several, overlap=overlap)
    for at in range(pictures):
        iou = limits.iou if overlap else 1.0
        wanted = detections.chosen(boxes[at], scores[at], 0.2, iou, top, several=several)
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_allclose(one[at], other, atol=1e-5)


def test_nothing_found_is_all_zeros() -> None:
    boxes, scores, classes = selected(np.ones((2, 30, 4)), np.full((2, 30, 3), 0.01), Limits(0.05, 0.5, 8))
    assert (boxes.shape, scores.shape, classes.shape) == ((2, 8, 4), (2, 8), (2, 8))
    assert not boxes.any()
    assert not scores.any()
    assert not classes.any()


@pytest.mark.parametrize("how", [{}, {"overlap": False}, {"several": True}])
def test_a_graph_that_gives_no_row_at_all_gives_nothing(how: dict[str, bool]) -> None:
    boxes, scores, classes = selected(np.ones((2, 0, 4)), np.ones((2, 0, 3)), Limits(0.05, 0.5, 8), known=False, **how)
    assert (boxes.shape, scores.shape, classes.shape) == ((2, 8, 4), (2, 8), (2, 8))
    assert not scores.any()


@pytest.mark.parametrize("overlap", [True, False])
def test_of_equals_at_k_the_first_are_taken(overlap: bool) -> None:
    boxes = np.array([[[at / 10, 0, at / 10 + 0.05, 0.5] for at in range(10)]])
    scores = np.full((1, 10, 2), 0.5)
    scores[0, 4, 1] = 0.9
    got, _, classes = selected(boxes, scores, Limits(0.05, 0.5, 4), overlap=overlap)
    np.testing.assert_allclose(got[0, :, 0], [0.4, 0, 0.1, 0.2], atol=1e-6)
    assert classes.tolist() == [[1, 0, 0, 0]]


def test_boxes_of_two_classes_do_not_suppress_each_other() -> None:
    boxes = np.array([[BOX, BOX, BOX]])
    scores = np.array([[[0.9, 0], [0, 0.8], [0.7, 0]]])
    _, kept, classes = selected(boxes, scores, Limits(0.05, 0.5, 3))
    np.testing.assert_allclose(kept, [[0.9, 0.8, 0]], atol=1e-6)
    assert classes.tolist() == [[0, 1, 0]]


def test_candidates_beyond_the_pool_are_not_looked_at() -> None:
    count = POOL + 50
    boxes = np.array([[[at / count, 0, (at + 0.5) / count, 1] for at in range(count)]])
    scores = np.linspace(0.2, 0.9, count).reshape(1, count, 1)
    _, kept, _ = selected(boxes, scores, Limits(0.05, 0.5, 2000))
    assert (kept > 0).sum() == count  # more are asked for than the pool holds: it grows
    _, kept, _ = selected(boxes, scores, Limits(0.05, 0.5, 100))
    np.testing.assert_allclose(kept[0], np.linspace(0.9, 0.2, count)[:100], atol=1e-6)


def test_a_picture_with_no_number_in_it_spoils_no_other() -> None:
    boxes = np.array([[BOX], [BOX]])
    scores = np.array([[[np.nan]], [[0.5]]])
    _, kept, _ = selected(boxes, scores, Limits(0.05, 0.5, 2))
    np.testing.assert_allclose(kept, np.array([[0, 0], [0.5, 0]]), atol=1e-6)


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (333, 1000), (64, 48)])
def test_a_box_comes_back_to_where_it_was_in_the_picture(fit: str, width: int, height: int) -> None:
    placement = geometry.place(width, height, ModelInput(320, 512, fit))
    wanted = (0.25, 0.125, 0.5, 0.875)
    x0, y0, x1, y1 = geometry.to_input(wanted, placement.geometry)  # pixels of the input, as yolov8 says them
    rows = np.zeros((7, 3360), np.float32)
    rows[:, 17] = [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0, 0.8, 0]
    folded, decided = fold(saying({"images": ("float32", (1, 3, 320, 512))}, {"output0": rows}), fit=fit)
    assert decided.fit == fit
    boxes, scores, classes = run(folded, image=np.zeros((1, 320, 512, 3), np.uint8))
    ((*corners, score, label),) = agent_boxes.rows(
        (boxes[0], scores[0], classes[0]), placement.geometry, (320, 512), 0.3
    )
    assert corners == pytest.approx(wanted, abs=1e-3)
    assert score == pytest.approx(0.8)
    assert label == 1
