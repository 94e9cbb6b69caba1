"""What a head says about a graph, and the questions that all of them ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onnx import TensorProto

from controlplane.packaging.seen import Seen, Tensor
from controlplane.packaging.selection import Candidates
from controlplane.packaging.wish import Frame, Wish
from controlplane.packaging.writer import Writer
from protos.errors import Rejected

STRIDES = (8, 16, 32)
COARSE = (8, 16, 32, 64)  # of models with a fourth map ("P6")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


@dataclass(frozen=True)
class Question:
    """All there is to go by."""

    seen: Seen
    frame: Frame
    wish: Wish
    labels: tuple[str, ...]  # asked for, or noted by the exporter; maybe none


@dataclass(frozen=True)
class Reading:
    """`write` turns the outputs into candidates; `uses` names the outputs it needs."""

    classes: int
    uses: tuple[str, ...]
    write: Callable[[Writer], Candidates]
    notes: tuple[str, ...] = ()
    pixels: str = ""  # the preset this very kind wants; else the head's habit
    feeds: tuple[tuple[str, str], ...] = ()  # further inputs: name → what they are given ("size", "ones")


@dataclass(frozen=True)
class Head:
    """A family and its habits: presets that its training code uses."""

    name: str
    covers: str
    read: Callable[[Question], Reading]
    pixels: str
    channels: str
    fit: str
    iou: float
    hears: tuple[str, ...] = ()  # what of a wish it looks at, beyond what all do


def real(to: Writer, tensor: Tensor) -> str:
    """Its values as float32."""
    return tensor.name if tensor.element == TensorProto.FLOAT else to.float(tensor.name)


def rows_of(seen: Seen) -> tuple[Tensor, ...]:
    return tuple(each for each in seen.outputs if len(each.shape) == 3 and each.element in _FLOATS)


def maps_of(seen: Seen, rank: int) -> tuple[Tensor, ...]:
    return tuple(each for each in seen.outputs if len(each.shape) == rank and each.element in _FLOATS)


def strides_of(sides: Sequence[tuple[int, int]], frame: Frame) -> tuple[int, ...]:
    """Of maps of height × width, finest first. Raises Rejected where they do not divide the picture."""
    strides = tuple(frame.height // side if side else 0 for side, _ in sides)
    for stride, (high, wide) in zip(strides, sides, strict=True):
        if not stride or (high * stride, wide * stride) != (frame.height, frame.width):
            raise Rejected(
                f"a map of {wide}×{high} does not divide a picture of {frame.width}×{frame.height}; say the size it "
                "was exported for with --size"
            )
    return strides


def strides_for(count: int, frame: Frame, per_cell: int, what: str) -> tuple[int, ...]:
    """Strides whose maps have `count` rows together; 0 is taken for the usual ones. Raises Rejected."""
    for strides in (STRIDES, COARSE):
        if count in (0, per_cell * frame.cells(strides)):
            return strides
    raise Rejected(
        f"{what} gives {count} rows, but a picture of {frame.width}×{frame.height} has "
        f"{per_cell * frame.cells()} places at strides 8, 16 and 32; say the size it was exported for with --size"
    )


def no_masks(question: Question) -> None:
    """Raises Rejected for a model that gives more than boxes."""
    task = question.seen.notes.get("task", "detect")
    if task not in ("detect", "classify"):
        raise Rejected(
            f"this is a model for '{task}', which cameras have no form for; export its detection sibling "
            "(for example yolo11n.pt, not yolo11n-seg.pt), or serve its outputs as they are with --task tensor"
        )
    protos = [each for each in question.seen.outputs if len(each.shape) == 4 and each.shape[1] == 32]
    if rows_of(question.seen) and protos:
        raise Rejected(
            f"{protos[0].shown!r} holds masks, which cameras have no form for; export the detection sibling of this "
            "model, or serve its outputs as they are with --task tensor"
        )


def single(question: Question, head: str) -> Tensor:
    """The one output of rows. Raises Rejected."""
    found = rows_of(question.seen)
    if len(found) != 1:
        given = ", ".join(each.sentence for each in question.seen.outputs)
        raise Rejected(f"--head {head} wants one output of rows, [N, rows, numbers]; this model gives {given}")
    return found[0]


def needs(head: str, tensor: Tensor, what: str) -> Rejected:
    return Rejected(f"--head {head} wants {what}, not {tensor.sentence}; try longshore package --inspect")
