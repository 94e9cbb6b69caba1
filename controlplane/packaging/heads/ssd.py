"""Any graph that gives boxes and scores apart: SSD of every maker, RetinaNet, EfficientDet, YOLO-NAS, UltraFace.

    candidates  boxes [N,S,4] (or [N,S,1,4]) and scores [N,S,C] or [N,C,S], decoded; with a background class or not
    finished    boxes [N,S,4], scores [N,S], classes [N,S]: suppression has been done inside; also without the N, as
                torchvision gives them for one picture, and as boxes [N,S,5] with the score last, as mmdet does
    TensorFlow  detection_boxes (y0,x0,y1,x1), detection_scores, detection_classes (from 1), num_detections

Order and units of the four numbers cannot be seen in a graph; what is taken for granted is said, and flags say
otherwise. https://github.com/qfgaohao/pytorch-ssd, convert_to_caffe2_models.py (scores, boxes);
https://github.com/tensorflow/models, research/object_detection/exporter_lib_v2.py;
https://github.com/pytorch/vision, torchvision/models/detection/ssd.py;
https://github.com/open-mmlab/mmdeploy, configs/mmdet (dets, labels).
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from controlplane.packaging import boxes
from controlplane.packaging.heads.reading import Head, Question, Reading, real
from controlplane.packaging.seen import Tensor, counted
from controlplane.packaging.selection import POOL, Candidates
from controlplane.packaging.writer import Writer
from protos.errors import Rejected

_BOXES = ("detection_boxes", "source.boxes", "boxes", "bboxes", "dets", "pred_boxes")
_SCORES = ("detection_scores", "source.scores", "scores", "confs", "conf", "classification", "probs")
_CLASSES = ("detection_classes", "source.classes", "classes", "labels")
_COUNTS = ("num_detections", "num_dets")
_WHOLE = (TensorProto.INT64, TensorProto.INT32)


@dataclass(frozen=True)
class Outputs:
    """Which output is what."""

    boxes: Tensor
    scores: Tensor | None  # None: in the fifth column of boxes
    classes: Tensor | None = None
    count: Tensor | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in (self.boxes, self.scores, self.classes, self.count) if each)

    @property
    def loose(self) -> bool:
        """One picture, and no side that says so."""
        return len(self.boxes.shape) == 2


@dataclass(frozen=True)
class Habit:
    """What a maker means by its numbers."""

    order: str
    units: str
    background: str
    sure: bool


def read(question: Question) -> Reading:
    found = outputs_of(question)
    habit = _habit(found, question)
    said = "" if habit.sure else " (taken for granted; --box and --units say otherwise)"
    notes = [f"{found.boxes.shown}: boxes as {habit.order}, {habit.units}{said}"]
    if found.classes is not None:
        return _finished(found, habit, question, notes)
    return _candidates(found, habit, question, notes)


def outputs_of(question: Question) -> Outputs:
    """Raises Rejected."""
    seen = {_plain(each.name): each for each in question.seen.outputs}
    four = [each for each in question.seen.outputs if are_boxes(each)]
    named = next((seen[name] for name in _BOXES if seen.get(name) in four), None)
    if not four:
        raise _refusal(question, "no output holds boxes: none ends in 4 numbers")
    chosen = named or four[0]
    others = [each for each in question.seen.outputs if each != chosen]
    classes = _classes(chosen, others)
    scores = _scores(chosen, [each for each in others if each != classes])
    if scores is None and (chosen.shape[-1] == 4 or classes is None):
        raise _refusal(question, f"{chosen.shown!r} holds boxes, but no output holds scores for them")
    return Outputs(
        chosen,
        scores if chosen.shape[-1] == 4 else None,
        classes,
        next((seen[name] for name in _COUNTS if name in seen), None),
    )


def are_boxes(tensor: Tensor) -> bool:
    """Rows of 4 numbers, or of 5 with a score; [N,S,1,4] too, but no map that happens to be 4 wide."""
    if len(tensor.shape) == 4:
        return tensor.shape[2:] == (1, 4)
    return len(tensor.shape) in (2, 3) and tensor.shape[-1] in (4, 5)


def _plain(name: str) -> str:
    return name.partition(":")[0]  # TensorFlow's names end in ":0"


def _refusal(question: Question, why: str) -> Rejected:
    given = ", ".join(each.sentence for each in question.seen.outputs)
    return Rejected(f"--head ssd wants boxes and scores, and {why} ({given}); try longshore package --inspect")


def _classes(chosen: Tensor, others: list[Tensor]) -> Tensor | None:
    flat = [each for each in others if len(each.shape) == len(chosen.shape) - 1 and len(each.shape) in (1, 2)]
    whole = [each for each in flat if each.element in _WHOLE]
    named = [each for name in _CLASSES for each in flat if _plain(each.name) == name]
    return next(iter([*named, *whole]), None)


def _scores(chosen: Tensor, others: list[Tensor]) -> Tensor | None:
    real_ones = [each for each in others if each.element not in _WHOLE and len(each.shape) in (1, 2, 3)]
    named = [each for name in _SCORES for each in real_ones if _plain(each.name) == name]
    rows = chosen.shape[-2] if len(chosen.shape) != 4 else chosen.shape[1]
    fitting = [each for each in real_ones if rows and rows in each.shape[-2:]]
    return next(iter([*named, *fitting, *real_ones]), None)


def _habit(found: Outputs, question: Question) -> Habit:
    wish = question.wish
    usual = _usual(found, question)
    return Habit(
        wish.order or usual.order,
        wish.units or usual.units,
        wish.background or usual.background,
        usual.sure or bool(wish.order and wish.units),
    )


def _usual(found: Outputs, question: Question) -> Habit:
    if _plain(found.boxes.name) == "detection_boxes":
        return Habit("yxyx", "normalised", "first", sure=True)
    if found.scores is None:  # mmdet
        return Habit("xyxy", "pixels", "none", sure=True)
    if found.loose:  # torchvision
        return Habit("xyxy", "pixels", "first", sure=True)
    if found.boxes.shape[1] == question.frame.cells():  # one per place: YOLO-NAS
        return Habit("xyxy", "pixels", "", sure=False)
    return Habit("xyxy", "normalised", "", sure=False)


def _finished(found: Outputs, habit: Habit, question: Question, notes: list[str]) -> Reading:
    """Each box has its class; what overlaps has been removed, unless there are too many for that to be so."""
    rows = found.boxes.shape[-2]
    overlap = rows > POOL and "NonMaxSuppression" not in question.seen.kinds
    first = habit.background == "first"
    notes.append("classes count from 1" if first else "classes count from 0")
    notes.append("overlapping boxes are removed here" if overlap else "boxes are finished: nothing is removed here")

    def write(to: Writer) -> Candidates:
        four, score = _columns(to, found)
        assert found.classes is not None
        label = to.cast(_with_batch(to, found.classes.name, found), TensorProto.INT64)
        if first:
            label = to.node("Sub", label, to.whole(1))
        if found.count is not None:
            score = _counted(to, score, found.count)
        corners = boxes.corners(to, four, habit.order, habit.units, question.frame)
        return Candidates(corners, score, rows, max(1, len(question.labels)), labels=label, overlap=overlap)

    return Reading(len(question.labels), found.names, write, tuple(notes))


def _columns(to: Writer, found: Outputs) -> tuple[str, str]:
    """Boxes [N,S,4] and scores [N,S]."""
    source = _with_batch(to, real(to, found.boxes), found)
    if found.scores is None:
        return to.part(source, 2, 0, 4), to.squeeze(to.part(source, 2, 4, 5), 2)
    return source, _with_batch(to, real(to, found.scores), found)


def _with_batch(to: Writer, source: str, found: Outputs) -> str:
    return to.unsqueeze(source, 0) if found.loose else source


def _counted(to: Writer, scores: str, count: Tensor) -> str:
    """Rows from the count on hold nothing."""
    size = to.part(to.node("Shape", scores), 0, 1, 2)
    end = to.squeeze(size, 0)
    places = to.unsqueeze(to.node("Range", to.whole(0), end, to.whole(1)), 0)
    there = to.node("Less", to.float(places), to.reshape(real(to, count), -1, 1))
    return to.node("Where", there, scores, to.real(0))


def _candidates(found: Outputs, habit: Habit, question: Question, notes: list[str]) -> Reading:
    scored = found.scores
    assert scored is not None
    rows = found.boxes.shape[1]
    axis, given = _class_axis(scored, rows, question)
    background = habit.background or _background(given, len(question.labels), "first")
    classes = given - (background != "none")
    ending = question.wish.ending or ending_of(question, scored, background)
    notes.append(f"{scored.shown}: {ending} of {counted(given)}, background {background}")

    def write(to: Writer) -> Candidates:
        four = real(to, found.boxes)
        four = to.reshape(four, 0, -1, 4) if len(found.boxes.shape) == 4 else four
        scores = classes_of(to, ended(to, real(to, scored), ending, axis), background, axis)
        corners = boxes.corners(to, four, habit.order, habit.units, question.frame)
        return Candidates(corners, scores, rows, classes, class_axis=axis, several=True)

    return Reading(classes, found.names, write, tuple(notes))


def _class_axis(scores: Tensor, rows: int, question: Question) -> tuple[int, int]:
    """Where the classes lie in [N,S,C] or [N,C,S], and how many numbers there are. Raises Rejected."""
    if len(scores.shape) != 3:
        raise _refusal(question, f"{scores.shown!r} has no side for classes, and no output says the classes")
    _, first, second = scores.shape
    turned = first != rows and second == rows if rows else first < second
    return (1, first) if turned else (2, second)


def _background(given: int, labels: int, usual: str) -> str:
    return usual if labels and given == labels + 1 else "none"


def ending_of(question: Question, scores: Tensor, background: str) -> str:
    """What is still to be done to scores, by how they end."""
    if question.seen.ending(scores.name) & {"Softmax", "Sigmoid", "HardSigmoid"}:
        return "probabilities"
    return "sigmoid" if background == "none" else "softmax"


def ended(to: Writer, scores: str, ending: str, axis: int) -> str:
    if ending == "probabilities":
        return scores
    if ending == "sigmoid":
        return to.node("Sigmoid", scores)
    if axis == 2:
        return to.node("Softmax", scores, axis=2)
    return to.transpose(to.node("Softmax", to.transpose(scores, 0, 2, 1), axis=2), 0, 2, 1)  # opset 11 flattens


def classes_of(to: Writer, scores: str, background: str, axis: int) -> str:
    """Without the class "nothing"."""
    if background == "none":
        return scores
    return to.part(scores, axis, 1) if background == "first" else to.part(scores, axis, 0, -1)


HEAD = Head(
    "ssd",
    "SSD, RetinaNet, EfficientDet, YOLO-NAS: boxes and scores apart",
    read,
    "unit",
    "rgb",
    "stretch",
    0.45,
    hears=("order", "units", "background", "ending"),
)
