"""A folded graph gives what the original gives, decoded by hand: every head, no square, a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from controlplane.packaging.wish import PRESETS
from tests.sim import detections, exports
from tests.sim.exports import HEIGHT, WIDTH, Net
from tests.unit.packaging.folded import Array, fold, pictures, run

Decode = Callable[..., tuple[Array, Array]]


@dataclass(frozen=True)
class Case:
    head: str
    make: Callable[[Net], ModelProto]
    decode: Decode  # outputs of the original → corners in 0..1 [N,S,4] and scores [N,S,C]
    pixels: str
    iou: float
    bgr: bool = False
    several: bool = False


def ssd_scores(scores: Array, boxes: Array) -> tuple[Array, Array]:
    return boxes, scores[..., 1:]


CASES = {
    "yolov8": Case("yolov8", exports.yolov8, detections.of_yolov8, "unit", 0.7),
    "yolov8 bare": Case("yolov8", lambda net: exports.yolov8(net, bare=True), detections.of_yolov8_maps, "unit", 0.7),
    "yolov5": Case("yolov5", exports.yolov5, detections.of_yolov5, "unit", 0.45),
    "yolov5 maps": Case("yolov5", lambda net: exports.yolov5(net, bare="5"), detections.of_yolov5_maps, "unit", 0.45),
    "yolov5 convolutions": Case(
        "yolov5",
        lambda net: exports.yolov5(net, bare="4"),
        lambda *maps: detections.of_yolov5_maps(
            *(each.reshape(len(each), 3, 8, *each.shape[2:]).transpose(0, 1, 3, 4, 2) for each in maps)
        ),
        "unit",
        0.45,
    ),
    "yolox": Case("yolox", exports.yolox, detections.of_yolox, "raw", 0.45, bgr=True),
    "yolox decoded": Case(
        "yolox", lambda net: exports.yolox(net, decoded=True), detections.of_yolov5, "raw", 0.45, bgr=True
    ),
    "yolox without sigmoid": Case(
        "yolox",
        lambda net: exports.yolox(net, logits=True),
        lambda output: detections.of_yolox(np.concatenate([output[..., :4], detections.sigmoid(output[..., 4:])], -1)),
        "raw",
        0.45,
        bgr=True,
    ),
    "ssd": Case("ssd", exports.ssd, ssd_scores, "unit", 0.45, several=True),
    "ssd logits": Case(
        "ssd",
        lambda net: exports.ssd(net, ""),
        lambda scores, boxes: (boxes, detections.softmax(scores)[..., 1:]),
        "unit",
        0.45,
        several=True,
    ),
    "ssd without background": Case(
        "ssd",
        lambda net: exports.ssd(net, "Sigmoid", classes=3),
        lambda scores, boxes: (boxes, scores),
        "unit",
        0.45,
        several=True,
    ),
    "detr": Case(
        "detr",
        exports.detr,
        lambda logits, boxes: (detections.corners(boxes), detections.softmax(logits)[..., :-1]),
        "imagenet",
        1.0,
    ),
    "rt-detr": Case(
        "detr",
        lambda net: exports.detr(net, classes=3),
        lambda logits, boxes: (detections.corners(boxes), detections.sigmoid(logits)),
        "unit",
        1.0,
        several=True,
    ),
}


def expected(case: Case, model: ModelProto, shown: Array, top: int) -> list[Any]:
    """The original graph in ONNX Runtime, the rest in numpy."""
    mean, scale = map(np.array, PRESETS[case.pixels])
    name = model.graph.input[0].name
    outputs = run(model.SerializeToString(), **{name: detections.planes(shown, mean, scale, bgr=case.bgr)})
    boxes, scores = case.decode(*outputs)
    each = [
        detections.chosen(box, score, 0.05, case.iou, top, several=case.several)
        for box, score in zip(boxes, scores, strict=True)
    ]
    return [np.stack(column) for column in zip(*each, strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_every_head_gives_what_its_graph_gives_decoded_by_hand(name: str) -> None:
    case = CASES[name]
    model = case.make(Net())
    folded, decided = fold(model)
    assert decided.head == case.head  # recognised
    shown = pictures(3, HEIGHT, WIDTH)
    wanted = expected(case, model, shown, 100)
    boxes, scores, classes = run(folded, image=shown)
    assert (wanted[1] > 0).sum() > 15
    np.testing.assert_allclose(scores, wanted[1], atol=1e-3)
    np.testing.assert_allclose(boxes, wanted[0], atol=1e-3)
    np.testing.assert_array_equal(classes, wanted[2])


@pytest.mark.parametrize("name", CASES)
def test_an_export_of_one_picture_takes_a_batch_afterwards(name: str) -> None:
    free, _ = fold(CASES[name].make(Net()))
    freed, decided = fold(CASES[name].make(Net(batch=1)))
    assert decided.frame.batch == 0
    shown = pictures(2, HEIGHT, WIDTH, seed=3)
    for one, other in zip(run(freed, image=shown), run(free, image=shown), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
