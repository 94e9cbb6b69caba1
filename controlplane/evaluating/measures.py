"""Answers beside their labels: the gate's metric, the share of right ones, and what each score was worth.

Pure; how boxes match is `controlplane.quantizing.metrics`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from controlplane.quantizing import metrics
from controlplane.quantizing.datasets import Dataset
from controlplane.quantizing.judges import Answers
from controlplane.quantizing.metrics import Found

LEAST_SCORE = 0.05  # of a box that counts as a trial: what `package` lets through


class Trials(NamedTuple):
    """Scores, and whether each was of a right answer. [N]"""

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]


class Measure(Protocol):
    def metric(self, answers: Answers) -> float:
        """mAP50, or top-1 accuracy: 0 to 1."""
        ...

    def right(self, answers: Answers) -> float:
        """Share of the pictures whose answer is the labels'."""
        ...

    def trials(self, answers: Answers) -> Trials: ...

    def objects(self, answers: Answers) -> int:
        """Labelled ones in the pictures that were answered."""
        ...


def measure(task: str, dataset: Dataset) -> Measure:
    return OfClasses(dataset) if task == "classification" else OfBoxes(dataset)


class OfBoxes:
    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def metric(self, answers: Answers) -> float:
        return metrics.map50([found for _, found in answers], self._truths(answers))

    def right(self, answers: Answers) -> float:
        return _share([metrics.agrees(found, true) for found, true in self._pairs(answers)])

    def trials(self, answers: Answers) -> Trials:
        tried = [(found.of(found.scores >= LEAST_SCORE), true) for found, true in self._pairs(answers)]
        hits = [metrics.hits(found, true) for found, true in tried]
        return Trials(np.concatenate([found.scores for found, _ in tried]), np.concatenate(hits))

    def objects(self, answers: Answers) -> int:
        return sum(len(true.boxes) for true in self._truths(answers))

    def _truths(self, answers: Answers) -> list[Found]:
        return [self._dataset.boxes[Path(name)] for name, _ in answers]

    def _pairs(self, answers: Answers) -> list[tuple[Found, Found]]:
        return [(found, true) for (_, found), true in zip(answers, self._truths(answers), strict=True)]


class OfClasses:
    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def metric(self, answers: Answers) -> float:
        return self.right(answers)

    def right(self, answers: Answers) -> float:
        return _share(self._hits(answers))

    def trials(self, answers: Answers) -> Trials:
        scores = [float(np.max(given, initial=0.0)) for _, given in answers]
        return Trials(np.clip(np.array(scores, np.float64), 0.0, 1.0), np.array(self._hits(answers), np.bool_))

    def objects(self, answers: Answers) -> int:
        return len(answers)

    def _hits(self, answers: Sequence[tuple[str, Any]]) -> list[bool]:
        return [metrics.best(given) == self._dataset.classes[Path(name)] for name, given in answers]


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0
