"""Classifiers: logits become probabilities, pixels what they were trained on, whatever lies first in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from agent.inference import contract
from agent.inference.session import Session
from agent.types import ModelInput
from controlplane.gate import static
from protos.errors import Rejected
from tests.sim import detections
from tests.sim.exports import Net
from tests.unit.packaging.folded import Array, fold, pictures, run

SIDE = 32
MEAN, SCALE = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def classifier(ending: str = "", layout: str = "nchw", classes: int = 3, depth: int = 3, batch: int = 0) -> ModelProto:
    """torchvision's classifiers by torch.onnx.export: input → output [N,C], logits unless `ending` follows."""
    net = Net(batch=batch)
    sides = (depth, SIDE, SIDE) if layout == "nchw" else (SIDE, SIDE, depth)
    planes = "input" if layout == "nchw" else net.node("Transpose", "input", perm=[0, 3, 1, 2])
    weights = net.constant(net.random.normal(0, 0.05, (classes, depth, 8, 8)))
    maps = net.node("Conv", planes, weights, kernel_shape=[8, 8], strides=[8, 8])
    flat = net.node("Flatten", net.node("GlobalAveragePool", net.node("Relu", maps)))
    logits = net.node("MatMul", flat, net.constant(net.random.normal(0, 2, (classes, classes))))
    last = net.node(ending, logits, **({"axis": 1} if "Softmax" in ending else {})) if ending else logits
    return net.model([("input", sides)], [(last, "output", (classes,))])


def original(model: ModelProto, shown: Array, mean: Any = MEAN, scale: Any = SCALE) -> Array:
    return run(model.SerializeToString(), input=detections.planes(shown, mean, scale))[0]


@pytest.mark.parametrize("batch", [0, 1])
def test_logits_get_a_softmax_and_pixels_are_imagenets(batch: int) -> None:
    shown = pictures(2, SIDE, SIDE)
    folded, decided = fold(classifier(batch=batch))
    assert (decided.task, decided.fit, decided.frame.batch) == ("classification", "stretch", 0)
    assert any("a softmax is added" in note for note in decided.notes)
    wanted = detections.softmax(original(classifier(), shown))
    np.testing.assert_allclose(run(folded, image=shown)[0], wanted, atol=1e-3)


@pytest.mark.parametrize(("ending", "undone"), [("Softmax", None), ("Sigmoid", None), ("LogSoftmax", np.exp)])
def test_probabilities_stay_what_they_are(ending: str, undone: Any) -> None:
    shown = pictures(2, SIDE, SIDE)
    wanted = original(classifier(ending), shown)
    wanted = undone(wanted) if undone else wanted
    np.testing.assert_allclose(run(fold(classifier(ending))[0], image=shown)[0], wanted, atol=1e-3)


def test_channels_last_give_the_same_as_channels_first() -> None:
    shown = pictures(2, SIDE, SIDE)
    for one, other in zip(
        run(fold(classifier(layout="nhwc"))[0], image=shown), run(fold(classifier())[0], image=shown), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_pixels_are_as_asked() -> None:
    shown = pictures(1, SIDE, SIDE)
    folded, decided = fold(classifier(), mean=(1.0, 2.0, 3.0), scale=(50.0,), channels="bgr")
    assert decided.pixels.sentence == "BGR, (pixel - [1, 2, 3]) / 50"
    wanted = detections.softmax(original(classifier(), shown[..., ::-1], np.array([1, 2, 3]), 50))
    np.testing.assert_allclose(run(folded, image=shown)[0], wanted, atol=1e-3)


def test_a_model_of_grey_pictures_gets_grey() -> None:
    shown = pictures(2, SIDE, SIDE)
    folded, decided = fold(classifier(depth=1), pixels="unit")
    assert decided.pixels.channels == "grey"
    grey = (shown @ np.array([0.299, 0.587, 0.114]) / 255)[:, np.newaxis].astype(np.float32)
    wanted = detections.softmax(run(classifier(depth=1).SerializeToString(), input=grey)[0])
    np.testing.assert_allclose(run(folded, image=shown)[0], wanted, atol=1e-3)


def test_a_graph_that_scales_pixels_itself_gets_them_as_they_are() -> None:
    model = classifier()
    for node in model.graph.node:
        node.input[:] = ["scaled" if name == "input" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Div", ["input", "full"], ["scaled"]))
    model.graph.initializer.append(helper.make_tensor("full", TensorProto.FLOAT, [], [255.0]))
    folded, decided = fold(model)
    assert decided.pixels.plain
    assert "the graph scales pixels itself: they go in as 0 to 255" in decided.notes
    shown = pictures(1, SIDE, SIDE)
    wanted = detections.softmax(original(classifier(), shown, 0, 255))
    np.testing.assert_allclose(run(folded, image=shown)[0], wanted, atol=1e-3)


def test_one_class_more_than_names_is_background_first() -> None:
    """TensorFlow's slim models have 1001 classes for ImageNet's 1000 names."""
    shown = pictures(1, SIDE, SIDE)
    folded, _ = fold(classifier("Softmax", classes=4))
    wanted = original(classifier("Softmax", classes=4), shown)[:, 1:]
    np.testing.assert_allclose(run(folded, image=shown)[0], wanted, atol=1e-3)


def test_a_folded_classifier_keeps_the_contract_of_agent_and_registry() -> None:
    folded, _ = fold(classifier(batch=1))
    contract.check(Session(folded).signature, "classification", ModelInput(SIDE, SIDE, "stretch"))
    assert (
        static.judged(folded, {"task": "classification", "input": {"name": "image", "height": SIDE, "width": SIDE}})
        == ()
    )


def yes_or_no(ending: str, flat: bool) -> ModelProto:
    """Keras by tf2onnx, Dense(1): [N,1]; flat: PyTorch after squeeze(1): [N]."""
    net = Net()
    maps = net.conv("input", 1, 8, 0.5)
    score = net.node("Flatten", net.node("GlobalAveragePool", maps))
    score = net.node(ending, score) if ending else score
    score = net.reshape(score, *(() if flat else (1,)))
    return net.model([("input", (3, SIDE, SIDE))], [(score, "output", () if flat else (1,))])


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("ending", ["", "Sigmoid"])
def test_one_score_is_of_the_one_name_or_of_the_second_of_two(ending: str, flat: bool) -> None:
    shown = pictures(3, SIDE, SIDE)
    given = original(yes_or_no(ending, flat), shown).reshape(-1, 1)
    likely = given if ending else 1 / (1 + np.exp(-given))
    assert np.ptp(likely) > 0.01
    one, decided = fold(yes_or_no(ending, flat), labels=("helmet",))
    assert (decided.task, decided.frame.batch) == ("classification", 0)
    np.testing.assert_allclose(run(one, image=shown)[0], likely, atol=1e-3)
    two, _ = fold(yes_or_no(ending, flat), labels=("bare", "helmet"))
    np.testing.assert_allclose(run(two, image=shown)[0], np.hstack([1 - likely, likely]), atol=1e-3)
    assert (
        static.judged(two, {"task": "classification", "input": {"name": "image", "height": SIDE, "width": SIDE}}) == ()
    )


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"labels": tuple("abc")}, "gives one score, but there are 3 names; --labels wants the one .* or two"),
        ({"labels": ("a",), "ending": "softmax"}, "softmax makes 1 of any single score; say sigmoid"),
        ({"labels": ("a",), "background": "first"}, "--background has nothing to act on with a classifier"),
        ({"labels": ()}, "a classification model needs class names: add --labels FILE"),
    ],
)
def test_what_one_score_cannot_be(wish: dict[str, Any], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        fold(yes_or_no("", flat=False), **wish)


def test_a_model_of_whole_grey_pixels_gets_them_rounded() -> None:
    """As cv2 and PIL make grey of a picture."""
    net = Net()
    flat = net.node("Cast", net.reshape("input", SIDE * SIDE), to=TensorProto.FLOAT)
    model = net.model([("input", (1, SIDE, SIDE))], [(flat, "output", (SIDE * SIDE,))])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    shown = pictures(2, SIDE, SIDE)
    folded, decided = fold(model, labels=tuple(map(str, range(SIDE * SIDE))), ending="probabilities")
    assert decided.pixels.sentence == "GREY, 0 to 255 as they are"
    grey = np.rint(shown @ np.array([0.299, 0.587, 0.114], np.float32)).reshape(2, -1)
    np.testing.assert_array_equal(run(folded, image=shown)[0], grey)


def test_grey_pictures_are_0_to_1_where_nothing_says_otherwise() -> None:
    _, decided = fold(classifier(depth=1))
    assert decided.pixels.sentence == "GREY, pixel / 255 ('unit')"
    assert any("taken for granted" in note for note in decided.notes)


def test_as_many_names_as_classes_are_wanted() -> None:
    with pytest.raises(Rejected, match="the classifier gives 3 classes, but there are 5 names"):
        fold(classifier(), labels=tuple("abcde"))
