"""YOLOv8 and what gives the same: v9, 11, 12, and the end-to-end ones, v10 and 26.

    decoded       output0 [N, 4+C, S]: middle and size in pixels, then a probability per class; S is one per place
    turned        the same as [N, S, 4+C]
    end to end    output0 [N, 300, 6]: corners in pixels, score, class; nothing overlaps any more
    bare maps     three of [N, 64+C, h, w]: four distributions over 16 distances in strides, then a logit per class

https://github.com/ultralytics/ultralytics, ultralytics/engine/exporter.py (names), ultralytics/nn/modules/head.py
(Detect: DFL, dist2bbox, sigmoid). Classes compete: a box counts for its best one, as `predict` does it.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from controlplane.packaging import boxes
from controlplane.packaging.heads.reading import (
    Head,
    Question,
    Reading,
    maps_of,
    needs,
    no_masks,
    real,
    rows_of,
    single,
    strides_of,
)
from controlplane.packaging.seen import Tensor, counted
from controlplane.packaging.selection import Candidates
from controlplane.packaging.wish import Frame
from controlplane.packaging.writer import Writer

BINS = 16
_BOX = 4
END = 6  # corners, score, class


def read(question: Question) -> Reading:
    no_masks(question)
    if not rows_of(question.seen) and len(maps := maps_of(question.seen, 4)) >= 3:
        return _of_maps(maps, question)
    tensor = single(question, "yolov8")
    _, first, second = tensor.shape
    if second == END and first != question.frame.cells() and first != 0:
        return end_to_end(tensor, question, "xyxy", "pixels")
    turned = _is_turned(first, second, question)
    classes, count = (second, first) if turned else (first, second)
    if classes <= _BOX:
        raise needs("yolov8", tensor, "[N, 4 + classes, rows]")
    return Reading(
        classes=classes - _BOX,
        uses=(tensor.name,),
        write=lambda to: _decoded(to, tensor, question.frame, (count, classes - _BOX, turned)),
        notes=(f"{tensor.shown}: boxes as middle and size in pixels, scores of {counted(classes - _BOX)}",),
    )


def _is_turned(first: int, second: int, question: Question) -> bool:
    """Whether the numbers of a row lie last."""
    wanted = _BOX + len(question.labels)
    if question.labels and wanted in (first, second):
        return first != wanted
    if 0 in (first, second):
        return first == 0
    return question.frame.cells() == first or (question.frame.cells() != second and first > second)


def _decoded(to: Writer, tensor: Tensor, frame: Frame, shape: tuple[int, int, bool]) -> Candidates:
    count, classes, turned = shape
    source, axis = real(to, tensor), 2 if turned else 1
    four = to.part(source, axis, 0, _BOX)
    four = four if turned else to.transpose(four, 0, 2, 1)
    scores = to.part(source, axis, _BOX)
    return Candidates(boxes.corners(to, four, "cxcywh", "pixels", frame), scores, count, classes, class_axis=axis)


def end_to_end(tensor: Tensor, question: Question, order: str, units: str) -> Reading:
    """Rows of box, score and class, chosen inside the graph."""
    rows, classes = tensor.shape[1], len(question.labels)

    def write(to: Writer) -> Candidates:
        source = real(to, tensor)
        score = to.squeeze(to.part(source, 2, 4, 5), 2)
        label = to.cast(to.squeeze(to.part(source, 2, 5, 6), 2), TensorProto.INT64)
        corners = boxes.corners(to, to.part(source, 2, 0, 4), order, units, question.frame)
        return Candidates(corners, score, rows, classes, labels=label, overlap=False)

    note = f"{tensor.shown}: finished boxes as {order}, {units}; nothing is removed here"
    return Reading(classes, (tensor.name,), write, (note,))


def _of_maps(maps: tuple[Tensor, ...], question: Question) -> Reading:
    maps = tuple(sorted(maps, key=lambda each: -each.shape[2]))
    strides = strides_of([(each.shape[2], each.shape[3]) for each in maps], question.frame)
    classes = maps[0].shape[1] - _BOX * BINS
    if classes <= 0 or any(each.shape[1] != maps[0].shape[1] for each in maps):
        raise needs("yolov8", maps[0], "maps of [N, 64 + classes, h, w]")

    def write(to: Writer) -> Candidates:
        parts = [_of_map(to, each, stride, question.frame) for each, stride in zip(maps, strides, strict=True)]
        four, logits = to.concat(1, *(part[0] for part in parts)), to.concat(2, *(part[1] for part in parts))
        count = question.frame.cells(strides)
        return Candidates(four, to.node("Sigmoid", logits), count, classes, class_axis=1)

    note = f"{len(maps)} bare maps: distances are read off their distributions, scores by sigmoid"
    return Reading(classes, tuple(each.name for each in maps), write, (note,))


def _of_map(to: Writer, tensor: Tensor, stride: int, frame: Frame) -> tuple[str, str]:
    """Corners [N,S,4] and logits [N,C,S] of one map."""
    high, wide = tensor.shape[2:]
    flat = to.reshape(real(to, tensor), 0, tensor.shape[1], high * wide)
    bins = to.reshape(to.part(flat, 1, 0, _BOX * BINS), 0, _BOX, BINS, high * wide)
    likely = to.node("Softmax", to.transpose(bins, 0, 3, 1, 2), axis=3)  # [N,S,4,bins]
    reach = to.reshape(to.node("MatMul", likely, to.real(np.arange(BINS).reshape(BINS, 1))), 0, high * wide, _BOX)
    middle = np.stack([np.tile(np.arange(wide) + 0.5, high), np.repeat(np.arange(high) + 0.5, wide)], axis=1)
    signed = to.node("Mul", reach, to.real([-1, -1, 1, 1]))
    cells = to.node("Add", signed, to.real(np.tile(middle, 2)[np.newaxis]))
    side = np.array([stride / frame.width, stride / frame.height] * 2)
    return to.node("Mul", cells, to.real(side)), to.part(flat, 1, _BOX * BINS)


HEAD = Head("yolov8", "YOLOv8, 9, 10, 11, 12, 26", read, "unit", "rgb", "letterbox", 0.7)
