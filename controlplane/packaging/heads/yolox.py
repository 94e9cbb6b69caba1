"""YOLOX: one box per place, anchor-free.

    bare     output [N, S, 5+C]: offset and log size in strides, objectness and classes after sigmoid: the usual export
    decoded  the same shape with middle and size in pixels, exported with --decode_in_inference

The two differ by the Exp before the output. Pixels go in as BGR, 0 to 255, not scaled.
https://github.com/Megvii-BaseDetection/YOLOX, tools/export_onnx.py (names), yolox/utils/demo_utils.py (decoding).
"""

from __future__ import annotations

import numpy as np

from controlplane.packaging import boxes
from controlplane.packaging.heads.reading import Head, Question, Reading, needs, real, single, strides_for
from controlplane.packaging.heads.yolov5 import scores_of
from controlplane.packaging.seen import Tensor, counted
from controlplane.packaging.selection import Candidates
from controlplane.packaging.wish import Frame
from controlplane.packaging.writer import Array, Writer

_FIRST_CLASS = 5


def read(question: Question) -> Reading:
    tensor = single(question, "yolox")
    classes = tensor.shape[2] - _FIRST_CLASS
    if classes <= 0:
        raise needs("yolox", tensor, "[N, rows, 5 + classes]")
    strides = strides_for(tensor.shape[1], question.frame, 1, tensor.shown)
    ending = question.seen.ending(tensor.name)
    bare, logits = "Exp" not in ending, "Sigmoid" not in ending

    def write(to: Writer) -> Candidates:
        rows = _rows(to, tensor, logits=logits)
        four = to.part(rows, 2, 0, 4)
        corners = _decoded(to, four, strides, question.frame) if bare else _corners(to, four, question.frame)
        return Candidates(corners, scores_of(to, rows), question.frame.cells(strides), classes)

    kind = "boxes as offsets to a grid, decoded here" if bare else "decoded boxes"
    notes = [f"{tensor.shown}: {kind}, objectness, scores of {counted(classes)}"]
    if logits:
        notes.append("scores are logits: a sigmoid is added")
    return Reading(classes, (tensor.name,), write, tuple(notes))


def _rows(to: Writer, tensor: Tensor, *, logits: bool) -> str:
    source = real(to, tensor)
    if not logits:
        return source
    return to.concat(2, to.part(source, 2, 0, 4), to.node("Sigmoid", to.part(source, 2, 4)))


def _corners(to: Writer, four: str, frame: Frame) -> str:
    return boxes.corners(to, four, "cxcywh", "pixels", frame)


def _decoded(to: Writer, four: str, strides: tuple[int, ...], frame: Frame) -> str:
    cells, steps = _grid(strides, frame)
    middle = to.node("Mul", to.node("Add", to.part(four, 2, 0, 2), to.real(cells)), to.real(steps))
    size = to.node("Mul", to.node("Exp", to.part(four, 2, 2, 4)), to.real(steps))
    return to.node("Div", boxes.around(to, middle, size), to.real([frame.width, frame.height] * 2))


def _grid(strides: tuple[int, ...], frame: Frame) -> tuple[Array, Array]:
    """Cells [1,S,2] as column and row, and the stride of each [1,S,1]."""
    cells, steps = [], []
    for stride in strides:
        high, wide = frame.height // stride, frame.width // stride
        cells.append(np.stack([np.tile(np.arange(wide), high), np.repeat(np.arange(high), wide)], axis=1))
        steps.append(np.full((high * wide, 1), stride))
    return np.concatenate(cells)[np.newaxis], np.concatenate(steps)[np.newaxis]


HEAD = Head("yolox", "YOLOX", read, "raw", "bgr", "letterbox", 0.45)
