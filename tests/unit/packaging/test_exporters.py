"""Graphs with the names, shapes and layouts of public exporters; the boxes they mean were worked out by hand.

Each docstring names the exporter's file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

from tests.sim.exported import saying
from tests.unit.packaging.folded import Array, fold, pictures, run

COCO = tuple(f"class{number}" for number in range(80))
FREE = ("float32", ("batch", 3, "height", "width"))


def found(model: ModelProto, expected: str, labels: tuple[str, ...] = COCO, **wish: Any) -> list[tuple[Any, ...]]:
    """What the folded graph gives for both of two pictures: class, score, corners in 0..1, best first."""
    folded, decided = fold(model, labels=labels, **wish)
    assert decided.head == expected
    count = decided.frame.batch or 2
    shown = pictures(count, decided.frame.height, decided.frame.width)
    boxes, scores, classes = run(folded, image=shown)
    for side in (boxes, scores, classes):
        assert (side == side[:1]).all()
    filled = scores[0] > 0
    assert not boxes[0][~filled].any()
    assert not classes[0][~filled].any()
    return [
        (int(label), round(float(score), 4), [round(float(side), 4) for side in box])
        for label, score, box in zip(classes[0][filled], scores[0][filled], boxes[0][filled], strict=True)
    ]


def same(got: list[tuple[Any, ...]], *wanted: tuple[Any, ...]) -> None:
    assert [row[0] for row in got] == [row[0] for row in wanted]
    for row, (_, score, box) in zip(got, wanted, strict=True):
        assert row[1] == pytest.approx(score, abs=1e-3)
        assert row[2] == pytest.approx(box, abs=1e-3)


def noted(model: ModelProto, **notes: object) -> ModelProto:
    helper.set_model_props(model, {key: str(value) for key, value in notes.items()})
    return model


def test_yolov8_and_its_successors() -> None:
    """ultralytics, engine/exporter.py: images (dynamic=True) → output0 [batch, 84, anchors]; imgsz in the metadata."""
    rows = np.zeros((84, 8400), np.float32)
    rows[:, 100] = [320, 160, 100, 50, 0, 0, 0.9, *[0] * 77]
    rows[:, 101] = [322, 160, 100, 50, 0, 0, 0.8, *[0] * 77]  # the same object again
    rows[:, 102] = [322, 160, 100, 50, 0, 0.7, *[0] * 78]  # another class there
    rows[:, 4000] = [620, 600, 80, 80, *[0] * 79, 0.6]  # reaches out of the picture
    model = noted(saying({"images": FREE}, {"output0": rows}), imgsz=[640, 640], task="detect", stride=32)
    corners = [270 / 640, 135 / 640, 370 / 640, 185 / 640]
    same(
        found(model, "yolov8"),
        (2, 0.9, corners),
        (1, 0.7, [272 / 640, 135 / 640, 372 / 640, 185 / 640]),
        (79, 0.6, [580 / 640, 560 / 640, 1, 1]),
    )


def test_yolov10_end_to_end() -> None:
    """ultralytics, nn/modules/head.py (v10Detect), also nms=True: output0 [1, 300, 6] as corners, score, class."""
    rows = np.zeros((300, 6), np.float32)
    rows[0], rows[1], rows[2] = [64, 32, 320, 320, 0.8, 17], [66, 32, 320, 320, 0.7, 17], [0, 0, 64, 64, 0.04, 3]
    model = saying({"images": ("float32", (1, 3, 640, 640))}, {"output0": rows})
    same(found(model, "yolov8"), (17, 0.8, [0.1, 0.05, 0.5, 0.5]), (17, 0.7, [66 / 640, 0.05, 0.5, 0.5]))


def test_yolov5() -> None:
    """yolov5, export.py: images → output [batch, 25200, 85]; release 6.1."""
    rows = np.zeros((25200, 85), np.float32)
    rows[20000, :5] = [100, 200, 40, 80, 0.8]
    rows[20000, 5 + 16] = 0.5
    model = saying({"images": ("float32", ("batch", 3, 640, 640))}, {"output": rows}, through=["Sigmoid"], opset=12)
    same(found(model, "yolov5"), (16, 0.4, [80 / 640, 160 / 640, 120 / 640, 240 / 640]))


def test_yolov5_with_its_maps_beside_the_rows_uses_the_rows() -> None:
    """yolov5, release 5: models/export.py gave the rows and the three maps [1,3,h,w,85]."""
    rows = np.zeros((25200, 85), np.float32)
    rows[7, :6] = [64, 64, 64, 64, 1, 0.5]
    maps = {f"map{side}": np.zeros((3, side, side, 85), np.float32) for side in (80, 40, 20)}
    model = saying({"images": ("float32", (1, 3, 640, 640))}, {"output": rows, **maps}, opset=12)
    same(found(model, "yolov5"), (0, 0.5, [0.05, 0.05, 0.15, 0.15]))


def test_yolov5_and_yolov7_bare_maps() -> None:
    """yolov7, export.py without --grid: three maps [1,3,h,w,85] of logits; its anchors are not YOLOv5's."""
    maps = {f"out{side}": np.full((3, side, side, 85), -20, np.float32) for side in (80, 40, 20)}
    maps["out40"][1, 10, 20] = [0, 0, 0, 0, 20, np.log(3), *[-20] * 79]  # σ: 0.5, …, 1, 0.75
    model = saying({"images": ("float32", (1, 3, 640, 640))}, maps)
    x, y = 20.5 * 16, 10.5 * 16
    wide, high = 62, 45  # the second anchor of the middle map
    box = [(x - wide / 2) / 640, (y - high / 2) / 640, (x + wide / 2) / 640, (y + high / 2) / 640]
    same(found(model, "yolov5"), (0, 0.75, box))
    anchors = (
        12,
        16,
        19,
        36,
        40,
        28,
        36,
        75,
        76,
        55,
        72,
        146,
        142,
        110,
        192,
        243,
        459,
        401,
    )  # cfg/training/yolov7.yaml
    box = [(x - 76 / 2) / 640, (y - 55 / 2) / 640, (x + 76 / 2) / 640, (y + 55 / 2) / 640]
    same(found(model, "yolov5", anchors=anchors), (0, 0.75, box))


def test_yolox() -> None:
    """YOLOX, tools/export_onnx.py: images → output [batch, 8400, 85], not decoded."""
    rows = np.zeros((8400, 85), np.float32)
    rows[6400 + 3 * 40 + 5, :5] = [0.5, 0.25, np.log(2), np.log(4), 0.9]  # stride 16, row 3, column 5
    rows[6400 + 3 * 40 + 5, 5 + 2] = 0.5
    model = saying({"images": ("float32", ("batch", 3, 640, 640))}, {"output": rows}, through=["Sigmoid"], opset=11)
    same(found(model, "yolox"), (2, 0.45, [72 / 640, 20 / 640, 104 / 640, 84 / 640]))


def test_pytorch_ssd() -> None:
    """pytorch-ssd, convert_to_caffe2_models.py: scores [1,3000,21] after softmax, boxes; voc-model-labels.txt."""
    scores, boxes = np.zeros((3000, 21), np.float32), np.zeros((3000, 4), np.float32)
    scores[:, 0] = 1
    scores[5], boxes[5] = [0.1, 0.9, *[0] * 19], [0.1, 0.2, 0.3, 0.4]
    scores[9], boxes[9] = [0.2, 0, 0.5, *[0] * 17, 0.3], [0.5, 0.5, 0.75, 1]
    model = saying({"input.1": ("float32", (1, 3, 300, 300))}, {"scores": scores, "boxes": boxes})
    labels = ("BACKGROUND", *(f"voc{number}" for number in range(20)))
    same(
        found(model, "ssd", labels, ending="probabilities"),
        (0, 0.9, [0.1, 0.2, 0.3, 0.4]),
        (1, 0.5, [0.5, 0.5, 0.75, 1]),
        (19, 0.3, [0.5, 0.5, 0.75, 1]),
    )


def test_tensorflow_object_detection() -> None:
    """models/research/object_detection/exporter_lib_v2.py by tf2onnx: input_tensor uint8 [1,?,?,3] → detection_*."""
    boxes, scores, classes = np.zeros((100, 4), "f4"), np.zeros(100, "f4"), np.ones(100, "f4")
    boxes[0], scores[0], classes[0] = [0.1, 0.2, 0.3, 0.6], 0.7, 3
    boxes[1], scores[1], classes[1] = [0.1, 0.2, 0.3, 0.6], 0.6, 1
    boxes[2], scores[2], classes[2] = [0.1, 0.2, 0.3, 0.6], 0.5, 1  # beyond num_detections
    outputs: dict[str, Array] = {
        "detection_anchor_indices": np.zeros(100, "f4"),
        "detection_boxes": boxes,
        "detection_classes": classes,
        "detection_multiclass_scores": np.zeros((100, 91), "f4"),
        "detection_scores": scores,
        "num_detections": np.array(2, "f4"),
        "raw_detection_boxes": np.zeros((1917, 4), "f4"),
        "raw_detection_scores": np.zeros((1917, 91), "f4"),
    }
    model = saying({"input_tensor": ("uint8", (1, "height", "width", 3))}, outputs, opset=13)
    same(
        found(model, "ssd", size=(320, 320)),
        (2, 0.7, [0.2, 0.1, 0.6, 0.3]),
        (0, 0.6, [0.2, 0.1, 0.6, 0.3]),
    )


def test_torchvision() -> None:
    """vision, torchvision/models/detection/ssd.py: one picture, boxes [D,4] in pixels, labels [D] from 1."""
    outputs = {
        "boxes": np.array([[30, 60, 90, 120], [0, 0, 300, 150]], "f4"),
        "scores": np.array([0.5, 0.9], "f4"),
        "labels": np.array([1, 4], np.int64),
    }
    model = saying({"images": ("float32", (1, 3, 300, 300))}, outputs, batch="")
    _, decided = fold(model, labels=COCO)
    assert decided.frame.batch == 1
    assert any("the batch stays 1" in note for note in decided.notes)
    same(found(model, "ssd"), (3, 0.9, [0, 0, 1, 0.5]), (0, 0.5, [0.1, 0.2, 0.3, 0.4]))


def test_mmdetection() -> None:
    """mmdeploy, configs/_base_ and mmdet: input → dets [1,100,5], labels [1,100]; corners in pixels, score last."""
    dets, labels = np.zeros((100, 5), "f4"), np.zeros(100, np.int64)
    dets[0], labels[0] = [32, 64, 160, 320, 0.75], 7
    model = saying({"input": ("float32", ("batch", 3, 320, 320))}, {"dets": dets, "labels": labels}, opset=11)
    same(found(model, "ssd"), (7, 0.75, [0.1, 0.2, 0.5, 1]))


def test_detr() -> None:
    """transformers, models/detr/configuration_detr.py: pixel_values, pixel_mask → logits, pred_boxes; opset 12."""
    logits, boxes = np.full((100, 92), -9, "f4"), np.zeros((100, 4), "f4")
    logits[:, 91] = 9
    logits[4, :], boxes[4] = -20, [0.5, 0.5, 0.2, 0.4]
    logits[4, 17], logits[4, 91] = np.log(3), 0
    inputs = {
        "pixel_values": ("float32", ("batch", "num_channels", "height", "width")),
        "pixel_mask": ("int64", ("batch", "height", "width")),
    }
    model = saying(inputs, {"logits": logits, "pred_boxes": boxes}, opset=12)
    model.graph.node.append(helper.make_node("Cast", ["pixel_mask"], ["mask"], to=1))
    labels = tuple(f"coco{number}" for number in range(91))
    _, decided = fold(model, labels=labels, size=(320, 480))
    assert decided.pixels.mean == (123.675, 116.28, 103.53)
    same(found(model, "detr", labels, size=(320, 480)), (17, 0.75, [0.4, 0.3, 0.6, 0.7]))


def test_rt_detr_as_its_authors_export_it() -> None:
    """RT-DETR, rtdetr_pytorch/tools/export_onnx.py: images, orig_target_sizes → labels, boxes, scores; opset 16."""
    labels, boxes, scores = np.zeros(300, np.int64), np.zeros((300, 4), "f4"), np.zeros(300, "f4")
    labels[0], boxes[0], scores[0] = 5, [0.25, 0.25, 0.5, 0.75], 0.8
    inputs = {"images": ("float32", ("N", 3, 640, 640)), "orig_target_sizes": ("int64", ("N", 2))}
    model = saying(inputs, {"labels": labels, "boxes/unit": boxes, "scores": scores}, opset=16, batch="N")
    nodes = [
        helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=1),
        helper.make_node("Concat", ["sizes", "sizes"], ["both"], axis=1),
        helper.make_node("Unsqueeze", ["both", "one"], ["each"]),
        helper.make_node("Mul", ["boxes/unit", "each"], ["boxes"]),
    ]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(helper.make_tensor("one", 7, [1], [1]))
    model.graph.output[1].name = "boxes"
    same(found(model, "detr"), (5, 0.8, [0.25, 0.25, 0.5, 0.75]))


def test_rt_detr_as_ultralytics_exports_it() -> None:
    """ultralytics, nn/modules/head.py (RTDETRDecoder): output0 [N, 300, 4+C], probabilities."""
    rows = np.zeros((300, 84), "f4")
    rows[3, :4], rows[3, 4 + 8], rows[3, 4 + 9] = [0.5, 0.5, 0.5, 0.5], 0.9, 0.3
    model = noted(saying({"images": FREE}, {"output0": rows}, ["Sigmoid"]), imgsz=[640, 640], task="detect")
    box = [0.25, 0.25, 0.75, 0.75]
    same(found(model, "detr", head="detr"), (8, 0.9, box), (9, 0.3, box))


def test_rt_detr_as_ultralytics_exports_it_now() -> None:
    """ultralytics 8.4, nn/modules/head.py (RTDETRDecoder.postprocess): [N, 300, 6] as middle and size, score, class."""
    rows = np.zeros((300, 6), "f4")
    rows[0] = [0.5, 0.5, 0.5, 0.5, 0.9, 8]
    model = saying({"images": FREE}, {"output0": rows})
    noted(model, imgsz=[640, 640], task="detect", description="Ultralytics rtdetr-l model")
    same(found(model, "detr"), (8, 0.9, [0.25, 0.25, 0.75, 0.75]))


def test_rf_detr() -> None:
    """rf-detr, deploy/export.py: input [1,3,560,560] → dets [1,300,4] as middle and size, labels [1,300,C] logits."""
    dets, labels = np.zeros((300, 4), "f4"), np.full((300, 80), -20, "f4")
    dets[0], labels[0, 3] = [0.5, 0.25, 0.5, 0.5], np.log(3)
    model = saying({"input": ("float32", (1, 3, 560, 560))}, {"dets": dets, "labels": labels})
    same(found(model, "detr", head="detr"), (3, 0.75, [0.25, 0, 0.75, 0.5]))
