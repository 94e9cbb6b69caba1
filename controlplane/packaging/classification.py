"""Classifiers: scores float32 [N,C] out, made probabilities where the graph leaves them as logits.

A graph that gives one score for a picture says yes or no: with one name it is the score of that, with two it is that of
the second, and the first gets what is left, as Keras numbers the folders that such a model is trained on.
"""

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


def is_single(question: Question) -> bool:
    """Whether it gives one score for a picture."""
    found = _vectors(question)
    return bool(found) and all(_length(each) == 1 for each in found)


def read(question: Question) -> Classifier:
    """Raises Rejected."""
    if is_single(question):
        return _single(question, _vectors(question)[0])
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
    return Classifier(given - (background != "none"), (tensor.name,), write, tuple(notes), _pixels(question))


def _pixels(question: Question) -> str:
    """Ultralytics' classifiers are trained on pixels / 255 alone."""
    return "unit" if question.seen.notes.get("author") == "Ultralytics" else "imagenet"


def _single(question: Question, tensor: Tensor) -> Classifier:
    """Raises Rejected."""
    ending, names = question.wish.ending or _single_ending(question, tensor), question.labels
    if ending == "softmax":
        raise Rejected("--ending softmax makes 1 of any single score; say sigmoid or probabilities")
    if len(names) > 2:
        raise Rejected(
            f"{tensor.shown} gives one score, but there are {len(names)} names; --labels wants the one that it is the "
            "score of, or two: first that of a low score, then that of a high one"
        )

    def write(to: Writer) -> str:
        score = to.reshape(_ended(to, real(to, tensor), ending), -1, 1)
        return to.concat(1, to.node("Sub", to.real(1), score), score) if len(names) == 2 else score

    what = f"that of {names[-1]!r}" if names else "of one name, or of the second of two (which --labels says)"
    added = "is a logit: a sigmoid is added" if ending == "sigmoid" else "is a probability already"
    note = f"{tensor.shown}: one score, {what}; it {added}"
    return Classifier(len(names), (tensor.name,), write, (note,), _pixels(question))


def _single_ending(question: Question, tensor: Tensor) -> str:
    ends = question.seen.ending(tensor.name) & {"Sigmoid", "HardSigmoid", "Softmax"}
    return "probabilities" if ends else "sigmoid"


def _vectors(question: Question) -> list[Tensor]:
    """Outputs of one row of numbers for each picture; where some have more than one, of those."""
    found = [each for each in question.seen.outputs if each.element in _FLOATS and _length(each)]
    return [each for each in found if _length(each) > 1] or found


def _length(tensor: Tensor) -> int:
    """Of a picture's row of numbers; 0 where that is no row."""
    if not tensor.shape or not set(tensor.shape[2:]) <= {1}:
        return 0
    return tensor.shape[1] if len(tensor.shape) > 1 else 1


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
