"""YOLOv5 and YOLOv7: three anchors per place, objectness times class.

    decoded    output [N, S, 5+C]: middle and size in pixels, objectness, a probability per class; S is three per place
    bare maps  three of [N, 3, h, w, 5+C], or of [N, 3*(5+C), h, w], all logits: decoded here with grids and anchors

https://github.com/ultralytics/yolov5, export.py (names), models/yolo.py (Detect.forward); YOLOv7 decodes alike.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

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
    strides_for,
    strides_of,
)
from controlplane.packaging.seen import Tensor, counted
from controlplane.packaging.selection import Candidates
from controlplane.packaging.wish import Frame
from controlplane.packaging.writer import Array, Writer
from protos.errors import Rejected

PER_PLACE = 3
_FIRST_CLASS = 5
ANCHORS = {  # pixels, models/yolov5s.yaml and models/hub/yolov5s6.yaml
    3: (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326),
    4: (19, 27, 44, 40, 38, 94, 96, 68, 86, 152, 180, 137, 140, 301, 303, 264, 238, 542, 436, 615, 739, 380, 925, 792),
}


def read(question: Question) -> Reading:
    no_masks(question)
    if rows_of(question.seen):
        return _of_rows(question)
    return _of_maps(question)


def _of_rows(question: Question) -> Reading:
    tensor = single(question, "yolov5")
    classes = tensor.shape[2] - _FIRST_CLASS
    if classes <= 0:
        raise needs("yolov5", tensor, "[N, rows, 5 + classes]")
    strides_for(tensor.shape[1], question.frame, PER_PLACE, tensor.shown)

    def write(to: Writer) -> Candidates:
        source = real(to, tensor)
        corners = boxes.corners(to, to.part(source, 2, 0, 4), "cxcywh", "pixels", question.frame)
        return Candidates(corners, scores_of(to, source), tensor.shape[1], classes)

    note = f"{tensor.shown}: boxes as middle and size in pixels, objectness, scores of {counted(classes)}"
    return Reading(classes, (tensor.name,), write, (note,))


def scores_of(to: Writer, rows: str) -> str:
    """Objectness times class, of rows [N,S,5+C]."""
    return to.node("Mul", to.part(rows, 2, 4, 5), to.part(rows, 2, _FIRST_CLASS))


def _of_maps(question: Question) -> Reading:
    found = maps_of(question.seen, 5) or maps_of(question.seen, 4)
    if len(found) not in ANCHORS:
        given = ", ".join(each.sentence for each in question.seen.outputs)
        raise Rejected(f"--head yolov5 wants one output of rows or three maps; this model gives {given}")
    maps = tuple(sorted(found, key=lambda each: -_sides(each)[0]))
    strides = strides_of([_sides(each) for each in maps], question.frame)
    classes = _numbers(maps[0]) - _FIRST_CLASS
    if classes <= 0:
        raise needs("yolov5", maps[0], "maps of [N, 3, h, w, 5 + classes]")
    anchors, note = _anchors(question, maps)

    def write(to: Writer) -> Candidates:
        parts = [
            _of_map(to, each, stride, (pair, question.frame))
            for each, stride, pair in zip(maps, strides, anchors, strict=True)
        ]
        four, scores = (to.concat(1, *column) for column in zip(*parts, strict=True))
        return Candidates(four, scores, PER_PLACE * question.frame.cells(strides), classes)

    return Reading(classes, tuple(each.name for each in maps), write, (f"{len(maps)} bare maps, decoded here", note))


def _sides(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[2:4]  # type: ignore[return-value]  # both forms of a map have h and w there


def _numbers(tensor: Tensor) -> int:
    """5 + C."""
    return tensor.shape[4] if len(tensor.shape) == 5 else tensor.shape[1] // PER_PLACE


def _anchors(question: Question, maps: tuple[Tensor, ...]) -> tuple[list[Array], str]:
    given = question.wish.anchors
    numbers = given or ANCHORS[len(maps)]
    if len(numbers) != 2 * PER_PLACE * len(maps):
        raise Rejected(f"--anchors wants {2 * PER_PLACE * len(maps)} numbers for {len(maps)} maps, not {len(numbers)}")
    each = np.array(numbers, np.float32).reshape(len(maps), PER_PLACE, 2)
    areas = each.prod(axis=2).mean(axis=1)
    if any(one > other for one, other in pairwise(areas)):
        raise Rejected("--anchors must go from the finest map to the coarsest: small boxes first")
    said = "anchors as given" if given else "anchors of YOLOv5's own training; say --anchors where yours are others"
    return list(each), said


def _of_map(to: Writer, tensor: Tensor, stride: int, how: tuple[Array, Frame]) -> tuple[str, str]:
    """Corners [N,S,4] and scores [N,S,C] of one map: xy = (2σ - 0.5 + cell)·stride, wh = (2σ)²·anchor."""
    anchors, frame = how
    (high, wide), numbers = _sides(tensor), _numbers(tensor)
    source = real(to, tensor)
    if len(tensor.shape) == 4:
        source = to.transpose(to.reshape(source, 0, PER_PLACE, numbers, high, wide), 0, 1, 3, 4, 2)
    rows = to.node("Sigmoid", to.reshape(source, 0, PER_PLACE * high * wide, numbers))
    cells = np.stack([np.tile(np.arange(wide), high), np.repeat(np.arange(high), wide)], axis=1)
    corner = np.tile(cells - 0.5, (PER_PLACE, 1))[np.newaxis]
    twice = to.node("Mul", to.part(rows, 2, 0, 4), to.real(2))
    middle = to.node("Mul", to.node("Add", to.part(twice, 2, 0, 2), to.real(corner)), to.real(stride))
    sides = np.repeat(anchors, high * wide, axis=0)[np.newaxis]
    half = to.part(twice, 2, 2, 4)
    size = to.node("Mul", to.node("Mul", half, half), to.real(sides))
    four = boxes.around(to, middle, size)
    return to.node("Div", four, to.real([frame.width, frame.height] * 2)), scores_of(to, rows)


HEAD = Head("yolov5", "YOLOv5, YOLOv7", read, "unit", "rgb", "letterbox", 0.45, ("anchors",))
