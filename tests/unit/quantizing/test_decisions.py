"""The gate, the numbers before it, what is held out, and what stays in fp32."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from controlplane.quantizing import domain, metrics, regions
from controlplane.quantizing.domain import Cost, Measure
from controlplane.quantizing.metrics import Found, truth
from protos.errors import Rejected
from tests.sim.models import layered


def found(*rows: tuple[float, float, float, float, float, int]) -> Found:
    boxes = np.array([row[:4] for row in rows], np.float64).reshape(-1, 4)
    return Found(boxes, np.array([row[4] for row in rows]), np.array([row[5] for row in rows], np.int64))


A, B = (0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 0.7, 0.7)


@pytest.mark.parametrize(("int8", "passes"), [(0.9, True), (0.891, True), (0.8909, False), (0.95, True), (0.0, False)])
def test_the_gate_is_at_99_percent_of_fp32(int8: float, passes: bool) -> None:
    assert Measure("mAP50", 0.9, int8, 100).passes is passes


def test_int8_that_is_slower_here_is_called_so() -> None:
    assert domain.speed_sentence(Cost(2.0, 1), Cost(1.0, 1)) == "2.00 times as fast"
    assert domain.speed_sentence(Cost(1.0, 1), Cost(2.0, 1)).startswith("slower here, 0.50 times as fast")


def test_of_a_film_the_end_is_held_out_and_of_pictures_every_third() -> None:
    assert domain.held_out(list(range(9)), film=True) == ([0, 1, 2, 3, 4, 5], [6, 7, 8])
    assert domain.held_out(list(range(9)), film=False) == ([0, 1, 3, 4, 6, 7], [2, 5, 8])


def test_an_fp32_that_finds_nothing_right_can_judge_nobody() -> None:
    with pytest.raises(Rejected, match=r"reaches a mAP50 of 0\.030"):
        domain.check_fp32("mAP50", 0.03, 1000)


def test_map50_by_hand() -> None:
    """Class 0: a hit, then a miss above the second hit: 1/2·1 + 1/2·2/3. Class 1: one of one."""
    truths = [truth([A, B, A], [0, 0, 1])]
    answers = [found((*A, 0.9, 0), (0.8, 0.8, 0.9, 0.9, 0.8, 0), (*B, 0.7, 0), (*A, 0.6, 1))]
    assert metrics.map50(answers, truths) == pytest.approx((0.5 + 0.5 * 2 / 3 + 1.0) / 2)


def test_a_truth_is_found_once_and_only_by_its_own_class() -> None:
    truths = [truth([A], [0])]
    assert metrics.map50([found((*A, 0.9, 1), (*A, 0.8, 0), (*A, 0.7, 0))], truths) == 1.0
    assert metrics.map50([found((*A, 0.9, 1))], truths) == 0.0


def test_agreement_is_whole_with_the_same_boxes_and_falls_with_a_lost_one() -> None:
    fp32 = [found((*A, 0.9, 0), (*B, 0.8, 1), (*B, 0.1, 0))]
    assert metrics.agreement(fp32, fp32) == 1.0
    assert metrics.agreement([found((*A, 0.85, 0))], fp32) == 0.5


def test_top1_counts_the_highest_score() -> None:
    assert metrics.top1([np.array([0.1, 0.9]), np.array([0.6, 0.4])], [1, 1]) == 0.5


def test_pixels_and_decoding_stay_in_fp32_and_the_layers_between_do_not() -> None:
    import onnx

    model = onnx.load_from_string(layered().spec.model)
    regions.name_nodes(model)
    kept = regions.kept_in_fp32(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert set(kinds) - kept == {"stem", "loud", "head"}
    assert (regions.first_layers(model), regions.last_layers(model)) == ({"stem"}, {"head"})


def test_an_expectation_over_bins_is_no_layer() -> None:
    """As in YOLOv8: softmax over 16 bins, then a convolution with the weights 0 to 15."""
    value, node = helper.make_tensor_value_info, helper.make_node
    weights = {
        "w": np.ones((16, 3, 1, 1), np.float32),
        "bins": np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1),
    }
    graph = helper.make_graph(
        [
            node("Conv", ["x", "w"], ["c"], name="layer"),
            node("Relu", ["c"], ["r"], name="relu"),
            node("Softmax", ["r"], ["s"], name="softmax", axis=1),
            node("Conv", ["s", "bins"], ["y"], name="expectation"),
        ],
        "g",
        [value("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [value("y", TensorProto.FLOAT, [1, 1, 4, 4])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    kept = regions.kept_in_fp32(helper.make_model(graph))
    assert kept == {"relu", "softmax", "expectation"}


def test_nodes_without_names_get_their_own() -> None:
    node = helper.make_node
    graph = helper.make_graph([node("Relu", ["x"], ["y"]), node("Relu", ["y"], ["z"], name="a")] * 2, "g", [], [])
    model = helper.make_model(graph)
    regions.name_nodes(model)
    assert len({each.name for each in model.graph.node}) == 4
