"""Freeing a batch of one: only where pictures stay apart, and then each gives what it gives alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto

from tests.sim.exports import HEIGHT, WIDTH, Net
from tests.unit.packaging.folded import fold, pictures, run

ROWS, PLACES = 7, 96


def whole(net: Net, *numbers: int) -> str:
    return net.constant(list(numbers), np.int64)


def model(middle: Callable[[Net, str], str]) -> ModelProto:
    """images → [1,7,96], with something in between."""
    net = Net(batch=1)
    flat = net.reshape(net.conv("images", ROWS, 8, 1.0), ROWS, -1)
    return net.model(
        [("images", (3, HEIGHT, WIDTH))], [(net.node("Sigmoid", middle(net, flat)), "output0", (ROWS, PLACES))]
    )


def merged_areas(net: Net, rows: str) -> str:
    """YOLOv12's area attention: four areas become part of the batch, and come back (nn/modules/block.py, AAttn)."""
    areas = net.node("Reshape", net.node("Transpose", rows, perm=[0, 2, 1]), whole(net, 4, 24, 7))
    likely = net.node("Softmax", net.node("MatMul", areas, net.node("Transpose", areas, perm=[0, 2, 1])), axis=-1)
    mixed = net.node("Reshape", net.node("MatMul", likely, areas), whole(net, 1, 96, 7))
    return net.node("Transpose", mixed, perm=[0, 2, 1])


def half_of_what_there_is(net: Net, rows: str) -> str:
    """A chunk whose size the exporter left to be computed."""
    size = net.node("Gather", net.node("Shape", rows), whole(net, 2), axis=0)
    half = net.node("Div", size, whole(net, 2))
    first = net.node("Slice", rows, whole(net, 0), half, whole(net, 2))
    return net.node("Concat", first, net.node("Slice", rows, half, size, whole(net, 2)), axis=2)


def heads_first(net: Net, rows: str) -> str:
    """Attention as torch.nn.MultiheadAttention lays it out: places, batch, numbers."""
    turned = net.node("Reshape", net.node("Transpose", rows, perm=[2, 0, 1]), whole(net, 96, 7))
    return net.node("Transpose", net.node("Reshape", turned, whole(net, 96, 1, 7)), perm=[1, 2, 0])


def compared_with_each_other(net: Net, rows: str) -> str:
    return net.node("Softmax", rows, axis=0)


def piled_up(net: Net, rows: str) -> str:
    both = net.node("Concat", rows, rows, axis=0)
    return net.node("ReduceMean", net.node("Reshape", both, whole(net, 1, 2, 7, 96)), axes=[1], keepdims=0)


def less_their_mean(net: Net, rows: str) -> str:
    return net.node("Sub", rows, net.node("ReduceMean", rows, keepdims=0))


def the_first_of_them(net: Net, rows: str) -> str:
    return net.node("Gather", rows, whole(net, 0), axis=0)


def one_after_the_other(net: Net, rows: str) -> str:
    """A recurrent layer: what is outermost there is time."""
    weights = (net.constant(net.random.normal(size=(1, 384, 96))) for _ in range(2))
    return net.node("Squeeze", net.node("LSTM", rows, *weights, hidden_size=96), whole(net, 1))


SAFE = (merged_areas, half_of_what_there_is)
UNSAFE = (heads_first, compared_with_each_other, piled_up, less_their_mean, the_first_of_them, one_after_the_other)


@pytest.mark.parametrize("middle", SAFE)
def test_where_pictures_stay_apart_the_batch_is_freed(middle: Callable[[Net, str], str]) -> None:
    folded, decided = fold(model(middle), head="yolov8")
    assert decided.frame.batch == 0
    shown = pictures(3, HEIGHT, WIDTH)
    together = run(folded, image=shown)
    for at in range(3):
        for one, all_of_them in zip(run(folded, image=shown[at : at + 1]), together, strict=True):
            np.testing.assert_allclose(one[0], all_of_them[at], atol=1e-5)


@pytest.mark.parametrize("middle", UNSAFE)
def test_where_they_would_mix_the_batch_stays_one(middle: Callable[[Net, str], str]) -> None:
    folded, decided = fold(model(middle), head="yolov8")
    assert decided.frame.batch == 1
    assert run(folded, image=pictures(1, HEIGHT, WIDTH))[0].shape == (1, 100, 4)


def declared_free(middle: Callable[[Net, str], str]) -> ModelProto:
    """As exporters write it that are told of a free batch and trace one picture all the same."""
    made = model(middle)
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return made


def test_a_batch_that_is_free_in_name_alone_is_freed_in_fact() -> None:
    folded, decided = fold(declared_free(half_of_what_there_is), head="yolov8")
    assert decided.frame.batch == 0
    assert run(folded, image=pictures(3, HEIGHT, WIDTH))[0].shape == (3, 100, 4)


def test_where_that_would_mix_pictures_the_batch_is_one_and_that_is_said() -> None:
    _, decided = fold(declared_free(piled_up), head="yolov8")
    assert decided.frame.batch == 1
    assert "the batch is 1, though the file says that it is free" in " ".join(decided.notes)
