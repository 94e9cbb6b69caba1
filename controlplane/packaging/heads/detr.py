"""DETR and its family: a fixed number of queries, each one object or none, so that nothing overlaps.

    queries     logits [N,Q,C] and boxes [N,Q,4] as middle and size, normalised. One class more than there are names:
                softmax, the last class being "no object" (DETR); as many: sigmoid per class (RT-DETR, RF-DETR)
    one output  output0 [N,Q,4+C], probabilities; or [N,300,6], the best of them with score and class (RT-DETR as
                Ultralytics exports it, until and from release 8.4): middle and size, normalised
    finished    labels, boxes, scores, with orig_target_sizes as second input (RT-DETR, D-FINE): corners in its pixels

https://github.com/huggingface/transformers, models/detr (logits, pred_boxes; pixel_mask); https://github.com/lyuwenyu/RT-DETR,
rtdetr_pytorch/tools/export_onnx.py; https://github.com/roboflow/rf-detr (dets, labels).
"""

from __future__ import annotations

from onnx import TensorProto

from controlplane.packaging import boxes
from controlplane.packaging.heads import ssd, yolov8
from controlplane.packaging.heads.reading import Head, Question, Reading, real, rows_of
from controlplane.packaging.seen import Tensor, counted
from controlplane.packaging.selection import Candidates
from controlplane.packaging.writer import Writer
from protos.errors import Rejected

_BOXES = ("pred_boxes", "source.boxes", "boxes", "dets")
_LOGITS = ("logits", "pred_logits", "class_logits", "source.scores", "scores", "labels", "source.classes")
SIZE, MASK = "orig_target_sizes", "pixel_mask"
FEEDS = {SIZE: "size", MASK: "ones"}  # further inputs that are known


def read(question: Question) -> Reading:
    seen = question.seen
    feeds = tuple((each.name, FEEDS[each.name]) for each in seen.inputs if each.name in FEEDS)
    if any(name == SIZE for name, _ in feeds):
        return _finished(question, feeds)
    rows = rows_of(seen)
    if len(rows) == 1 and rows[0].shape[2] == yolov8.END and len(question.labels) != yolov8.END - 4:
        return yolov8.end_to_end(rows[0], question, "cxcywh", "normalised")
    if len(rows) == 1 and rows[0].shape[2] > 4:
        return _joined(question, rows[0])
    four = [each for each in rows if each.shape[2] == 4]
    box = next((each for name in _BOXES for each in four if each.name == name), four[0] if four else None)
    others = [each for each in rows if box is not None and each != box and each.shape[1] == box.shape[1]]
    logits = next((each for name in _LOGITS for each in others if each.name == name), others[0] if others else None)
    if box is None or logits is None:
        given = ", ".join(each.sentence for each in seen.outputs)
        raise Rejected(f"--head detr wants class scores [N,Q,C] and boxes [N,Q,4]; this model gives {given}")
    return _queries(question, box, logits, feeds)


def _queries(question: Question, box: Tensor, logits: Tensor, feeds: tuple[tuple[str, str], ...]) -> Reading:
    given, wish = logits.shape[2], question.wish
    named = bool(question.labels) and given == len(question.labels) + 1
    background = wish.background or ("last" if named else "none")
    ending = wish.ending or ssd.ending_of(question, logits, background)
    classes = given - (background != "none")
    several = background == "none"

    def write(to: Writer) -> Candidates:
        scores = ssd.classes_of(to, ssd.ended(to, real(to, logits), ending, 2), background, 2)
        order, units = wish.order or "cxcywh", wish.units or "normalised"
        corners = boxes.corners(to, real(to, box), order, units, question.frame)
        return Candidates(corners, scores, box.shape[1], classes, overlap=False, several=several)

    note = f"{box.shape[1]} queries; {logits.shown}: {ending} of {counted(given)}, background {background}"
    if not (question.labels or wish.background):
        note += " (with one name fewer than that, the last is taken for 'no object')"
    pixels = "imagenet" if not several or box.name == "dets" else "unit"
    return Reading(classes, (box.name, logits.name), write, (note,), pixels, feeds)


def _joined(question: Question, tensor: Tensor) -> Reading:
    classes = tensor.shape[2] - 4

    def write(to: Writer) -> Candidates:
        source = real(to, tensor)
        corners = boxes.corners(to, to.part(source, 2, 0, 4), "cxcywh", "normalised", question.frame)
        scores = ssd.ended(to, to.part(source, 2, 4), question.wish.ending or "probabilities", 2)
        return Candidates(corners, scores, tensor.shape[1], classes, overlap=False, several=True)

    note = f"{tensor.shown}: {tensor.shape[1]} queries, probabilities of {counted(classes)}"
    return Reading(classes, (tensor.name,), write, (note,))


def _finished(question: Question, feeds: tuple[tuple[str, str], ...]) -> Reading:
    found = ssd.outputs_of(question)
    if found.classes is None or found.scores is None:
        raise Rejected(
            f"--head detr with the input {SIZE!r} wants labels, boxes and scores as outputs; export it again"
        )
    box, scores, labels = found.boxes, found.scores, found.classes

    def write(to: Writer) -> Candidates:
        corners = boxes.corners(to, real(to, box), "xyxy", "pixels", question.frame)
        label = to.cast(labels.name, TensorProto.INT64)
        count = len(question.labels)
        return Candidates(corners, real(to, scores), box.shape[1], count, labels=label, overlap=False)

    note = f"{SIZE} is set to the size of the input; boxes are finished, as corners in its pixels"
    return Reading(len(question.labels), found.names, write, (note,), "unit", feeds)


HEAD = Head(
    "detr",
    "DETR, RT-DETR, D-FINE, RF-DETR",
    read,
    "unit",
    "rgb",
    "stretch",
    1.0,
    ("order", "units", "background", "ending"),
)
