"""From a stranger's graph to one in our form: `opened` makes it plain, `plan` decides and explains, `fold` writes.

`opened` takes the model over: it, `plan` and `fold` change it in place, since a second copy of the weights is what a
machine has no room for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from onnx import GraphProto, ModelProto, TensorProto, helper

from controlplane.packaging import batch, classification, framing, opsets, pixels, resemblance, selection, surgery
from controlplane.packaging.heads import detr
from controlplane.packaging.heads.reading import Head, Question, Reading, no_masks
from controlplane.packaging.recognition import HEADS, recognised
from controlplane.packaging.seen import Seen, are_names, counted, listed, see
from controlplane.packaging.shapes import Shape, worked_out
from controlplane.packaging.wish import BOXES, PICTURES, Frame, Limits, Pixels, Wish, check_heard
from controlplane.packaging.writer import Writer
from protos.errors import Rejected

Outputs = tuple[tuple[str, str, int, tuple[int, ...]], ...]  # our name, the tensor, its element, its shape after N
_UNSAID = "pixels are taken for granted; where it was trained on others, say --pixels or --mean, --scale, --channels"
_FORCED = (
    "if cameras are to have it all the same, say --task detection --head HEAD or --task classification, with --labels"
)
_NOTHING = ("background", "__background__", "bg", "no object", "no-object")


@dataclass
class Opened:
    model: ModelProto
    seen: Seen  # as its exporter declared it
    done: tuple[str, ...]  # what was changed so far


@dataclass(frozen=True)
class Plan:
    """All that is decided; `notes` say it in sentences."""

    task: str
    head: str  # "" for a classifier
    frame: Frame
    pixels: Pixels
    fit: str
    labels: tuple[str, ...]
    classes: int  # 0: the graph does not show it
    limits: Limits
    precision: str
    notes: tuple[str, ...]
    feeds: tuple[tuple[str, str], ...]
    write: Callable[[Writer], Outputs]


def opened(model: ModelProto, *, whole: bool = True) -> Opened:
    """Raises Rejected for what no box could run. Not `whole` is a model without its weights."""
    surgery.check_precision(model)
    opsets.check_known(model)
    if whole:
        surgery.check_sound(model)
    declared = see(model)
    model, raised = opsets.raised(model)
    constants = len(model.graph.input) - len(declared.inputs)
    model = surgery.plain(model)
    done = [raised] if raised else []
    if constants:
        done.append(
            f"{constants} constants were listed as inputs, and are no longer"
            if constants > 1
            else "a constant was listed as an input, and is no longer"
        )
    return Opened(model, see(model), tuple(done))


def plan(source: Opened, wish: Wish) -> Plan:
    """Raises Rejected with the reason and the nearest thing that would work."""
    if wish.task != "classification":
        resemblance.check_no_text(source.seen, asked=wish.head is not None)
    question, trimmed = _question(source, wish)
    if _task(question) == "classification":
        heard = ("ending",) if classification.is_single(question) else ("background", "ending")
        check_heard(wish, "a classifier", (*PICTURES, *heard))
        return _classifier(source, question)
    head = _head(question)
    check_heard(wish, f"the {head.name} head", (*PICTURES, *BOXES, *head.hears, "head"))
    return _detector(source, question, head, trimmed)


def hint(model: ModelProto) -> tuple[str, ...]:
    """For a model that nobody said a task of, and that is about to be served as it is: why. Needs no weights.

    Raises:
        Rejected: it fits cameras and only lacks names; whoever wants it served as it is has to say so.
    """
    try:
        decided = plan(opened(model, whole=False), Wish())
    except Rejected as error:
        return (f"its outputs are served as they are, since for cameras it does not fit: {error}", _FORCED)
    except Exception:  # noqa: BLE001 - nothing has checked this file yet, and a hint is only a hint
        return ()
    what = f"a detector with the {decided.head} head" if decided.head else "a classifier"
    raise Rejected(
        f"this looks like {what}, and the names of its classes are wanted: add --labels FILE, one name a line "
        "(--inspect says more); to serve its outputs as they are instead, say --task tensor"
    )


def _question(source: Opened, wish: Wish) -> tuple[Question, str]:
    labels, nothing = _without_nothing(wish.labels or source.seen.labels)
    if nothing and wish.background is None:
        wish = replace(wish, background=nothing)
    fed = frozenset(each.name for each in source.seen.inputs if each.name in detr.FEEDS)
    frame = framing.frame_of(source.seen, wish, fed)
    known = worked_out(source.model, _given(source.seen, frame))
    outputs = tuple(replace(each, shape=_best(each.shape, known.get(each.name))) for each in source.seen.outputs)
    return Question(replace(source.seen, outputs=outputs), frame, wish, labels), nothing


def _best(declared: Shape, found: Shape | None) -> Shape:
    """Side by side: what was worked out, else what the exporter wrote."""
    if not found or len(found) != len(declared):
        return found or declared
    return tuple(one or other for one, other in zip(found, declared, strict=True))


def _without_nothing(labels: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Labels without a background class that is listed among them, and where that was."""
    if labels and labels[0].lower() in _NOTHING:
        return labels[1:], "first"
    if labels and labels[-1].lower() in _NOTHING:
        return labels[:-1], "last"
    return labels, ""


def _given(seen: Seen, frame: Frame) -> dict[str, Shape]:
    """The shapes of all inputs for one picture."""
    sides = (frame.height, frame.width)
    shapes: dict[str, Shape] = {}
    for each in seen.inputs:
        tail = [side or sides[place % 2] for place, side in enumerate(each.shape[1:])]
        shapes[each.name] = (1, *tail)
    depth = frame.channels
    shapes[frame.name] = (1, depth, *sides) if frame.layout == "nchw" else (1, *sides, depth)
    return shapes


def _task(question: Question) -> str:
    wish = question.wish
    if wish.head and wish.task in (None, "detection"):
        return "detection"
    if wish.task in ("detection", "classification"):
        return str(wish.task)
    return "classification" if classification.is_classifier(question) else "detection"


def _detector(source: Opened, question: Question, head: Head, nothing: str) -> Plan:
    reading = head.read(question)
    wish, frame = question.wish, question.frame
    labels = _named(question.labels, reading.classes, f"the {head.name} head")
    pixel, scaled = framing.pixels_of(source.model, frame, wish, (reading.pixels or head.pixels, head.channels))
    guessed = _UNSAID if head.name == "ssd" and _is_guess(frame, wish, scaled) else ""
    frame, freed = _freed(source, question, reading.uses)
    limits = Limits(wish.score, head.iou if wish.iou is None else wish.iou, wish.top_k)
    trimmed = f"the name of the {nothing} class says that it is nothing: it is left out" if nothing else ""
    return Plan(
        task="detection",
        head=head.name,
        frame=frame,
        pixels=pixel,
        fit=wish.fit or head.fit,
        labels=labels,
        classes=reading.classes,
        limits=limits,
        precision=source.seen.precision,
        notes=tuple(filter(None, (*source.done, *reading.notes, trimmed, scaled, guessed, freed))),
        feeds=reading.feeds,
        write=lambda to: _detections(to, reading, limits),
    )


def _head(question: Question) -> Head:
    """Raises Rejected."""
    if question.wish.head:
        return HEADS[question.wish.head]
    found = recognised(question)
    if found is None:
        no_masks(question)
        near = resemblance.nearest(question)
        raise Rejected(
            f"no known head gives {listed(question.seen.outputs)}; {near}{near and '; '}say which with --head "
            f"({', '.join(HEADS)}), or serve the outputs as they are with --task tensor"
        )
    return found


def _named(labels: tuple[str, ...], classes: int, what: str) -> tuple[str, ...]:
    """Raises Rejected when names and classes do not agree."""
    if labels and classes and len(labels) != classes:
        raise Rejected(
            f"{what} gives {counted(classes)}, but {are_names(len(labels))}; --labels wants one a line, in the "
            "order of training (a class that means nothing is called 'background' there, or named with --background)"
        )
    return labels


def _freed(source: Opened, question: Question, uses: tuple[str, ...]) -> tuple[Frame, str]:
    frame = question.frame
    given = _given(source.seen, frame)
    if frame.batch == 0 and not batch.is_for_one(source.model, given, uses):
        return frame, ""
    if batch.freed(source.model, given, uses):
        return replace(frame, batch=0), "the fixed batch of 1 was freed"
    said = "the batch stays 1" if frame.batch else "the batch is 1, though the file says that it is free"
    why = "the graph is written for one picture; export it with a free batch to have more"
    return replace(frame, batch=1), f"{said}: {why}"


def _is_guess(frame: Frame, wish: Wish, scaled: str) -> bool:
    """Whether neither graph nor person said how pixels are to be."""
    return not (scaled or wish.pixels or wish.mean or wish.scale) and frame.element != TensorProto.UINT8


def _detections(to: Writer, reading: Reading, limits: Limits) -> Outputs:
    boxes, scores, classes = selection.write(to, reading.write(to), limits)
    count = limits.top_k
    return (
        ("boxes", boxes, TensorProto.FLOAT, (count, 4)),
        ("scores", scores, TensorProto.FLOAT, (count,)),
        ("classes", classes, TensorProto.INT64, (count,)),
    )


def _classifier(source: Opened, question: Question) -> Plan:
    reading = classification.read(question)
    wish = question.wish
    pixel, scaled = framing.pixels_of(source.model, question.frame, wish, (reading.pixels, "rgb"))
    guessed = _UNSAID if reading.pixels == "imagenet" and _is_guess(question.frame, wish, scaled) else ""
    frame, freed = _freed(source, question, reading.uses)
    return Plan(
        task="classification",
        head="",
        frame=frame,
        pixels=pixel,
        fit=wish.fit or "stretch",
        labels=_named(question.labels, reading.classes, "the classifier"),
        classes=reading.classes,
        limits=Limits(0, 1, 1),
        precision=source.seen.precision,
        notes=tuple(filter(None, (*source.done, *reading.notes, scaled, guessed, freed))),
        feeds=(),
        write=lambda to: (("scores", reading.write(to), TensorProto.FLOAT, (reading.classes,)),),
    )


def fold(source: Opened, decided: Plan) -> ModelProto:
    """The graph in our form. Raises Rejected."""
    if not decided.labels:
        whose = f"{counted(decided.classes)} needs their names" if decided.classes != 1 else "1 class needs its name"
        what = f"a {decided.task} model of {whose}" if decided.classes else f"a {decided.task} model needs class names"
        raise Rejected(f"{what}: add --labels FILE, one name a line")
    graph, ours = source.model.graph, ModelProto().graph
    to = Writer(ours, opsets.opset(source.model))
    to.named(decided.frame.name, pixels.write(to, decided.frame, decided.pixels))
    _feed(to, source.seen, decided)
    front = len(ours.node)
    outputs = decided.write(to)
    for name, tensor, _, _ in outputs:
        to.named(name, tensor)
    nodes = [*ours.node[:front], *graph.node, *ours.node[front:]]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(ours.initializer)
    _declare(graph, decided.frame, outputs)
    surgery.prune(source.model)
    surgery.check_sound(source.model)
    return source.model


def _feed(to: Writer, seen: Seen, decided: Plan) -> None:
    """Further inputs of the graph, made of constants and as many rows as there are pictures."""
    shapes = {each.name: each for each in seen.inputs}
    count = to.part(to.node("Shape", pixels.IMAGE), 0, 0, 1) if decided.feeds else ""
    for name, what in decided.feeds:
        sides = [
            side or (decided.frame.height, decided.frame.width)[at % 2]
            for at, side in enumerate(shapes[name].shape[1:])
        ]
        value = [[decided.frame.width, decided.frame.height]] if what == "size" else 1
        rows = to.node("Expand", to.whole(value), to.concat(0, count, to.whole(sides)))
        to.named(name, to.cast(rows, shapes[name].element))


def _declare(graph: GraphProto, frame: Frame, outputs: Outputs) -> None:
    rows: str | int = frame.batch or "N"
    image = helper.make_tensor_value_info(pixels.IMAGE, TensorProto.UINT8, [rows, frame.height, frame.width, 3])
    given = [helper.make_tensor_value_info(name, element, [rows, *tail]) for name, _, element, tail in outputs]
    for field, values in ((graph.input, [image]), (graph.output, given)):
        del field[:]
        field.extend(values)
