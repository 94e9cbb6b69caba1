"""Which family of heads a graph's outputs look like. A guess only where one family fits; the rest is for --head."""

from __future__ import annotations

from controlplane.packaging.heads import detr, ssd, yolov5, yolov8, yolox
from controlplane.packaging.heads.reading import COARSE, STRIDES, Head, Question, maps_of, rows_of
from controlplane.packaging.seen import Tensor

HEADS = {head.name: head for head in (yolox.HEAD, yolov5.HEAD, yolov8.HEAD, ssd.HEAD, detr.HEAD)}
_QUERIES = 1000  # a model of the DETR family has no more; an anchor head has more
_DETR = ({"logits", "pred_boxes"}, {"pred_logits", "pred_boxes"})


def recognised(question: Question) -> Head | None:
    seen = question.seen
    names = {each.name for each in seen.outputs}
    if any(each.name == detr.SIZE for each in seen.inputs) or any(pair <= names for pair in _DETR):
        return detr.HEAD
    rows = rows_of(seen)
    if any(ssd.are_boxes(each) for each in seen.outputs) and len(seen.outputs) > 1:
        return detr.HEAD if _are_queries(rows, question) else ssd.HEAD
    if len(rows) == 1:
        return _of_rows(rows[0], question)
    return _of_maps(question) if not rows else None


def _are_queries(rows: tuple[Tensor, ...], question: Question) -> bool:
    """Boxes and class scores of as many, few, and made by attention."""
    few = len(rows) >= 2 and len({each.shape[1] for each in rows[:2]}) == 1 and 0 < rows[0].shape[1] <= _QUERIES
    return few and rows[0].shape[1] != question.frame.cells() and "MatMul" in question.seen.kinds


def _of_rows(tensor: Tensor, question: Question) -> Head | None:
    _, first, second = tensor.shape
    cells = {question.frame.cells(STRIDES), question.frame.cells(COARSE)}
    if first in {3 * count for count in cells}:
        return yolov5.HEAD
    if first in cells:
        return yolov8.HEAD if question.labels and second == 4 + len(question.labels) else yolox.HEAD
    if _is_deformable(question):
        return detr.HEAD
    if second in cells or (second == 0 and first > 4) or second == 6:
        return yolov8.HEAD
    if 0 < first <= _QUERIES and second > 6 and _joins(question):
        return detr.HEAD
    return yolov5.HEAD if first == 0 and second > 5 and question.seen.notes.get("stride") else None


def _joins(question: Question) -> bool:
    """Whether boxes and scores, each from weights of its own, are put side by side, as the family's one output is."""
    return "MatMul" in question.seen.kinds and "Concat" in question.seen.ending(question.seen.outputs[0].name)


def _is_deformable(question: Question) -> bool:
    """RT-DETR as Ultralytics exports it: its rows look like those of an end-to-end YOLO."""
    return "GridSample" in question.seen.kinds or "rtdetr" in question.seen.notes.get("description", "").lower()


def _of_maps(question: Question) -> Head | None:
    if len(maps_of(question.seen, 5)) in yolov5.ANCHORS:
        return yolov5.HEAD
    maps = maps_of(question.seen, 4)
    if len(maps) not in yolov5.ANCHORS or len({each.shape[1] for each in maps}) != 1:
        return None
    numbers, labels = maps[0].shape[1], len(question.labels)
    anchored = numbers % yolov5.PER_PLACE == 0 and labels in (0, numbers // yolov5.PER_PLACE - 5)
    free = numbers > 4 * yolov8.BINS and labels in (0, numbers - 4 * yolov8.BINS)
    if anchored == free:  # neither, or both: 144 numbers are 43 classes with anchors, and 80 without
        return None
    return yolov5.HEAD if anchored else yolov8.HEAD
