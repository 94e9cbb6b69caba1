"""Classifiers: scores float32 [N,C] out, made probabilities where the graph leaves them as logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onnx import TensorProto

from controlplane.packaging.heads.reading import Question, real
from controlplane.packaging.heads.ssd import classes_of
from controlplane.packaging.seen import Tensor
from controlplane.packaging.writer import Writer
from protos.errors import Rejected

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


@dataclass(frozen=True)
class Classifier:
    classes: int
    uses: tuple[str, ...]
    write: Callable[[Writer], str]  # gives scores float32 [N,C]
    notes: tuple[str, ...]
    pixels: str


def is_classifier(question: Question) -> bool:
    return len(_vectors(question)) == len(question.seen.outputs) == 1


def read(question: Question) -> Classifier:
    """Raises Rejected."""
    tensor, labels = _output(question), len(question.labels)
    given = tensor.shape[1]
    background = question.wish.background or ("first" if labels and given == labels + 1 else "none")
    ending = question.wish.ending or _ending(question, tensor)

    def write(to: Writer) -> str:
        flat = to.reshape(real(to, tensor), 0, -1) if len(tensor.shape) != 2 else real(to, tensor)
        return classes_of(to, _ended(to, flat, ending), background, 1)

    added = {"softmax": "are logits: a softmax is added", "exp": "are logarithms: an exponential is added"}
    notes = [f"{tensor.shown}: {given} scores, which {added.get(ending, 'are probabilities already')}"]
    if background != "none":
        notes.append(f"the {background} class is nothing, and left out")
    ultralytics = (
        question.seen.notes.get("author") == "Ultralytics"
    )  # its classifiers are trained on pixels / 255 alone
    return Classifier(
        given - (background != "none"), (tensor.name,), write, tuple(notes), "unit" if ultralytics else "imagenet"
    )


def _vectors(question: Question) -> list[Tensor]:
    """Outputs of one row of numbers for each picture."""
    return [
        each
        for each in question.seen.outputs
        if each.element in _FLOATS and len(each.shape) >= 2 and each.shape[1] > 1 and set(each.shape[2:]) <= {1}
    ]


def _output(question: Question) -> Tensor:
    found = _vectors(question)
    wanted = [each for each in found if question.labels and each.shape[1] == len(question.labels)]
    if not found:
        given = ", ".join(each.sentence for each in question.seen.outputs)
        raise Rejected(f"a classifier gives one row of scores [N,C]; this model gives {given}; see --inspect")
    return (wanted or found)[0]


def _ending(question: Question, tensor: Tensor) -> str:
    kinds = question.seen.ending(tensor.name)
    if "LogSoftmax" in kinds:
        return "exp"
    return "probabilities" if kinds & {"Softmax", "Sigmoid"} else "softmax"


def _ended(to: Writer, scores: str, ending: str) -> str:
    kinds = {"softmax": "Softmax", "sigmoid": "Sigmoid", "exp": "Exp"}
    if ending not in kinds:
        return scores
    return to.node("Softmax", scores, axis=1) if ending == "softmax" else to.node(kinds[ending], scores)
